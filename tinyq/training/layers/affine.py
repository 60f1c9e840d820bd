"""A constant factor and offset for every channel: Rescaling, Normalization, ``2 * x + 1``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.training.layers.activation import LEFT_SHIFT, QuantizedActivation, lower_activation
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting, constant_of, single_constant


class Affine(keras.layers.Layer):
    """``scale * x + offset`` in a plain float model.

    Args:
        scale: One number, or one for each channel.
        offset: Likewise.
    """

    def __init__(self, scale: Sequence[float], offset: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        self.scale = [float(number) for number in scale]
        self.offset = [float(number) for number in offset]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the input."""
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Scaled and shifted values."""
        return inputs * ops.cast(self.scale, inputs.dtype) + ops.cast(self.offset, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


@serializable
class QuantizedAffine(QuantizedActivation):
    """A constant factor and offset, then BatchNorm and ReLU.

        acc = (code - zero_point) * 2**left_shift,  real = scale * acc_scale * acc + offset

    Args:
        scale: One number, or one for each channel.
        offset: Likewise.
    """

    def __init__(self, scale: Sequence[float], offset: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        self.scale = [float(number) for number in scale]
        self.offset = [float(number) for number in offset]

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}

    def left_shift(self) -> int:
        """Bits by which codes are raised, so that the offset is not coarse."""
        return LEFT_SHIFT

    def accumulator_map(self) -> tuple[Any, Any]:
        """Scale of the input per raised unit times the factor, and the offset; float64."""
        gain, _ = super().accumulator_map()
        scale, offset = (
            ops.convert_to_tensor(numbers, "float64") for numbers in (self.scale, self.offset)
        )
        ones = ops.ones_like(scale * offset)
        return gain * scale * ones, offset * ones

    def simulate(self, values: Any) -> Any:
        """Output values in training."""
        scale, offset = (ops.cast(numbers, values.dtype) for numbers in (self.scale, self.offset))
        return super().simulate(values * scale + offset)


@quantizes("Affine", fuses=True)
def build_affine(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedAffine:
    """A change of scale with the numbers of the float layer."""
    del rule
    return QuantizedAffine(scale=fused.layer.scale, offset=fused.layer.offset, **options)


lowers("QuantizedAffine")(lower_activation)


def shift_by(rewriting: Rewriting, use: Application, scale: Any, offset: Any) -> Any:
    """A tensor times a constant plus a constant, which may have a value for each channel."""
    factors = [_by_channel(use, np.asarray(value, np.float64)) for value in (scale, offset)]
    return rewriting.add(Affine(*factors, name=use.name), *use.inputs)


def _by_channel(use: Application, values: np.ndarray) -> list[float]:
    channels = use.inputs[0].shape[-1]
    if values.size == 1:
        return [float(values.reshape(()))]
    if values.size != channels or values.shape[-1] != channels or len(use.shape) < values.ndim - 1:
        raise use.refuse(
            f"a constant of shape {values.shape} meets a tensor of shape {use.shape}",
            "use one number, or one for each channel",
        )
    return [float(number) for number in values.reshape(-1)]


@rewrites("ops.Divide", "ops.TrueDivide")
def rewrite_division(rewriting: Rewriting, use: Application) -> Any:
    """A factor, where the divisor is constant."""
    divisor = single_constant(use)
    if divisor is None or constant_of(use.args[1]) is None or not np.all(divisor):
        raise use.refuse("divides by a computed tensor or by 0", "multiply by a constant")
    return shift_by(rewriting, use, 1.0 / divisor, 0.0)


@rewrites("ops.Negative")
def rewrite_negative(rewriting: Rewriting, use: Application) -> Any:
    """The factor -1."""
    return shift_by(rewriting, use, -1.0, 0.0)


@rewrites("Rescaling")
def rewrite_rescaling(rewriting: Rewriting, use: Application) -> Any:
    """A factor and an offset."""
    return shift_by(rewriting, use, use.layer.scale, use.layer.offset)


@rewrites("Normalization")
def rewrite_normalization(rewriting: Rewriting, use: Application) -> Any:
    """A factor and an offset: (x - mean) / max(deviation, epsilon)."""
    layer = use.layer
    mean, variance = (
        np.asarray(ops.convert_to_numpy(value), np.float64)
        for value in (layer.mean, layer.variance)
    )
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    if layer.invert:
        return shift_by(rewriting, use, deviation, mean)
    return shift_by(rewriting, use, 1.0 / deviation, -mean / deviation)
