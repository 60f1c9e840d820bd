"""Zeros around an image or a sequence."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.graph.ops.pad2d import Pad2D
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import join_padding
from tinyq.training.registry import lowers, rewrites
from tinyq.training.rewriting import Application, Rewriting, constant_of
from tinyq.training.tracing import Step


@lowers("ZeroPadding1D", "ZeroPadding2D", preserves=True)
def lower_padding(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Zeros around an image; around a binary one they are left to the next convolution."""
    sides = step.layer.padding
    if isinstance(sides[0], int):
        sides = ((0, 0), sides)
    top, bottom, left, right = (int(side) for pair in sides for side in pair)
    padding = (top, bottom, left, right)
    kind = lowering.type(inputs[0])
    if kind.format.step == 2:
        return Value(inputs[0].name, join_padding(inputs[0].padding, padding))
    return lowering.on_image(step, inputs[0], Pad2D(padding, kind.zero_point))


@rewrites("ops.Pad")
def rewrite_pad(rewriting: Rewriting, use: Application) -> Any:
    """The layer of the same meaning."""
    widths = [tuple(int(side) for side in pair) for pair in use.layer.pad_width]
    value = constant_of(use.kwargs.get("constant_values"))
    zeros = use.layer.mode == "constant" and (value is None or not value.any())
    inner = widths[1:-1]
    if not zeros or widths[0] != (0, 0) or widths[-1] != (0, 0) or len(inner) not in (1, 2):
        raise use.refuse(
            "pads the batch, the channels, or with other values than 0",
            "pad height and width, or time, with zeros",
        )
    if len(inner) == 1:
        return rewriting.add(keras.layers.ZeroPadding1D(inner[0], name=use.name), *use.inputs)
    return rewriting.add(keras.layers.ZeroPadding2D(tuple(inner), name=use.name), *use.inputs)
