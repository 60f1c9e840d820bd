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
from tinyq.graph.cutting import WHOLE, Cut
from tinyq.graph.reference import dequantize
from tinyq.importers.tflite.convert import find_ends
from tinyq.importers.tflite.cutting import FilePart, write_part
from tinyq.importers.tflite.dilations import inner_tensors
from tinyq.importers.tflite.reader import FileModel, FileTensor, read_model
from tinyq.importers.tflite.unsigned import OFFSET, relabel_unsigned
from tinyq.numerics.formats import Codes

# What LiteRT's reference kernels compute wrongly: of a SUM of int8 they write one value.
NOT_IN_REFERENCE = ("SUM",)
_LACKING = "Didn't find op"
# Operators whose versions LiteRT's reference kernels refuse, though they compute them.
_VERSIONED = ("DEPTH_TO_SPACE", "TILE")
_VERSION, _AXIS = 8, 16  # places of the fields in their tables: version, quantized_dimension


def lower_versions(content: bytes) -> bytes:
    """The file with version 1 of those operators, so that the reference kernels take it.

    The axis of a single scale, or of the scales of a vector, becomes 0: LiteRT refuses another one,
    which TFLite for microcontrollers does not read.
    """
    import tflite

    kinds = [getattr(tflite.BuiltinOperator, name) for name in _VERSIONED]
    changed, model = bytearray(content), tflite.Model.GetRootAs(content, 0)
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            meaning = tensor.Quantization()
            if meaning is not None and 1 in (meaning.ScaleLength(), tensor.ShapeLength()):
                _put(changed, meaning, _AXIS, 0)
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        if max(code.DeprecatedBuiltinCode(), code.BuiltinCode()) in kinds:
            _put(changed, code, _VERSION, 1)
    return bytes(changed)


def _put(content: bytearray, table: Any, field: int, value: int) -> None:
    """Overwrite a 32-bit field of a table; nothing where the file leaves it out."""
    place = table._tab.Offset(field)
    if place:
        start = table._tab.Pos + place
        content[start : start + 4] = value.to_bytes(4, "little")


def map_layers(path: Path, graph: Graph, cut: Cut = WHOLE) -> dict[str, int]:
    """Which tensor of a file a tensor of its graph is.

    Args:
        path: The file.
        graph: What ``import_tflite`` made of it, before any pass.
        cut: The cut that it was made with.

    Returns:
        Indexes of file tensors by names of graph tensors, in execution order, the outputs last;
        other outputs of operators with several, and the parts of a convolution that is put
        together, are left out.
    """
    found = {}
    model = read_model(path, cut)
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
    for name, index in zip(graph.outputs, find_ends(relabel_unsigned(model)), strict=True):
        found.pop(name, None)
        found[name] = index
    return found


def run_layers(
    path: Path, graph: Graph, inputs: Codes | Mapping[str, Codes], cut: Cut = WHOLE
) -> Mapping[str, Codes]:
    """Codes of every layer for each sample, by LiteRT's reference kernels (``BUILTIN_REF``).

    See ``open_interpreter`` for the files that those do not compute.

    Args:
        path: The file.
        graph: What ``import_tflite`` made of it, before any pass.
        inputs: Codes of the graph's input, shape (samples, ...), or of each input by its name; of a
            graph with state shapes (sequences, steps, ...).
        cut: The cut that the graph was made with; LiteRT runs the same part.

    Returns:
        Codes by the names of the graph's tensors, in execution order, of all steps of all sequences
        one behind the other.

    Raises:
        ToolMissing: LiteRT is not installed.
        ModelError: LiteRT refuses the file.
    """
    layers = map_layers(path, graph, cut)
    model = read_model(path, cut)
    named = inputs if isinstance(inputs, Mapping) else {graph.input.name: inputs}
    values = [
        _model_input(model, index, graph.tensors[name].type, named[name])
        for index, name in zip(model.inputs, graph.inputs, strict=True)
    ]
    results: dict[str, list[Any]] = {name: [] for name in layers}
    for interpreter, samples in _list_steps(path, model if cut else None, graph, values):
        sources = interpreter.get_input_details()
        for source, sample in zip(sources, samples, strict=True):
            data = sample.reshape(source["shape"]).astype(source["dtype"])
            interpreter.set_tensor(source["index"], data)
        with _complaining(path):
            interpreter.invoke()
        for name, index in layers.items():
            codes = _read_codes(interpreter, model.tensors[index], graph.tensors[name].type)
            results[name].append(codes.reshape(graph.tensors[name].type.shape))
    return {name: np.stack(codes) for name, codes in results.items()}


def _list_steps(
    path: Path, part: FileModel | None, graph: Graph, values: list[Any]
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Samples, each with an interpreter that has forgotten what it must not know of it.

    Nothing resets the variables of an interpreter, so each sequence has one of its own.
    """
    if graph.states:
        for sequence in zip(*values, strict=True):
            interpreter = _open(path, part)
            for samples in zip(*sequence, strict=True):
                yield interpreter, samples
        return
    interpreter = _open(path, part)
    for samples in zip(*values, strict=True):
        interpreter.reset_all_variables()
        yield interpreter, samples


def _read_codes(interpreter: Any, tensor: FileTensor, meaning: TensorType) -> Codes:
    """Codes of a tensor; one of floats has those whose reals it holds."""
    values = np.asarray(interpreter.get_tensor(tensor.index))
    if tensor.type == "FLOAT32":
        return np.rint(values / (meaning.scale or 1.0)).astype(np.int32) + meaning.zero_point
    codes = values.astype(np.int32)
    return codes - OFFSET if tensor.type == "UINT8" else codes


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


def _open(path: Path, part: FileModel | None) -> Any:
    """LiteRT with a file, or with a part of it alone."""
    content = path.read_bytes()
    with _complaining(path):
        if part is not None:
            operators = tuple(operator.index for operator in part.operators)
            try:
                content = write_part(content, FilePart(part.inputs, part.outputs, operators))
            except ImportError:
                raise _missing(str(path)) from None
        return open_interpreter(content, str(path))


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
        raise _missing(where) from None
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


def _missing(where: str) -> ToolMissing:
    return ToolMissing(
        "LiteRT is not installed",
        where=where or None,
        remedy="run `pip install ai-edge-litert`",
    )


def _names(content: bytes) -> set[str]:
    """Names of the operators of a file."""
    import tflite

    names = {number: name for name, number in vars(tflite.BuiltinOperator).items()}
    model = tflite.Model.GetRootAs(content, 0)
    codes = map(model.OperatorCodes, range(model.OperatorCodesLength()))
    return {str(names.get(max(code.DeprecatedBuiltinCode(), code.BuiltinCode()))) for code in codes}
