"""Where codes enter: the scale of the input, and the order of its axes in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.importers.onnx.arrangement import channel_last
from tinyq.importers.onnx.layer import REMEDY, REMEDY_INTEGER, Conversion, Layer
from tinyq.importers.onnx.quantizing import meaning_of
from tinyq.importers.onnx.reader import FileInput, FileModel, FileNode
from tinyq.importers.onnx.values import Fixed, Meaning

_SPATIAL = (
    *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "GlobalAveragePool"),
    *("GlobalMaxPool", "MaxPool", "PRelu", "Resize", "Upsample", "InstanceNormalization"),
    *("QLinearAveragePool", "QLinearConv", "QLinearGlobalAveragePool", "DepthToSpace"),
)
_THROUGH = (
    *("Clip", "Identity", "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
    *("Elu", "DequantizeLinear", "QuantizeLinear", "Transpose", "Pad", "Cast", "Dropout"),
)
# What takes codes with their scale and zero point behind.
_SCALED = ("DequantizeLinear",)


@dataclass(frozen=True, slots=True)
class Entry:
    """An input of the graph.

    Attributes:
        name: Of the file's input.
        shape: In the file.
        order: Of its axes in the graph, the outer first.
        meaning: What its codes mean.
        is_float: Whether the file takes floats, which it quantizes.
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    meaning: Meaning
    is_float: bool


def find_entries(model: FileModel, nodes: list[FileNode], conversion: Conversion) -> list[Entry]:
    """The inputs, in the order of the file.

    Raises:
        ModelError: One has no fixed shape, or is not quantized first.
    """
    return [_find(model, each, nodes, conversion) for each in model.inputs]


def _find(
    model: FileModel, source: FileInput, nodes: list[FileNode], conversion: Conversion
) -> Entry:
    place = f"{model.path}, input {source.name!r}"
    if None in source.shape or source.shape[0] != 1:
        raise ModelError(
            f"the input has shape {source.shape}",
            where=place,
            remedy="export with one example of fixed shape: batch 1 or an open batch, no other "
            "open axis",
        )
    shape = tuple(int(size or 1) for size in source.shape)
    axes, order = list(range(len(shape))), tuple(range(len(shape)))
    meaning: Meaning | None = None
    name, steps = source.name, 0
    while steps < len(nodes):
        steps += 1
        readers = [node for node in nodes if name in node.inputs]
        if not readers:
            break
        node = readers[0]
        if meaning is None:
            meaning = _meaning_at(node, source, readers, nodes, conversion)
        if node.kind in _SPATIAL:
            first_last = node.attributes.get("channels_last", 0)
            kept = channel_last(len(axes)) if not first_last else tuple(range(len(axes)))
            order = tuple(axes[axis] for axis in kept)
            break
        if node.kind == "Transpose":
            wanted = node.attributes.get("perm", tuple(range(len(axes)))[::-1])
            if sorted(wanted) != list(range(len(axes))):
                break
            axes = [axes[axis] for axis in wanted]
        if node.kind not in _THROUGH:
            break
        name = node.outputs[0]
    if meaning is None:
        raise ModelError("the input is not quantized first", where=place, remedy=REMEDY_INTEGER)
    return Entry(source.name, shape, order, meaning, source.type.startswith("float"))


def _meaning_at(
    node: FileNode,
    source: FileInput,
    readers: list[FileNode],
    nodes: list[FileNode],
    conversion: Conversion,
) -> Meaning | None:
    """What the codes mean, if an operator says it."""
    is_float = source.type.startswith("float")
    chosen = node
    if is_float:
        found = [reader for reader in readers if reader.kind == "QuantizeLinear"]
        if not found:
            return None
        chosen = found[0]
    elif node.kind not in _SCALED and not node.kind.startswith(("QLinear", "QGemm")):
        return None
    layer = Layer(chosen, conversion)
    scale = _constant(layer, 1)
    if scale is None:
        return None
    zero = _constant(layer, 2)
    kind = "uint8" if is_float else source.type
    if not is_float and zero is None:
        zero = np.zeros((), np.dtype(source.type))
    limits = clip_behind(chosen, nodes, conversion) if is_float else None
    try:
        return meaning_of(layer, scale, zero, limits, kind)
    except ModelError as error:
        place = f"{conversion.model.path}, {chosen}"
        raise ModelError(error.message, where=place, remedy=error.remedy or REMEDY) from None


def _constant(layer: Layer, position: int) -> npt.NDArray[Any] | None:
    if not layer.has(position):
        return None
    value = layer.conversion.values.get(layer.node.inputs[position])
    return value.array if isinstance(value, Fixed) else None


def clip_behind(
    node: FileNode, nodes: list[FileNode], conversion: Conversion
) -> tuple[int, int] | None:
    """Limits of the Clip that alone reads what a QuantizeLinear gives: how QCDQ says few bits."""
    readers = [reader for reader in nodes if node.outputs[0] in reader.inputs]
    if len(readers) != 1 or readers[0].kind != "Clip":
        return None
    layer = Layer(readers[0], conversion)
    low, high = (_constant(layer, position) for position in (1, 2))
    if low is None or high is None:
        return None
    return int(low.reshape(-1)[0]), int(high.reshape(-1)[0])
