"""Axes in another order."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.moves import move
from tinyq.training.registry import lowers, rewrites
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step


@lowers("Permute", preserves=True, whole_bytes=True)
def lower_permute(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """A copy with the strides in another order."""
    order = [axis - 1 for axis in step.layer.dims]
    return move(lowering, step, inputs[0], lambda codes: codes.transpose(order))


@rewrites("ops.Transpose", "ops.Swapaxes", "ops.Moveaxis")
def rewrite_transpose(rewriting: Rewriting, use: Application) -> Any:
    """The layer of the same meaning."""
    marked = keras.KerasTensor(tuple(range(1, len(use.shape) + 2)))
    order = tuple(length - 1 for length in use.layer.compute_output_spec(marked).shape)
    if order[0] != 0:
        raise use.refuse("moves the axis of the batch", "leave the first axis where it is")
    return rewriting.add(keras.layers.Permute(order[1:], name=use.name), *use.inputs)
