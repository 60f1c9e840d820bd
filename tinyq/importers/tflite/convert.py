"""Turns the records of a .tflite file into a graph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.cutting import WHOLE, Cut
from tinyq.graph.interface import INPUT, own_outputs
from tinyq.graph.passes.rewrite import name_outputs
from tinyq.importers.finishing import check_kernels, name_graph
from tinyq.importers.tflite.constants import fold_constants
from tinyq.importers.tflite.dilations import fold_dilations
from tinyq.importers.tflite.islands import REMEDY, Settled, settle_islands
from tinyq.importers.tflite.layer import Conversion, Layer
from tinyq.importers.tflite.lookups import fold_lookups
from tinyq.importers.tflite.reader import FileModel, FileOperator, read_model
from tinyq.importers.tflite.registry import find_importers
from tinyq.importers.tflite.unsigned import relabel_unsigned

ROUNDINGS = ("half_up", "tflite")


def import_tflite(path: Path, rounding: str = "half_up", cut: Cut = WHOLE) -> Graph:
    """Read an integer .tflite model, or a part of it.

    Args:
        path: The file.
        rounding: ``half_up``, tinyq's single rounding, or ``tflite``, the bytes of TFLite's
            reference kernels. The rule becomes part of the graph.
        cut: Between which tensors the part lies, see `read_model`.

    Returns:
        A verified graph named after the file. A float input or output that the file quantizes
        first or dequantizes last becomes the quantized tensor; a last softmax, log-softmax or
        logistic function in floating point is left out, with a warning. One input is called
        ``input``; several inputs and several outputs have the names that the file's signature
        gives them, or those of its tensors.

    Raises:
        ModelError: The file is damaged, or holds an operator, type or shape that is not
            supported; the message names the operator and its index.
    """
    path = Path(path)
    if rounding not in ROUNDINGS:
        raise TinyqError(
            f"there is no rounding rule {rounding!r}", remedy=f"use {' or '.join(ROUNDINGS)}"
        )
    model = relabel_unsigned(read_model(path, cut))
    require_integers(model)
    try:
        graph = _convert_model(model, rounding, name_graph(path.stem))
    except ModelError as error:
        remedy = _open_axes(model) or error.remedy
        raise ModelError(error.message, where=error.where, remedy=remedy) from None
    check_kernels(model.path, graph)
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
    operators, starts = without_start(model)
    settled = _settle(model, operators)
    model, operators = settled.model, settled.operators
    ends = _find_ends(settled)
    for tail in settled.tails:
        warnings.warn(
            f"{model.path}: the last operator, {tail.name}, is in floating point and left "
            "out; the outputs are the codes that it reads, whose order is the same",
            stacklevel=3,
        )
    _check_operators(model.path, operators)
    conversion = begin_conversion(model, starts, rounding, name)
    importers = find_importers()
    for operator in operators:
        convert_operator(importers[operator.name], Layer(operator, conversion))
    return _end_conversion(conversion, ends)


def _settle(model: FileModel, operators: list[FileOperator]) -> Settled:
    """The operators to convert: none on constants, none between dequantized codes."""
    model, operators = fold_constants(model, operators)
    model, operators = fold_dilations(model, operators)
    return settle_islands(model, fold_lookups(model, operators))


def find_ends(model: FileModel) -> tuple[int, ...]:
    """The tensors whose codes are the outputs of the graph that `import_tflite` makes of a file.

    Raises:
        ModelError: One is computed in floating point.
    """
    return _find_ends(_settle(model, without_start(model)[0]))


def _end_conversion(conversion: Conversion, ends: Sequence[int]) -> Graph:
    """The graph, whose outputs have their names where there are several."""
    model, builder = conversion.model, conversion.builder
    for end in ends:
        if end not in conversion.names:
            raise ModelError(f"output {model.tensors[end]} is never computed", where=model.path)
    outputs = [conversion.names[end] for end in ends]
    conversion.variables.keep(builder)
    if not any(builder.is_computed(output) for output in outputs):
        raise ModelError("the model computes nothing", where=model.path)
    graph = builder.build(*own_outputs(builder, outputs))
    if len(ends) == 1:
        return graph
    return name_outputs(graph, [model.labels.get(index, "") for index in model.outputs])


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


def without_start(model: FileModel) -> tuple[list[FileOperator], tuple[int, ...]]:
    """Operators without the first step of a float input, and the integer inputs.

    The step is a QUANTIZE, or the CAST of indices that the file takes as floats.
    """
    operators = list(model.operators)
    starts = []
    for index in model.inputs:
        start = index
        if model.tensors[index].type == "FLOAT32" and index not in model.outputs:
            readers = [operator for operator in operators if index in operator.inputs]
            if len(readers) == 1 and _makes_integers(model, readers[0]):
                operators.remove(readers[0])
                start = readers[0].outputs[0]
        starts.append(start)
    return operators, tuple(starts)


def _makes_integers(model: FileModel, operator: FileOperator) -> bool:
    if operator.name == "CAST" and operator.outputs:
        return model.tensors[operator.outputs[0]].type == "INT32"
    return operator.name == "QUANTIZE" and bool(operator.outputs)


def _find_ends(settled: Settled) -> tuple[int, ...]:
    """The tensors whose codes are the answer: the outputs, or what a last DEQUANTIZE reads.

    Raises:
        ModelError: An answer is computed in floating point.
    """
    ends = []
    for end in settled.model.outputs:
        curve = settled.curves.get(end)
        if curve is not None and not curve.is_plain:
            raise ModelError(
                "the last operator computes in floating point",
                where=f"{settled.model.path}, output {settled.model.tensors[end]}",
                remedy=REMEDY,
            )
        ends.append(end if curve is None else curve.carrier)
    return tuple(ends)


def begin_conversion(
    model: FileModel, starts: Sequence[int], rounding: str, name: str
) -> Conversion:
    """An empty graph with the inputs of a file.

    Raises:
        ModelError: An input is no integer tensor of one scale, or there is none.
    """
    if not starts:
        raise ModelError("the model has no input", where=model.path)
    conversion = Conversion(model, rounding)
    for index, start in zip(model.inputs, starts, strict=True):
        tensor = model.tensors[start]
        try:
            if tensor.data is not None:
                raise ModelError("the input is a constant")
            _add_input(conversion, name, _name_input(model, index), conversion.type_of(tensor))
        except ModelError as error:
            place = f"{model.path}, input {tensor}"
            raise ModelError(error.message, where=place, remedy=error.remedy) from None
        conversion.names[start] = conversion.builder.inputs[-1]
    return conversion


def _name_input(model: FileModel, index: int) -> str:
    """``input`` for one; the name in the signature, or that of the tensor, for several."""
    return INPUT if len(model.inputs) == 1 else model.labels.get(index, "") or f"input_{index}"


def _add_input(conversion: Conversion, name: str, wanted: str, meaning: TensorType) -> None:
    if not conversion.names:
        conversion.builder = GraphBuilder.start(name, meaning, wanted)
        return
    while conversion.builder.has(wanted):
        wanted += "_"
    conversion.builder.add_input(wanted, meaning)


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
