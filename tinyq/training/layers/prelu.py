"""PReLU: a trained slope for negative values, which can take up the scale of a quantizer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.errors import ModelError, TinyqError
from tinyq.graph.ops.prelu import Prelu
from tinyq.quantizers import find_activations
from tinyq.quantizers.parts.gradients import identity, with_gradient
from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.training import integer
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.lowering.emission import Lowering, Value, type_of, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step

METHOD, FORMAT = "int8", "s8"
LARGEST_SLOPE = 127


@serializable
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

    def take_weights(self, layer: Any) -> None:
        """Copy the slopes of the float layer."""
        self.alpha.assign(ops.reshape(layer.alpha, (-1,)))

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


@quantizes("PReLU", emits=METHOD)
def build_prelu(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedPReLU:
    """A PReLU of 8-bit codes."""
    if find_activations(rule.activations or METHOD).format != FORMAT:
        raise ModelError(
            f"a PReLU cannot read {rule.activations!r}", where=fused.name, remedy="let it read int8"
        )
    return QuantizedPReLU(**options)


@lowers("QuantizedPReLU")
def lower_prelu(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """A multiplier for positive values, one for negative ones, and the codes of the slopes."""
    layer = step.layer
    codes, _ = layer.slopes()
    slopes = lowering.constant(step, "slopes", ops.convert_to_numpy(codes).astype(int), "s8")
    (up, up_shift), (down, down_shift) = (
        (int(ops.convert_to_numpy(half.multiplier)), int(ops.convert_to_numpy(half.shift)))
        for half in layer.folded()
    )
    output = type_of(layer.encoding(), step.shape)
    zero = zero_of(layer.input_encoding())
    scale = float(output.scale or 1.0)
    operation = Prelu(up, up_shift, down, down_shift, 0, zero, output.zero_point, scale)
    return lowering.apply(step, operation, plain(inputs[0], step), slopes)


@rewrites("PReLU")
def rewrite_prelu(rewriting: Rewriting, use: Application) -> Any:
    """Itself, where the channels share a slope; with a slope for each position it is flat."""
    if any(length != 1 for length in use.layer.alpha.shape[:-1]):
        return _flat(rewriting, use)
    return rewriting.copy(use)


def _flat(rewriting: Rewriting, use: Application) -> Any:
    """A PReLU of a vector between two reshapes."""
    slopes = ops.convert_to_numpy(ops.broadcast_to(use.layer.alpha, use.shape)).reshape(-1)
    flat = keras.layers.Flatten(name=rewriting.name(f"{use.name}_flat"))
    layer = keras.layers.PReLU(name=use.name)
    back = keras.layers.Reshape(use.shape, name=rewriting.name(f"{use.name}_shape"))
    values = rewriting.add(layer, rewriting.add(flat, *use.inputs))
    layer.alpha.assign(slopes)
    return rewriting.add(back, values)
