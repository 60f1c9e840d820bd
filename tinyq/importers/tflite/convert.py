"""Turns the records of a .tflite file into a graph."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph, GraphBuilder
from tinyq.importers.tflite.constants import fold_constants
from tinyq.importers.tflite.dilations import fold_dilations
from tinyq.importers.tflite.islands import REMEDY, Settled, settle_islands
from tinyq.importers.tflite.layer import Conversion, Layer
from tinyq.importers.tflite.reader import FileModel, FileOperator, read_model
from tinyq.importers.tflite.registry import find_importers
from tinyq.importers.tflite.unsigned import relabel_unsigned
from tinyq.selection import GENERIC, list_rivals

ROUNDINGS = ("half_up", "tflite")


def import_tflite(path: Path, rounding: str = "half_up") -> Graph:
    """Read an integer .tflite model.

    Args:
        path: The file.
        rounding: ``half_up``, tinyq's single rounding, or ``tflite``, the bytes of TFLite's
            reference kernels. The rule becomes part of the graph.

    Returns:
        A verified graph named after the file. A float input or output that the file quantizes
        first or dequantizes last becomes the quantized tensor; a last softmax, log-softmax or
        logistic function in floating point is left out, with a warning.

    Raises:
        ModelError: The file is damaged, or holds an operator, type or shape that is not
            supported; the message names the operator and its index.
    """
    path = Path(path)
    if rounding not in ROUNDINGS:
        raise TinyqError(
            f"there is no rounding rule {rounding!r}", remedy=f"use {' or '.join(ROUNDINGS)}"
        )
    model = relabel_unsigned(read_model(path))
    require_integers(model)
    try:
        graph = _convert_model(model, rounding, _identifier(path.stem))
    except ModelError as error:
        remedy = _open_axes(model) or error.remedy
        raise ModelError(error.message, where=error.where, remedy=remedy) from None
    _check_kernels(model.path, graph)
    return graph


def computes_floats(model: FileModel) -> bool:
    """Whether a network has floats and no integer activation at all."""
    kinds = {
        model.tensors[index].type for operator in model.operators for index in operator.outputs
    }
    return "FLOAT32" in kinds and not kinds & {"INT8", "INT16", "UINT8"}


def require_integers(model: FileModel) -> None:
    """Refuse a network that computes in floating point alone, with the way that it has.

    Raises:
        ModelError: It does.
    """
    if computes_floats(model):
        raise ModelError(
            "the network computes in floating point",
            where=model.path,
            remedy="quantize it with some inputs first: "
            "`tinyq quantize MODEL.tflite --data DATA.npz -o model.keras`",
        )


def _convert_model(model: FileModel, rounding: str, name: str) -> Graph:
    operators, start = without_start(model)
    model, operators = fold_constants(model, operators)
    model, operators = fold_dilations(model, operators)
    settled = settle_islands(model, operators)
    model, operators = settled.model, settled.operators
    end = _find_end(settled)
    if settled.tail is not None:
        warnings.warn(
            f"{model.path}: the last operator, {settled.tail.name}, is in floating point and left "
            "out; the outputs are the codes that it reads, whose order is the same",
            stacklevel=3,
        )
    _check_operators(model.path, operators)
    conversion = begin_conversion(model, start, rounding, name)
    importers = find_importers()
    for operator in operators:
        convert_operator(importers[operator.name], Layer(operator, conversion))
    if end not in conversion.names:
        raise ModelError(f"output {model.tensors[end]} is never computed", where=model.path)
    output = conversion.names[end]
    if output == conversion.builder.input or conversion.builder.is_constant(output):
        raise ModelError("the model computes nothing", where=model.path)
    return conversion.builder.build(output)


def _open_axes(model: FileModel) -> str | None:
    """The remedy for a model whose input has no fixed size, which TFLite takes as 1."""
    for index in model.inputs:
        tensor = model.tensors[index]
        axes = [axis for axis in tensor.open_axes if axis > 0]
        if axes:
            places = " and ".join(map(str, axes))
            return (
                f"give the input {tensor.name!r} a fixed shape before conversion: "
                f"axis {places} is open, which TFLite takes as 1"
            )
    return None


def _check_kernels(path: str, graph: Graph) -> None:
    """Refuse formats for which no C exists, before anything is written."""
    for node in graph.nodes:
        try:
            list_rivals(graph, node, GENERIC)
        except TinyqError as error:
            place = f"{path}, {node.name}"
            raise ModelError(error.message, where=place, remedy=error.remedy) from None


def _identifier(stem: str) -> str:
    name = re.sub(r"\W", "_", stem, flags=re.ASCII).strip("_") or "model"
    return f"m_{name}" if name[0].isdigit() else name


def _check_operators(path: str, operators: Sequence[FileOperator]) -> None:
    known = find_importers()
    unknown = [operator for operator in operators if operator.name not in known]
    if unknown:
        names = ", ".join(f"{operator.index} {operator.name}" for operator in unknown[:8])
        rest = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        raise ModelError(
            f"unsupported operators: {names}{rest}",
            where=path,
            remedy="convert the model up to these operators, and compute them and what follows "
            "in the application; or build it of others (docs/decisions/0021 lists them)",
        )


def without_start(model: FileModel) -> tuple[list[FileOperator], int]:
    """Operators without a first QUANTIZE of float, and the integer input.

    Raises:
        ModelError: There are several inputs or outputs.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"the model has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
            where=model.path,
            remedy="give the model one input and one output",
        )
    operators, start = list(model.operators), model.inputs[0]
    if model.tensors[start].type == "FLOAT32":
        readers = [operator for operator in operators if start in operator.inputs]
        if len(readers) == 1 and readers[0].name == "QUANTIZE" and readers[0].outputs:
            operators.remove(readers[0])
            start = readers[0].outputs[0]
    return operators, start


def _find_end(settled: Settled) -> int:
    """The tensor whose codes are the answer: the output, or what a last DEQUANTIZE reads.

    Raises:
        ModelError: The answer is computed in floating point.
    """
    end = settled.model.outputs[0]
    curve = settled.curves.get(end)
    if curve is None:
        return end
    if not curve.is_plain:
        raise ModelError(
            "the last operator computes in floating point",
            where=f"{settled.model.path}, output {settled.model.tensors[end]}",
            remedy=REMEDY,
        )
    return curve.carrier


def begin_conversion(model: FileModel, start: int, rounding: str, name: str) -> Conversion:
    """An empty graph with the input of a file.

    Raises:
        ModelError: The input is no integer tensor of one scale.
    """
    tensor = model.tensors[start]
    conversion = Conversion(model, rounding)
    try:
        if tensor.data is not None:
            raise ModelError("the input is a constant")
        conversion.builder = GraphBuilder.start(name, conversion.type_of(tensor))
    except ModelError as error:
        place = f"{model.path}, input {tensor}"
        raise ModelError(error.message, where=place, remedy=error.remedy) from None
    conversion.names[start] = conversion.builder.input
    return conversion


def convert_operator(importer: object, layer: Layer) -> None:
    """Add the nodes of one operator.

    Raises:
        ModelError: The operator is refused; the message says where it is.
    """
    try:
        importer(layer)  # type: ignore[operator]
        layer.check_outputs()
    except TinyqError as error:
        place = f"{layer.conversion.model.path}, {layer.operator}"
        raise ModelError(error.message, where=place, remedy=error.remedy) from None
