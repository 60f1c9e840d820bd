"""The same codes under another shape."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.registry import lowers, rewrites
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step


@lowers("Flatten", "Reshape", preserves=True)
def lower_reshape(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """The same codes under another shape."""
    plain(inputs[0], step)
    return lowering.reshape(step, inputs[0], step.shape)


@rewrites("ops.Reshape", "ops.Squeeze", "ops.ExpandDims")
def rewrite_reshape(rewriting: Rewriting, use: Application) -> Any:
    """The layer of the same meaning; the samples stay apart."""
    batch = tuple(use.layer.compute_output_spec(*use.args, **use.kwargs).shape)[0]
    if batch is not None:
        raise use.refuse("changes the axis of the batch", "begin the new shape with -1")
    return rewriting.add(keras.layers.Reshape(use.shape, name=use.name), *use.inputs)
