"""Images and sequences made larger or smaller by repeating and picking pixels."""

from __future__ import annotations

import numpy as np

from tinyq.graph.ops.pick_pixels import PickPixels
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.moves import move
from tinyq.training.lowering.windows import plain
from tinyq.training.registry import lowers
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
