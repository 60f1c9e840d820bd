"""Maxima over windows and over all positions: codes are handed on as they are."""

from __future__ import annotations

from typing import Any

from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.window import Window, same_padding
from tinyq.training.layers.global_average_pooling import reduce_positions
from tinyq.training.lowering.emission import NO_PADDING, Lowering, Value
from tinyq.training.lowering.windows import image_shape, pair, plain, whole_window
from tinyq.training.registry import lowers, rewrites
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step


@lowers("MaxPooling1D", "MaxPooling2D", preserves=True)
def lower_max_pooling(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Largest code of each window."""
    layer = step.layer
    plain(inputs[0], step)
    size, stride = pair(layer.pool_size, 1), pair(layer.strides, 1)
    padding = NO_PADDING
    if layer.padding == "same":
        padding = same_padding(image_shape(step.shapes[0]), size, stride, (1, 1))
    return lowering.on_image(step, inputs[0], MaxPool2D(Window(size, stride, (1, 1), padding)))


@lowers("GlobalMaxPooling1D", "GlobalMaxPooling2D", preserves=True)
def lower_global_max(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Largest code of each channel."""
    plain(inputs[0], step)
    return lowering.on_image(step, inputs[0], MaxPool2D(whole_window(step)))


@rewrites("ops.Max")
def rewrite_max(rewriting: Rewriting, use: Application) -> Any:
    """A maximum over all axes but the channels is a pool."""
    return reduce_positions(rewriting, use, 1)
