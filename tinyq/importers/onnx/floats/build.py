"""Rebuilds a float .onnx file as a Keras model with channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras

from tinyq.errors import ModelError, TinyqError
from tinyq.importers.onnx.arrangement import View, channel_last
from tinyq.importers.onnx.floats.node import Building, Flow, Node
from tinyq.importers.onnx.folding import fold
from tinyq.importers.onnx.reader import FileInput, FileModel, read_model
from tinyq.support.limits import describe
from tinyq.support.modules import import_modules

Converter = Callable[[Node], None]
_FOUND: dict[str, Converter] = {}
_SPATIAL = ("Pool", "Conv", "Resize", "Upsample", "BatchNormalization", "PRelu")


def converts(*names: str) -> Callable[[Converter], Converter]:
    """Register a function that adds the Keras layers of operators."""

    def register(function: Converter) -> Converter:
        for name in names:
            _FOUND[name] = function
        return function

    return register


def find_converters() -> Mapping[str, Converter]:
    """All converters by operator name."""
    import_modules("tinyq.importers.onnx.floats.layers")
    return MappingProxyType(_FOUND)


def load_float_onnx(path: Path) -> keras.Model:
    """A float .onnx file as a Keras model of the same function.

    Images and sequences have channels last: so has the model's input.

    Raises:
        ToolMissing: onnx is not installed.
        ModelError: The file is damaged, quantized, or holds an operator that is not supported.
    """
    model = read_model(Path(path))
    if any("Quantize" in node.kind or node.kind.startswith("QLinear") for node in model.nodes):
        raise ModelError(
            "the model is quantized already",
            where=model.path,
            remedy="build it as it is: `tinyq build MODEL.onnx --board BOARD`",
        )
    converters = find_converters()
    building = Building(model)
    building.values.update(model.constants)
    inputs = [_input(building, source) for source in model.inputs]
    for node in model.nodes:
        values = [building.values.get(name) for name in node.inputs]
        if not any(isinstance(value, Flow) for value in values):
            found = fold(model, node, [None if isinstance(v, Flow) else v for v in values])
            if found is not None:
                building.values[node.outputs[0]] = found
                continue
        place = f"{model.path}, {node}"
        if node.kind not in converters:
            raise ModelError(
                f"unsupported operator: {node.kind}",
                where=place,
                remedy="export the model up to this operator, or build it of others",
            )
        try:
            converters[node.kind](Node(node, building))
        except TinyqError as error:
            raise ModelError(error.message, where=place, remedy=error.remedy) from None
        except (ValueError, TypeError, KeyError, IndexError) as error:  # Keras refuses it
            raise ModelError(f"Keras cannot build it: {describe(error)}", where=place) from None
    outputs = [_output(building, name) for name in model.outputs]
    return keras.Model(
        inputs if len(inputs) > 1 else inputs[0],
        outputs if len(outputs) > 1 else outputs[0],
        name=building.name(Path(path).stem or "model"),
    )


def _input(building: Building, source: FileInput) -> Any:
    place = f"{building.model.path}, input {source.name!r}"
    if None in source.shape or source.shape[0] != 1 or not source.type.startswith("float"):
        raise ModelError(
            f"the input has shape {source.shape} and type {source.type}",
            where=place,
            remedy="export with one example of fixed shape and floats: batch 1 or an open batch",
        )
    shape = tuple(int(size or 1) for size in source.shape)
    order = channel_last(len(shape)) if _is_image(building.model, source.name) else None
    order = tuple(range(len(shape))) if order is None else order
    inner = [shape[axis] for axis in order[1:]] or [1]
    tensor = keras.Input(tuple(inner), name=building.name(source.name))
    building.values[source.name] = Flow(tensor, View.of(shape, order))
    return tensor


def _is_image(model: FileModel, name: str) -> bool:
    """Whether the first operator that cares for axes takes channels first."""
    seen = 0
    while seen < len(model.nodes):
        seen += 1
        readers = [node for node in model.nodes if name in node.inputs]
        if not readers:
            return False
        kind = readers[0].kind
        if any(part in kind for part in _SPATIAL):
            return True
        if kind not in ("Identity", "Relu", "Clip", "Sub", "Div", "Mul", "Add", "Pad", "Cast"):
            return False
        name = readers[0].outputs[0]
    return False


def _output(building: Building, name: str) -> Any:
    value = building.values.get(name)
    place = f"{building.model.path}, output {name[:60]!r}"
    if not isinstance(value, Flow):
        raise ModelError("the output is a constant", where=place)
    rank = len(value.shape)
    last = channel_last(rank)
    size = View.of(value.inner).elements
    order = last if value.view.is_dense(last, size) else tuple(range(rank))
    shape = [value.shape[axis] for axis in order[1:]] or [1]
    node = next(node for node in building.model.nodes if name in node.outputs)
    try:
        return Node(node, building).arrange(value, order, shape)
    except TinyqError as error:
        raise ModelError(error.message, where=place, remedy=error.remedy) from None
