"""Operators that move elements: most are a matter of numbers, see `arrangement`."""

from __future__ import annotations

from dataclasses import replace

from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.folding import axes_of, resolve_shape, slices_of
from tinyq.importers.onnx.layer import Layer
from tinyq.importers.onnx.registry import imports
from tinyq.importers.onnx.values import Coded, Open, Pending, Real, Stored, Value


def moved(layer: Layer, value: Value, view: View | None) -> Value:
    """A value under another view."""
    layer.require(view is not None, "cannot be expressed by strides")
    assert view is not None
    if isinstance(value, Open | Coded):
        return replace(value, view=view)
    assert isinstance(value, Real | Pending)
    return value.viewed(view)


def movable(layer: Layer, position: int = 0) -> Open | Coded | Real | Pending:
    """An input that has a place in the graph."""
    value = layer.value(position)
    layer.require(isinstance(value, Open | Coded | Real | Pending), "moves a constant")
    return value  # type: ignore[return-value]


def made_dense(layer: Layer, value: Value) -> Value:
    """The same elements in the order of the file, copied."""
    layer.require(
        isinstance(value, Coded | Real),
        "arranges what is not quantized",
        "quantize before this operator",
    )
    coded = value.coded if isinstance(value, Real) else value
    assert isinstance(coded, Coded)
    shape = tuple(size for size in coded.shape if size > 1) or (1,)
    name = layer.dense(coded, range(len(coded.shape)), shape)
    found = Coded(name, View.of(coded.shape), coded.meaning)
    return replace(value, coded=found) if isinstance(value, Real) else found


def reshape(layer: Layer, shape: tuple[int, ...]) -> None:
    """Give the input under another shape."""
    value: Value = movable(layer)
    view = value.view.reshaped(shape)  # type: ignore[union-attr]
    if view is None:
        value = made_dense(layer, value)
        view = value.view.reshaped(shape)  # type: ignore[union-attr]
    layer.give(moved(layer, value, view))


@imports("Reshape")
def import_reshape(layer: Layer) -> None:
    """Another shape."""
    wanted = layer.attribute("shape") or layer.fixed(1).reshape(-1)
    zero = bool(layer.attribute("allowzero", 0))
    try:
        shape = resolve_shape(movable(layer).shape, [int(size) for size in wanted], zero)
    except (ValueError, IndexError) as error:
        layer.require(False, f"cannot reshape: {error}", "export with batch 1 or an open batch")
        return
    reshape(layer, shape)


@imports("Flatten")
def import_flatten(layer: Layer) -> None:
    """A matrix."""
    shape = movable(layer).shape
    axis = int(layer.attribute("axis", 1))
    axis = axis + len(shape) if axis < 0 else axis
    outer = View.of(shape[:axis]).elements
    reshape(layer, (outer, View.of(shape[axis:]).elements))


@imports("Squeeze")
def import_squeeze(layer: Layer) -> None:
    """Without axes of one element."""
    shape = movable(layer).shape
    axes = layer.axes(len(shape))
    axes = [axis for axis, size in enumerate(shape) if size == 1] if axes is None else axes
    layer.require(all(shape[axis] == 1 for axis in axes), f"cannot squeeze {shape} at {axes}")
    reshape(layer, tuple(size for axis, size in enumerate(shape) if axis not in axes))


@imports("Unsqueeze")
def import_unsqueeze(layer: Layer) -> None:
    """With axes of one element more."""
    shape = movable(layer).shape
    found = axes_of(layer.node, layer.constants()) or []
    rank = len(shape) + len(found)
    axes = {layer.axis(axis, rank) for axis in found}
    layer.require(len(axes) == len(found), f"axes {found} are not of their own")
    left = iter(shape)
    reshape(layer, tuple(1 if axis in axes else next(left) for axis in range(rank)))


@imports("Transpose")
def import_transpose(layer: Layer) -> None:
    """Axes in another order."""
    value = layer.value()
    rank = len(value.shape)
    order = tuple(int(it) for it in layer.attribute("perm", tuple(range(rank))[::-1]))
    layer.require(sorted(order) == list(range(rank)), f"order {order} of {rank} axes")
    if isinstance(value, Stored):
        layer.give(value.transposed(order))
        return
    layer.give(moved(layer, value, movable(layer).view.transposed(order)))


@imports("Identity", "Dropout", "Cast")
def import_identity(layer: Layer) -> None:
    """Nothing, once trained; a cast of what the graph holds in its own format."""
    value = layer.value()
    if layer.node.kind == "Cast":
        held = isinstance(value, Coded) and value.meaning.format == "s32"
        layer.require(held, "changes the type of what is not quantized")
    layer.give(value)


@imports("Slice")
def import_slice(layer: Layer) -> None:
    """Part of a tensor."""
    value = movable(layer)
    view: View | None = value.view
    try:
        found = slices_of(layer.node, layer.opset, layer.constants(), value.shape)
    except (ValueError, IndexError, KeyError) as error:
        layer.require(False, f"cannot slice: {error}", "export with fixed shapes")
        return
    for axis, start, stop, step in found:
        count = len(range(start, stop, step))
        layer.require(count > 0, "slices off everything")
        view = None if view is None else view.sliced(axis, start, step, count)
    if view is None:
        value = made_dense(layer, value)  # type: ignore[assignment]
        view = value.view
        for axis, start, stop, step in found:
            view = (
                None
                if view is None
                else view.sliced(axis, start, step, len(range(start, stop, step)))
            )
    layer.give(moved(layer, value, view))


@imports("Split")
def import_split(layer: Layer) -> None:
    """Parts side by side."""
    value = movable(layer)
    axis = layer.axis(layer.attribute("axis", 0), len(value.shape))
    size, parts = value.shape[axis], len(layer.node.outputs)
    given = layer.attribute("split")
    if given is None and layer.has(1):
        given = [int(it) for it in layer.fixed(1).reshape(-1)]
    sizes = list(given or [])
    if not sizes:
        each = -(-size // parts)
        sizes = [each] * (parts - 1) + [size - each * (parts - 1)]
    layer.require(
        len(sizes) == parts and sum(sizes) == size and min(sizes) > 0,
        f"parts {sizes} do not fit an axis of {size}",
    )
    start = 0
    for position, count in enumerate(sizes):
        layer.give(moved(layer, value, value.view.sliced(axis, start, 1, count)), position)
        start += count


@imports("Gather")
def import_gather(layer: Layer) -> None:
    """One index, or indices at one distance."""
    value = movable(layer)
    axis = layer.axis(layer.attribute("axis", 0), len(value.shape))
    indices = layer.fixed(1)
    size = value.shape[axis]
    flat = [int(index) + (size if index < 0 else 0) for index in indices.reshape(-1)]
    steps = {b - a for a, b in zip(flat, flat[1:], strict=False)} or {1}
    layer.require(
        len(steps) == 1 and indices.ndim < 2 and all(0 <= index < size for index in flat),
        "picks indices that are not at one distance",
        "slice instead",
    )
    view = value.view.sliced(axis, flat[0], steps.pop(), len(flat))
    layer.require(view is not None, "cannot be expressed by strides")
    assert view is not None
    if indices.ndim == 0:
        view = replace(view, axes=view.axes[:axis] + view.axes[axis + 1 :])
    layer.give(moved(layer, value, view))


@imports("Expand")
def import_expand(layer: Layer) -> None:
    """Repeated along axes of one element."""
    value = movable(layer)
    wanted = tuple(int(size) for size in layer.fixed(1).reshape(-1))
    rank = max(len(wanted), len(value.shape))
    sizes = [(1,) * (rank - len(each)) + each for each in (wanted, value.shape)]
    shape = tuple(max(a, b) for a, b in zip(*sizes, strict=True))
    layer.give(moved(layer, value, value.view.broadcast(shape)))
