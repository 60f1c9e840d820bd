"""Runs a .tflite file with LiteRT's reference kernels, the oracle of imported models."""

from __future__ import annotations

import numpy as np

from tests.requirements import require_module
from tinyq.importers.tflite.litert import NOT_IN_REFERENCE, lower_versions


def interpreter_of(content: bytes):
    """The reference kernels; where they lack an operator the default ones without a delegate.

    The reference kernel of SUM in LiteRT 2.3 writes one value of its output, ELU is not there. TILE
    and DEPTH_TO_SPACE it has for int8 as well, and refuses their versions alone.
    """
    litert = require_module("ai_edge_litert.interpreter")
    resolvers = litert.OpResolverType
    lacking = list_operators(content) & {*NOT_IN_REFERENCE}
    kernels = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if lacking else resolvers.BUILTIN_REF
    interpreter = litert.Interpreter(
        model_content=lower_versions(content), experimental_op_resolver_type=kernels
    )
    interpreter.allocate_tensors()
    return interpreter


def list_operators(content: bytes) -> set[str]:
    """Names of the operators of a file."""
    import tflite

    names = {number: name for name, number in vars(tflite.BuiltinOperator).items()}
    model = tflite.Model.GetRootAs(content, 0)
    codes = map(model.OperatorCodes, range(model.OperatorCodesLength()))
    return {names.get(max(code.DeprecatedBuiltinCode(), code.BuiltinCode())) for code in codes}


def run_litert(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """Codes of the output for each sample; ``inputs`` has the samples on the first axis.

    Unsigned codes are those of the imported graph: 128 less.
    """
    interpreter = interpreter_of(content)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    results = []
    for sample in inputs:
        # A state (LSTM, SVDF) begins at zero in every inference, as in the imported graph.
        interpreter.reset_all_variables()
        codes = sample + (128 if source["dtype"] == np.uint8 else 0)
        interpreter.set_tensor(
            source["index"], codes.reshape(source["shape"]).astype(source["dtype"])
        )
        interpreter.invoke()
        results.append(interpreter.get_tensor(target["index"]))
    found = np.stack(results)
    return found.astype(np.int32) - 128 if found.dtype == np.uint8 else found
