"""Convolutions of groups, and depthwise ones with weights of 9 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.window import Window
from tinyq.importers.double_rows import double_window
from tinyq.importers.onnx.layer import Layer
from tinyq.importers.onnx.weights import Weights

Int64s = npt.NDArray[np.int64]


def grouped_weights(layer: Layer, weights: Weights, groups: int) -> Weights:
    """Weights of groups as those of one, with zeros between.

    Args:
        layer: The operator.
        weights: (outputs, height, width, inputs of a group).
        groups: How many.
    """
    outputs, height, width, depth = weights.codes.shape
    layer.conversion.spend(weights.codes.size * groups)
    wide = np.zeros((outputs, height, width, depth * groups), np.int64)
    each = outputs // groups
    for group in range(groups):
        rows, columns = slice(group * each, (group + 1) * each), group * depth
        wide[rows, :, :, columns : columns + depth] = weights.codes[rows]
    return Weights(wide, weights.scales)


def twice_rows(
    layer: Layer, name: str, window: Window, halves: list[Int64s]
) -> tuple[str, Window, Int64s]:
    """A depthwise window over an image whose rows stand twice, one for each half of the weights."""
    name = layer.widened(name)
    height, width, channels = layer.builder.type(name).shape
    copy = StridedCopy((height, 2, width, channels), (width * channels, 0, channels, 1))
    name = layer.apply(copy, name, suffix="rows_twice")
    name = layer.reshape(name, (2 * height, width, channels))
    return name, *double_window(window, halves)
