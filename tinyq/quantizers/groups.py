"""Ternary weights with a scale for each small group of a filter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers.parts.clusters import MOST
from tinyq.quantizers.parts.gradients import with_gradient
from tinyq.quantizers.parts.levels import Ternary
from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.quantizers.parts.scales import kept_mean_scale
from tinyq.quantizers.parts.steps import Axes, best_ternary_threshold
from tinyq.quantizers.weights import WeightParts, WeightQuantizer


@dataclass(frozen=True, slots=True)
class GroupParts(WeightParts):
    """What a ternary quantizer with scales of groups is made of.

        D_g, a_g = argmin |w_g - a t|**2 for each group g of a filter
        codes    = t * floor(a_g / scale + 1/2),  scale = max_g a_g / 127
        w_q      = codes * scale

    Attributes:
        size: Weights of one group: neighbours along the input channels.
    """

    size: int = field(default=8, kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer, or one with a scale per filter where filters have one input channel."""
        return GroupQuantizer(self, axes, **options)


class GroupQuantizer(WeightQuantizer):
    """Quantizes a kernel to ternary groups.

    A filter of a depthwise convolution has one input channel and is a group of its own, so that
    its format is plain ternary.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: GroupParts

    @property
    def magnitude(self) -> int:
        """Largest absolute code."""
        return MOST if self.mixes else 1

    def format(self, kernel: Any) -> Format:
        """Number format of the codes, with scales for the axes (out, ..., groups)."""
        if not self.mixes:
            return find_format("t2")
        _, scales, _ = self._grouped(ops.convert_to_tensor(kernel))
        rows = np.moveaxis(ops.convert_to_numpy(scales)[..., 0, :], -1, 0)
        return find_format(self.parts.format).with_groups(self.parts.size, rows.astype(int))

    def split(self, kernel: Any) -> tuple[Any, Any]:
        """Codes (float32 integers, shape of the kernel) and scales (dimensions kept)."""
        weights = ops.convert_to_tensor(kernel)
        if not self.mixes:
            return super().split(weights)
        signs, scales, unit = self._grouped(weights)
        *outer, inputs, outputs = weights.shape
        codes = ops.reshape(signs * scales, (*outer, -1, outputs))[..., :inputs, :]
        return codes, unit

    def _grouped(self, weights: Any) -> tuple[Any, Any, Any]:
        """Signs (..., groups, size, out), whole scales of groups, and the real value of 1."""
        size, inputs = self.parts.size, weights.shape[-2]
        sides = [(0, 0)] * len(weights.shape)
        sides[-2] = (0, -inputs % size)
        padded = ops.pad(weights, sides)
        *outer, _, outputs = weights.shape
        groups = ops.reshape(padded, (*outer, -1, size, outputs))
        axes = (len(groups.shape) - 2,)
        threshold = best_ternary_threshold(groups, axes)
        signs = Ternary().encode(groups, threshold)
        reals = kept_mean_scale(groups, signs, threshold, axes)
        unit = ops.max(reals, axis=tuple(range(len(groups.shape) - 1)), keepdims=True)
        unit = ops.where(unit > 0, unit, ops.ones_like(unit)) * (1.0 / MOST)
        shape = (1,) * (len(weights.shape) - 1) + (outputs,)
        return signs, round_half_up(reals / unit), ops.reshape(unit, shape)

    def _trained(self, weights: Any) -> Any:
        """Quantized weights with their gradient."""
        if not self.mixes:
            return super()._trained(weights)

        def forward(values: Any) -> Any:
            codes, scale = self.split(values)
            return codes * scale

        return with_gradient(forward, self.parts.gradient)(weights)
