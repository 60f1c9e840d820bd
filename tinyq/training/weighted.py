"""Layers with weights: convolutions and the fully connected layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import TinyqError
from tinyq.numerics.formats import Format
from tinyq.quantizers import find_weights
from tinyq.quantizers.backward import GRADIENTS, round_gradient
from tinyq.quantizers.method import Method
from tinyq.training.base import FinishedLayer, wide

_FLOAT32_INTEGERS = 2**24
register = keras.saving.register_keras_serializable(package="tinyq")


class WeightedLayer(FinishedLayer):
    """A layer with a kernel: quantized weights, bias, BatchNorm, activation, output stage.

    Args:
        weight_method: Method of the weights, or its name.
        gradient_method: Key of ``GRADIENTS`` that rounds the gradient by the sums, or None.
    """

    shared_axes: tuple[int, ...]
    reduced_axes: tuple[int, ...]

    def __init__(
        self,
        *args: Any,
        weight_method: str | Method = "int8",
        gradient_method: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.weight_method = str(weight_method)
        self.gradient_method = gradient_method
        if gradient_method is not None:
            self.gradient_noise = keras.random.SeedGenerator(2)
        parts = find_weights(self.weight_method)
        self.weight_quantizer = parts.build(self.shared_axes, name="weight_quantizer")
        if getattr(self, "groups", 1) != 1:
            raise TinyqError(
                "grouped convolution is not supported",
                where=self.name,
                remedy="use DepthwiseConv2D, or split and concatenate",
            )
        _ = self.activation_name

    def build(self, input_shape: Any) -> None:
        """Create kernel, bias and the state of the output stage."""
        super().build(input_shape)
        self.weight_quantizer.build(self.kernel.shape)
        if self.weight_quantizer.updates:
            self.kernel.constraint = self.weight_quantizer.updated
        self.build_stage(self.compute_output_shape(input_shape))

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        options: dict[str, Any] = {"weight_method": self.weight_method}
        if self.gradient_method is not None:
            options["gradient_method"] = self.gradient_method
        return {**super().get_config(), **options}

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Sums of products, without bias, in the dtype of the arguments."""
        raise NotImplementedError

    def weight_codes(self) -> np.ndarray:
        """Integer codes of the kernel, int32, in the kernel's shape."""
        codes, _ = self.weight_quantizer.split(self.kernel)
        return ops.convert_to_numpy(codes).astype(np.int32)

    def weight_format(self) -> Format:
        """Number format of the kernel's codes, with its table."""
        return self.weight_quantizer.format(self.kernel)

    def accumulator_map(self) -> tuple[Any, Any]:
        """Product of both scales per output channel, and the bias; float64."""
        _, scale = self.weight_quantizer.split(self.kernel)
        gain = wide(ops.reshape(scale, (-1,))) * wide(self.input_encoding().scale)
        bias = wide(self.bias) if self.use_bias else ops.zeros_like(gain)
        return gain, bias

    def accumulator_dtype(self) -> str:
        """The narrowest float in which every partial sum is exact."""
        source = self.input_encoding().format
        reach = source.hi - source.lo if source.lo < -1 else source.hi
        terms = int(np.prod([self.kernel.shape[axis] for axis in self.reduced_axes]))
        largest = terms * self.weight_quantizer.magnitude * reach
        return "float32" if largest < _FLOAT32_INTEGERS else "float64"

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            sums = self.accumulate(inputs, self.weight_quantizer(self.kernel))
            sums = sums + self.bias if self.use_bias else sums
            if self.gradient_method is not None:
                sums = round_gradient(sums, GRADIENTS[self.gradient_method], self.gradient_noise)
            return self.simulate(sums)
        dtype = self.accumulator_dtype()
        codes, _ = self.weight_quantizer.split(self.kernel)
        centered = self.input_encoding().centered(inputs)
        acc = self.accumulate(ops.cast(centered, dtype), ops.cast(codes, dtype))
        # The sums are exact where convolutions are computed directly; rounding takes back the small
        # errors of fast algorithms that some devices choose.
        return self.finish(ops.cast(ops.round(acc), "int64"))


@register
class QuantizedConv2D(WeightedLayer, keras.layers.Conv2D):
    """Convolution with few-bit weights; options of Conv2D, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0, 1, 2)
    reduced_axes = (0, 1, 2)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Convolution."""
        return self.convolution_op(inputs, kernel)


@register
class QuantizedConv1D(WeightedLayer, keras.layers.Conv1D):
    """Convolution over time; options of Conv1D, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0, 1)
    reduced_axes = (0, 1)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Convolution; causal padding is zeros before the start."""
        padding = self.padding
        if padding == "causal":
            inputs = ops.pad(inputs, self._compute_causal_padding())
            padding = "valid"
        return ops.conv(inputs, kernel, list(self.strides), padding, None, self.dilation_rate)


@register
class QuantizedDepthwiseConv2D(WeightedLayer, keras.layers.DepthwiseConv2D):
    """Depthwise convolution; options of its Keras twin, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0, 1)
    reduced_axes = (0, 1)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Convolution of each channel on its own."""
        return ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, None, self.dilation_rate
        )


@register
class QuantizedDense(WeightedLayer, keras.layers.Dense):
    """Fully connected layer; options of Dense, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0,)
    reduced_axes = (0,)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Matrix product over the last axis."""
        return ops.matmul(inputs, kernel)
