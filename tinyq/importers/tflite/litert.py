"""Runs a .tflite file with LiteRT's reference kernels and hands out every layer's codes."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinyq.errors import ModelError, ToolMissing
from tinyq.graph import Graph
from tinyq.graph.reference import dequantize
from tinyq.importers.tflite.reader import FileModel, read_model
from tinyq.importers.tflite.unsigned import OFFSET
from tinyq.numerics.formats import Codes

# What LiteRT's reference kernels lack (ELU), or compute wrongly: SUM of int8 writes one value.
NOT_IN_REFERENCE = ("ELU", "SUM")
# Operators whose versions LiteRT's reference kernels refuse, though they compute them.
_VERSIONED = ("DEPTH_TO_SPACE", "TILE")


def lower_versions(content: bytes) -> bytes:
    """The file with version 1 of those operators, so that the reference kernels take it."""
    import tflite

    kinds = [getattr(tflite.BuiltinOperator, name) for name in _VERSIONED]
    changed, model = bytearray(content), tflite.Model.GetRootAs(content, 0)
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        place = code._tab.Offset(8)  # of the field "version"; 0 where it is left out
        if place and max(code.DeprecatedBuiltinCode(), code.BuiltinCode()) in kinds:
            start = code._tab.Pos + place
            changed[start : start + 4] = (1).to_bytes(4, "little")
    return bytes(changed)


def map_layers(path: Path, graph: Graph) -> dict[str, int]:
    """Which tensor of a file a tensor of its graph is.

    Args:
        path: The file.
        graph: What ``import_tflite`` made of it, before any pass.

    Returns:
        Indexes of file tensors by names of graph tensors, in execution order; operators with
        several outputs are left out.
    """
    found = {}
    for operator in read_model(path).operators:
        base = f"{operator.name.lower()}_{operator.index}"
        names = [
            node.output
            for node in graph.nodes
            if node.name == base or node.name.startswith(f"{base}_")
        ]
        if names and len(operator.outputs) == 1:
            found[names[-1]] = operator.outputs[0]
    return found


def run_layers(path: Path, graph: Graph, inputs: Codes) -> Mapping[str, Codes]:
    """Codes of every layer for each sample, by LiteRT's reference kernels (``BUILTIN_REF``).

    A file with an operator of ``NOT_IN_REFERENCE`` runs with the default kernels, without a
    delegate.

    Args:
        path: The file.
        graph: What ``import_tflite`` made of it, before any pass.
        inputs: Codes of the graph's input, shape (samples, ...).

    Returns:
        Codes by the names of the graph's tensors, in execution order.

    Raises:
        ToolMissing: LiteRT is not installed.
        ModelError: LiteRT refuses the file.
    """
    layers = map_layers(path, graph)
    interpreter = _open(path)
    model = read_model(path)
    source = interpreter.get_input_details()[0]
    values = _model_inputs(model, graph, inputs)
    results: dict[str, list[Any]] = {name: [] for name in layers}
    for sample in values:
        interpreter.reset_all_variables()
        data = sample.reshape(source["shape"]).astype(source["dtype"])
        interpreter.set_tensor(source["index"], data)
        with _complaining(path):
            interpreter.invoke()
        for name, index in layers.items():
            codes = np.asarray(interpreter.get_tensor(index), np.int32)
            if model.tensors[index].type == "UINT8":
                codes = codes - OFFSET
            results[name].append(codes.reshape(graph.tensors[name].type.shape))
    return {name: np.stack(codes) for name, codes in results.items()}


def _model_inputs(model: FileModel, graph: Graph, codes: Codes) -> Any:
    """What the file takes for the codes of the graph's input."""
    kind = model.tensors[model.inputs[0]].type
    if kind == "FLOAT32":
        return dequantize(codes, graph.input.type)
    return codes + OFFSET if kind == "UINT8" else codes


@contextmanager
def _complaining(path: Path) -> Iterator[None]:
    """Turn what LiteRT raises into an error of the model."""
    try:
        yield
    except (ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"LiteRT does not run the file: {reason}",
            where=str(path),
            remedy="compare with the reference in its place, PATH@reference; "
            "the file breaks a rule of LiteRT that tinyq does not need",
        ) from None


def _open(path: Path) -> Any:
    try:
        litert = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:
        raise ToolMissing(
            "LiteRT is not installed", where=str(path), remedy="pip install ai-edge-litert"
        ) from None
    resolvers = litert.OpResolverType
    lacking = any(one.name in NOT_IN_REFERENCE for one in read_model(path).operators)
    kernels = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if lacking else resolvers.BUILTIN_REF
    with warnings.catch_warnings(), _complaining(path):
        warnings.simplefilter("ignore")
        interpreter = litert.Interpreter(
            model_content=lower_versions(path.read_bytes()),
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    return interpreter
