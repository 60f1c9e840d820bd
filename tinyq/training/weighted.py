"""What layers with weights share: convolutions and the fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers import find_weights
from tinyq.quantizers.backward import GRADIENTS, round_gradient
from tinyq.quantizers.method import Method
from tinyq.training.base import FinishedLayer, wide
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule

_FLOAT32_INTEGERS = 2**24
_REGULARIZERS = {"kernel_regularizer", "depthwise_regularizer"}
_WHOLE_BITS = 8
OWN_OPTIONS = ("name", "activation", "dtype", "quantization_config")


class WeightedLayer(FinishedLayer):
    """A layer with a kernel: quantized weights, bias, BatchNorm, activation, epilogue.

    Args:
        weight_method: Method of the weights, or its name.
        gradient_method: Key of ``GRADIENTS`` that rounds the gradient by the sums, or None.
    """

    shared_axes: tuple[int, ...]
    reduced_axes: tuple[int, ...]
    computes_with_codes: bool = False
    """Whether training computes with the device's weights, without a gradient."""
    damping: float = 0.0
    """Strength of a term of the loss that holds weights near the values of their codes."""
    rounding: Callable[[], Any] | None = None
    """What gives the kernel that training computes with, in place of the method."""

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
        _ = self.activation_name

    def build(self, input_shape: Any) -> None:
        """Create kernel, bias and the state of the epilogue."""
        super().build(input_shape)
        self.finish_build(input_shape)

    def finish_build(self, input_shape: Any) -> None:
        """Create the state of quantizers and epilogue, where the kernel exists."""
        self.weight_quantizer.build(self.kernel.shape)
        if self.weight_quantizer.updates:
            self.kernel.constraint = self.weight_quantizer.updated
        self.build_epilogue(self.compute_output_shape(input_shape))

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        options: dict[str, Any] = {"weight_method": self.weight_method}
        if self.gradient_method is not None:
            options["gradient_method"] = self.gradient_method
        return {**super().get_config(), **options}

    def take_weights(self, layer: Any) -> None:
        """Copy kernel and bias of the float layer."""
        self.kernel.assign(self.order_kernel(layer.kernel))
        if self.use_bias:
            self.bias.assign(layer.bias)

    def order_kernel(self, kernel: Any) -> Any:
        """The float layer's kernel with the axes that this layer's has."""
        return kernel

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

    def inference_kernel(self) -> Any:
        """Codes of the kernel in the dtype that inference adds them in."""
        codes, _ = self.weight_quantizer.split(self.kernel)
        return ops.cast(codes, self.accumulator_dtype())

    def training_kernel(self) -> Any:
        """Kernel that training computes with."""
        if self.rounding is not None:
            return self.rounding()
        quantizer = self.weight_quantizer
        if self.damping:
            distance = self.kernel - ops.stop_gradient(quantizer.quantized(self.kernel))
            self.add_loss(self.damping * ops.sum(ops.square(distance)))
        return (quantizer.quantized if self.computes_with_codes else quantizer)(self.kernel)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            sums = self.accumulate(inputs, self.training_kernel())
            sums = sums + self.bias if self.use_bias else sums
            if self.gradient_method is not None:
                sums = round_gradient(sums, GRADIENTS[self.gradient_method], self.gradient_noise)
            return self.simulate(sums)
        kernel = self.inference_kernel()
        centered = self.input_encoding().centered(inputs)
        acc = self.accumulate(ops.cast(centered, kernel.dtype), kernel)
        # The sums are exact where convolutions are computed directly; rounding takes back the small
        # errors of fast algorithms that some devices choose.
        return self.finish(ops.cast(ops.round(acc), "int64"))


def has_few_bits(rule: Rule) -> bool:
    """Whether a rule gives weights of fewer than 8 bits."""
    assert rule.weights is not None
    return find_format(find_weights(rule.weights).format).bits < _WHOLE_BITS


def build_weighted(quantized: type) -> Callable[[FusedLayer, dict[str, Any], Rule], Any]:
    """The builder of a quantized layer that has the options of its float layer."""

    def build(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> Any:
        config = {k: v for k, v in fused.layer.get_config().items() if k not in OWN_OPTIONS}
        if not rule.weight_decay and has_few_bits(rule):
            config |= dict.fromkeys(_REGULARIZERS & config.keys())
        methods = {"weight_method": rule.weights, "gradient_method": rule.gradients}
        return quantized(**config, **options, **methods)

    return build
