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
from tinyq.graph import Graph, TensorType
from tinyq.graph.reference import dequantize
from tinyq.importers.tflite.dilations import inner_tensors
from tinyq.importers.tflite.reader import FileModel, read_model
from tinyq.importers.tflite.unsigned import OFFSET
from tinyq.numerics.formats import Codes

# What LiteRT's reference kernels compute wrongly: of a SUM of int8 they write one value.
NOT_IN_REFERENCE = ("SUM",)
_LACKING = "Didn't find op"
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
        several outputs, and the parts of a convolution that is put together, are left out.
    """
    found = {}
    model = read_model(path)
    hidden = inner_tensors(model)
    for operator in model.operators:
        if hidden.intersection(operator.outputs):
            continue
        base = f"{operator.name.lower()}_{operator.index}"
        names = [
            node.output
            for node in graph.nodes
            if node.name == base or node.name.startswith(f"{base}_")
        ]
        if names and len(operator.outputs) == 1:
            found[names[-1]] = operator.outputs[0]
    return found


def run_layers(
    path: Path, graph: Graph, inputs: Codes | Mapping[str, Codes]
) -> Mapping[str, Codes]:
    """Codes of every layer for each sample, by LiteRT's reference kernels (``BUILTIN_REF``).

    See ``open_interpreter`` for the files that those do not compute.

    Args:
        path: The file.
        graph: What ``import_tflite`` made of it, before any pass.
        inputs: Codes of the graph's input, shape (samples, ...), or of each input by its name.

    Returns:
        Codes by the names of the graph's tensors, in execution order.

    Raises:
        ToolMissing: LiteRT is not installed.
        ModelError: LiteRT refuses the file.
    """
    layers = map_layers(path, graph)
    interpreter = _open(path)
    model = read_model(path)
    sources = interpreter.get_input_details()
    named = inputs if isinstance(inputs, Mapping) else {graph.input.name: inputs}
    values = [
        _model_input(model, index, graph.tensors[name].type, named[name])
        for index, name in zip(model.inputs, graph.inputs, strict=True)
    ]
    results: dict[str, list[Any]] = {name: [] for name in layers}
    for samples in zip(*values, strict=True):
        interpreter.reset_all_variables()
        for source, sample in zip(sources, samples, strict=True):
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


def _model_input(model: FileModel, index: int, meaning: TensorType, codes: Codes) -> Any:
    """What the file takes for the codes of an input of the graph."""
    kind = model.tensors[index].type
    if kind == "FLOAT32":
        return dequantize(codes, meaning)
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
    with _complaining(path):
        return open_interpreter(path.read_bytes(), str(path))


def open_interpreter(content: bytes, where: str = "") -> Any:
    """LiteRT's interpreter, with the reference kernels where they compute the file.

    Where they lack an operator, or compute it wrongly, the default kernels without a delegate.

    Raises:
        ToolMissing: LiteRT is not installed.
        ValueError, RuntimeError: LiteRT refuses the file.
    """
    try:
        litert = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:
        raise ToolMissing(
            "LiteRT is not installed",
            where=where or None,
            remedy="run `pip install ai-edge-litert`",
        ) from None
    resolvers = litert.OpResolverType
    allowed = [resolvers.BUILTIN_REF, resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES]
    if _names(content) & {*NOT_IN_REFERENCE}:
        del allowed[0]
    changed = lower_versions(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kernels in allowed:
            try:
                interpreter = litert.Interpreter(
                    model_content=changed,
                    experimental_op_resolver_type=kernels,
                    experimental_preserve_all_tensors=True,
                )
                interpreter.allocate_tensors()
            except ValueError as error:
                if kernels == allowed[-1] or _LACKING not in str(error):
                    raise
            else:
                return interpreter
    raise AssertionError("one of the two has returned or raised")


def _names(content: bytes) -> set[str]:
    """Names of the operators of a file."""
    import tflite

    names = {number: name for name, number in vars(tflite.BuiltinOperator).items()}
    model = tflite.Model.GetRootAs(content, 0)
    codes = map(model.OperatorCodes, range(model.OperatorCodesLength()))
    return {str(names.get(max(code.DeprecatedBuiltinCode(), code.BuiltinCode()))) for code in codes}
