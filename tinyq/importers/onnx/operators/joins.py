"""Tensors side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyq.graph import Shape
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.layer import Layer
from tinyq.importers.onnx.operators.quantization import dequantized
from tinyq.importers.onnx.pairs import as_tensor
from tinyq.importers.onnx.quantizing import meaning_of, quantize
from tinyq.importers.onnx.registry import imports
from tinyq.importers.onnx.values import Coded, Meaning, Pending, Real, Stored, Value


@imports("Concat")
def import_concat(layer: Layer) -> None:
    """Join reals; those of one scale at once, others where the file quantizes the result."""
    values = [layer.value(position) for position in range(len(layer.node.inputs))]
    axis = layer.axis(layer.attribute("axis", 0), len(values[0].shape))
    if all(isinstance(value, Coded) for value in values):
        joined = join(layer, [value for value in values if isinstance(value, Coded)], axis)
        layer.give(joined)
        return
    parts = [_as_real(layer, value) for value in values]
    meanings = {(each.means, each.coded.meaning.format) for each in parts}
    if len(meanings) == 1 and all(each.values is None for each in parts):
        found = join(layer, [each.coded for each in parts], axis)
        layer.give(Real(found, parts[0].scale, parts[0].zero_point))
        return
    layer.give(Join(layer, joined_view(layer, parts, axis), tuple(parts), axis))


def _as_real(layer: Layer, value: Value) -> Real:
    if isinstance(value, Stored):
        return as_tensor(layer, value, "a part")
    layer.require(
        isinstance(value, Real), "joins what is not quantized", "quantize each part before Concat"
    )
    assert isinstance(value, Real)
    return value


@imports("QLinearConcat")
def import_qlinear_concat(layer: Layer) -> None:
    """Join codes under a new scale."""
    zero = layer.fixed(1)
    meaning = meaning_of(layer, layer.fixed(0), zero)
    values = [dequantized(layer, place) for place in range(2, len(layer.node.inputs), 3)]
    parts = [_as_real(layer, value) for value in values]
    axis = layer.axis(layer.attribute("axis", 0), len(parts[0].shape))
    codes = [quantize(layer, part, meaning) for part in parts]
    layer.give(join(layer, codes, axis))


@dataclass(frozen=True, slots=True, eq=False)
class Join(Pending):
    """Parts that are joined once the scale of the result is known."""

    parts: tuple[Real, ...]
    axis: int

    def store(self, meaning: Meaning) -> str:
        """Bring all parts to one scale, and join them."""
        narrow = meaning.narrowed(self.low, self.high)
        codes = [quantize(self.layer, part, narrow) for part in self.parts]
        return join(self.layer, codes, self.axis).name


def layout(layer: Layer, parts: list[Coded]) -> tuple[int, ...]:
    """Order of the axes in which the largest part lies already."""
    del layer
    largest = max(parts, key=lambda part: part.view.elements)
    return largest.view.dense(range(len(largest.shape)))


def joined_view(layer: Layer, parts: list[Real], axis: int) -> View:
    """Where the elements of the joined tensor will lie."""
    codes = [part.coded for part in parts]
    shape = _joined_shape(layer, codes, axis)
    return View.of(shape, layout(layer, codes))


def _joined_shape(layer: Layer, parts: list[Coded], axis: int) -> Shape:
    rest = [part.shape[:axis] + part.shape[axis + 1 :] for part in parts]
    layer.require(len({*rest}) == 1, f"shapes {[part.shape for part in parts]} do not fit")
    size = sum(part.shape[axis] for part in parts)
    return (*parts[0].shape[:axis], size, *parts[0].shape[axis + 1 :])


def join(layer: Layer, parts: list[Coded], axis: int) -> Coded:
    """Tensors of one meaning side by side, in the layout of the largest."""
    shape = _joined_shape(layer, parts, axis)
    order = layout(layer, parts)
    place = order.index(axis)
    outer = math.prod(shape[each] for each in order[:place])
    names = []
    for part in parts:
        inner = part.view.elements // outer
        wide = (outer, inner) if outer > 1 else (inner,)
        names.append(layer.arrange(part.name, part.view, order, wide))
    formats = {layer.builder.type(name).format.name for name in names}
    if len(formats) > 1 or formats & {"u2", "u4"}:
        names = [layer.widened(name) for name in names]
    joined = names[0]
    for name in names[1:]:
        joined = layer.apply(Concatenate(), joined, name)
    sizes = tuple(shape[each] for each in order if shape[each] > 1) or (1,)
    joined = layer.reshape(joined, sizes)
    low = min(part.meaning.lo for part in parts)
    high = max(part.meaning.hi for part in parts)
    first = parts[0].meaning
    form = layer.builder.type(joined).format.name
    meaning = Meaning(first.scale, first.zero_point, low, high, form, first.shift)
    return Coded(joined, View.of(shape, order), meaning)
