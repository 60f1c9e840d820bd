"""PReLU: a trained slope for negative values, which can take up the scale of a quantizer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.errors import TinyqError
from tinyq.quantizers.parts.gradients import identity, with_gradient
from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.training import integer
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer

FORMAT = "s8"
LARGEST_SLOPE = 127
register = keras.saving.register_keras_serializable(package="tinyq")


@register
class QuantizedPReLU(ElementwiseLayer):
    """Slope 1 for positive values, a trained slope for the negative ones of each channel.

        a_code = floor(a / a_scale + 1/2),  a_scale = max |a| / 127, or 1 where all slopes are 0
        y      = x if x >= 0 else a_code * a_scale * x
        dy/da  = min(x, 0), as if the slope were not quantized

    In integers, both halves have a multiplier of their own, so that the scales of input, output and
    slopes cost nothing.

    Args:
        output_method: Activation method of the output; its format is s8.

    Twin: tinyq.graph.ops.prelu.Prelu
    Reference: He et al. 2015, arXiv:1502.01852, survey eq. 28.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.output_quantizer.format.name != FORMAT:
            raise TinyqError(
                f"the output has format {self.output_quantizer.format.name}",
                where=self.name,
                remedy="use int8, and let the reader change the format",
            )

    def build(self, input_shape: Any) -> None:
        """Create the slopes."""
        start = keras.initializers.Constant(0.25)
        self.alpha = self.add_weight(name="alpha", shape=(input_shape[-1],), initializer=start)
        super().build(input_shape)

    def slopes(self) -> tuple[Any, Any]:
        """Codes (float32 integers, shape (channels,)) and the real value of one step."""
        alpha = ops.convert_to_tensor(self.alpha)
        scale = ops.max(ops.abs(alpha)) * (1.0 / LARGEST_SLOPE)
        scale = ops.where(scale > 0, scale, ops.ones_like(scale))
        return round_half_up(alpha / scale), scale

    def folded(self) -> tuple[integer.Affine, integer.Affine]:
        """Multipliers of positive values and of products of negative values with slope codes."""
        gain = wide(self.input_encoding().scale) / wide(self.encoding().scale)
        _, scale = self.slopes()
        zero = ops.zeros_like(gain)
        return integer.fold_affine(gain, zero), integer.fold_affine(gain * wide(scale), zero)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        codes, scale = self.slopes()
        if training:
            rounded = ops.stop_gradient(codes * scale)
            slope = with_gradient(lambda alpha: rounded, identity)(self.alpha)
            return self.simulate(ops.where(inputs < 0, slope * inputs, inputs))
        difference = ops.cast(self.input_encoding().centered(inputs), "int64")
        positive, negative = self.folded()
        falling = integer.requantize(difference * ops.cast(codes, "int64"), negative)
        chosen = ops.where(difference < 0, falling, integer.requantize(difference, positive))
        encoding = self.encoding()
        lo, hi = self.clip_range()
        chosen = chosen + ops.cast(encoding.zero_point, "int64")
        return encoding.real(ops.minimum(ops.maximum(chosen, lo), hi))
