"""Images and sequences made larger or smaller by repeating and picking pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.training.layers.interpolation import Interpolation
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.moves import move
from tinyq.training.lowering.windows import plain
from tinyq.training.registry import lowers, rewrites, serializable
from tinyq.training.resized import Resized
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step

_NEAREST = "nearest"


@lowers("UpSampling1D", preserves=True, whole_bytes=True)
def lower_up_sampling1d(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """A copy that stands still for every step's repetitions."""
    length, channels = step.shapes[0]
    shape = (length, int(step.layer.size), channels)
    return move(lowering, step, inputs[0], lambda codes: np.broadcast_to(codes[:, None], shape))


@lowers("UpSampling2D", "PickedResizing", preserves=True, whole_bytes=True)
def lower_picking(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Pixels by row and column."""
    height, width, _ = step.shapes[0]
    rows = lowering.constant(step, "rows", _picked(height, step.shape[0]), "u16")
    columns = lowering.constant(step, "columns", _picked(width, step.shape[1]), "u16")
    return lowering.apply(step, PickPixels(), plain(inputs[0], step), rows, columns)


def _picked(length: int, wanted: int) -> np.ndarray:
    """Place of the nearest pixel: floor((i + 1/2) * length / wanted)."""
    return (2 * np.arange(wanted) + 1) * length // (2 * wanted)


@serializable
class PickedResizing(Resized):
    """An image of another size, of the nearest pixels."""

    def call(self, inputs: Any) -> Any:
        """Pixels by row and column."""
        rows = _picked(inputs.shape[1], self.size[0])
        columns = _picked(inputs.shape[2], self.size[1])
        return ops.take(ops.take(inputs, rows, axis=1), columns, axis=2)


@rewrites("UpSampling2D")
def rewrite_up_sampling(rewriting: Rewriting, use: Application) -> Any:
    """Itself, or an interpolation."""
    if use.layer.interpolation == _NEAREST:
        return rewriting.copy(use)
    return _resize(rewriting, use)


@rewrites("Resizing")
def rewrite_resizing(rewriting: Rewriting, use: Application) -> Any:
    """Nearest pixels, or an interpolation."""
    for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        if getattr(use.layer, option, False):
            raise use.refuse(f"resizes with {option}", f"leave {option} out")
    return _resize(rewriting, use)


def _resize(rewriting: Rewriting, use: Application) -> Any:
    height, width, _ = use.shape
    if use.layer.interpolation == _NEAREST:
        return rewriting.add(PickedResizing(height, width, name=use.name), *use.inputs)
    if use.layer.interpolation == "bilinear":
        return rewriting.add(Interpolation(height, width, name=use.name), *use.inputs)
    raise use.refuse(
        f"{use.layer.interpolation} interpolation is not supported", "use nearest or bilinear"
    )
