"""Parts of a tensor: cropping, slices, splits, and axes turned round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.moves import move
from tinyq.training.registry import lowers, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step

Bounds = tuple[int | None, int | None, int | None]


@serializable
class Slice(keras.layers.Layer):
    """Every step-th element from start to stop along each axis.

    Args:
        bounds: start, stop and step of every axis without the batch, as Python's slices have them.
    """

    def __init__(self, bounds: Sequence[Sequence[int | None]], **options: Any) -> None:
        super().__init__(**options)
        self.bounds = tuple(tuple(bound) for bound in bounds)

    @property
    def slices(self) -> tuple[slice, ...]:
        """A slice of every axis without the batch."""
        return tuple(slice(*bound) for bound in self.bounds)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Lengths of the slices."""
        lengths = zip(self.slices, input_shape[1:], strict=True)
        return (input_shape[0], *(len(range(length)[part]) for part, length in lengths))

    def call(self, inputs: Any) -> Any:
        """The part."""
        return inputs[(slice(None), *self.slices)]

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "bounds": self.bounds}


@lowers("Slice", preserves=True, whole_bytes=True)
def lower_slice(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """A copy of the part."""
    return move(lowering, step, inputs[0], lambda codes: codes[step.layer.slices])


@rewrites("Cropping1D", "Cropping2D")
def rewrite_cropping(rewriting: Rewriting, use: Application) -> Any:
    """A slice."""
    sides = use.layer.cropping
    pairs = [sides] if isinstance(sides[0], int) else list(sides)
    lengths = use.inputs[0].shape[1:]
    bounds: list[Bounds] = [
        (first, length - last, None) for (first, last), length in zip(pairs, lengths, strict=False)
    ]
    return _slice(rewriting, use, [*bounds, (None, None, None)])


@rewrites("CenterCrop")
def rewrite_center_crop(rewriting: Rewriting, use: Application) -> Any:
    """A slice of the middle."""
    wanted = (use.layer.height, use.layer.width)
    bounds: list[Bounds] = []
    for length, kept in zip(use.inputs[0].shape[1:3], wanted, strict=True):
        if kept > length:
            raise use.refuse("crops to more than there is", "give the image its size before")
        start = (length - kept) // 2
        bounds.append((start, start + kept, None))
    return _slice(rewriting, use, [*bounds, (None, None, None)])


@rewrites("ops.Flip")
def rewrite_flip(rewriting: Rewriting, use: Application) -> Any:
    """A slice with steps of -1."""
    rank = len(use.shape) + 1
    axes = use.layer.axis
    turned = range(rank) if axes is None else [axes] if isinstance(axes, int) else axes
    numbers = {axis % rank for axis in turned}
    if 0 in numbers:
        raise use.refuse("turns the batch round", "flip other axes")
    back, whole = (None, None, -1), (None, None, None)
    return _slice(rewriting, use, [back if axis in numbers else whole for axis in range(1, rank)])


@rewrites("ops.GetItem")
def rewrite_item(rewriting: Rewriting, use: Application) -> Any:
    """A slice; a number takes its axis away."""
    rank = len(use.inputs[0].shape)
    key = use.args[1] if len(use.args) > 1 else use.kwargs["key"]
    parts = _every_axis(use, key if isinstance(key, tuple) else (key,), rank)
    if parts[0] not in (slice(None), slice(None, None, 1)):
        raise use.refuse("takes some samples of the batch", "begin the index with ':'")
    bounds: list[Bounds] = []
    for part, length in zip(parts[1:], use.inputs[0].shape[1:], strict=True):
        if isinstance(part, slice):
            bounds.append((part.start, part.stop, part.step))
        else:
            place = int(part) % length
            bounds.append((place, place + 1, None))
    return _slice(rewriting, use, bounds)


@rewrites("ops.Split")
def rewrite_split(rewriting: Rewriting, use: Application) -> Any:
    """A slice for each part."""
    (tensor,) = use.inputs
    axis = use.layer.axis % len(tensor.shape)
    if axis == 0:
        raise use.refuse("splits the batch", "split another axis")
    length = tensor.shape[axis]
    given = use.layer.indices_or_sections
    borders = (
        [length // given * part for part in range(1, given)]
        if isinstance(given, int)
        else [int(border) for border in given]
    )
    parts = []
    for number, (start, stop) in enumerate(zip([0, *borders], [*borders, length], strict=True)):
        bounds: list[Bounds] = [(None, None, None)] * (len(tensor.shape) - 1)
        bounds[axis - 1] = (start, stop, None)
        name = use.name if number == 0 else rewriting.name(f"{use.name}_{number}")
        parts.append(rewriting.add(Slice(bounds, name=name), tensor))
    return parts


def _every_axis(use: Application, key: tuple[Any, ...], rank: int) -> list[Any]:
    if any(not isinstance(part, slice | int | np.integer) and part is not Ellipsis for part in key):
        raise use.refuse("is indexed by something else than slices and numbers", "use slices")
    parts = list(key)
    if Ellipsis not in key:
        parts.append(Ellipsis)
    place = parts.index(Ellipsis)
    parts[place : place + 1] = [slice(None)] * (rank - len(parts) + 1)
    return parts


def _slice(rewriting: Rewriting, use: Application, bounds: list[Bounds]) -> Any:
    layer = Slice(bounds, name=use.name)
    if tuple(layer.compute_output_shape(use.inputs[0].shape)[1:]) == use.shape:
        return rewriting.add(layer, *use.inputs)
    layer = Slice(bounds, name=rewriting.name(f"{use.name}_part"))
    part = rewriting.add(layer, *use.inputs)
    return rewriting.add(keras.layers.Reshape(use.shape, name=use.name), part)
