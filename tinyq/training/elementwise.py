"""Layers that work value by value: the input, stand-alone activations, addition, joining."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.quantizers import Encoding
from tinyq.training import integer
from tinyq.training.base import FinishedLayer, QuantizedLayer, wide

LEFT_SHIFT = 16
FACTOR_ONE = 2**14
register = keras.saving.register_keras_serializable(package="tinyq")


class ElementwiseLayer(FinishedLayer):
    """A finished layer whose output has the shape of its first input.

    Args:
        activation: One of ``ACTIVATIONS``.
    """

    def __init__(self, activation: str = "linear", **options: Any) -> None:
        super().__init__(**options)
        self.activation = keras.activations.get(activation)
        _ = self.activation_name

    def build(self, input_shape: Any) -> None:
        """Create the state of the output stage."""
        self.build_stage(self.compute_output_shape(input_shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the first input."""
        return tuple(input_shape[0] if isinstance(input_shape[0], tuple | list) else input_shape)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "activation": self.activation_name}


@register
class QuantizedInput(ElementwiseLayer):
    """Real inputs to codes.

        code = clip(floor(x / scale + 1/2) + zero_point, lo, hi)

    Twin: tinyq.graph.reference.quantize_input
    """

    def _find_sources(self, tensors: list[Any]) -> tuple[Any, ...]:
        return ()

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Quantized inputs."""
        if training:
            return self.output_quantizer(inputs, training=True)
        encoding = self.encoding()
        return encoding.real(encoding.codes(inputs))


@register
class QuantizedActivation(ElementwiseLayer):
    """Stand-alone BatchNorm, ReLU, sign or change of format.

    In integers: acc = (code - zero_point) * 2**left_shift, then the output stage.
    """

    def left_shift(self) -> int:
        """Bits by which codes are raised, so that a BatchNorm's offset is not coarse."""
        return LEFT_SHIFT if self.batch_norm is not None else 0

    def accumulator_map(self) -> tuple[Any, Any]:
        """Scale of the input per raised unit, no offset; float64."""
        gain = wide(self.input_encoding().scale) * 2.0 ** -self.left_shift()
        return gain, ops.zeros_like(gain)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(inputs)
        centered = ops.cast(self.input_encoding().centered(inputs), "int64")
        return self.finish(centered * (1 << self.left_shift()))


@register
class QuantizedAdd(ElementwiseLayer):
    """Sum of two tensors, rounded once.

    acc = (a - a_zero) * a_factor + (b - b_zero) * b_factor
    factor_i = floor(2**14 * scale_i / max(scale_a, scale_b) + 1/2)
    """

    def factors(self) -> tuple[Any, Any]:
        """Integer factors that stand for the scales of the inputs, int64."""
        scales = [wide(self.input_encoding(index).scale) for index in range(2)]
        largest = ops.maximum(*scales)
        first, second = (
            ops.cast(ops.floor(scale / largest * FACTOR_ONE + 0.5), "int64") for scale in scales
        )
        return first, second

    def accumulator_map(self) -> tuple[Any, Any]:
        """Largest scale of the inputs per 2**14 units, no offset; float64."""
        scales = [wide(self.input_encoding(index).scale) for index in range(2)]
        gain = ops.maximum(*scales) * (1.0 / FACTOR_ONE)
        return gain, ops.zeros_like(gain)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        first, second = inputs
        if training:
            return self.simulate(first + second)
        centered = [
            ops.cast(self.input_encoding(index).centered(values), "int64")
            for index, values in enumerate(inputs)
        ]
        first_factor, second_factor = self.factors()
        return self.finish(centered[0] * first_factor + centered[1] * second_factor)


@register
class QuantizedConcatenate(ElementwiseLayer):
    """Tensors side by side along the channels, brought to one scale.

    Every input passes an output stage of its own, then the codes are joined.
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Channels added up."""
        first = input_shape[0]
        return (*first[:-1], sum(shape[-1] for shape in input_shape))

    def branch_map(self, index: int) -> tuple[Any, Any]:
        """Output codes per code of an input, no offset; float64."""
        gain = wide(self.input_encoding(index).scale)
        if self.output_quantizer.format.step != 2:
            gain = gain / wide(self.encoding().scale)
        return gain, ops.zeros_like(gain)

    def _branch(self, index: int, values: Any) -> Any:
        acc = ops.cast(self.input_encoding(index).centered(values), "int64")
        return self.finish_map(acc, *self.branch_map(index))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(ops.concatenate(inputs, axis=-1))
        branches = [self._branch(index, values) for index, values in enumerate(inputs)]
        return ops.concatenate(branches, axis=-1)


@register
class QuantizedSoftmax(QuantizedLayer):
    """Softmax over the last axis by a table of exponentials; training uses the real softmax.

    Twin: tinyq.numerics.rounding.softmax
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the input."""
        return input_shape

    def encoding(self) -> Encoding:
        """Codes of scale 1/256 and zero point -128."""
        one = ops.ones((), "float32")
        return Encoding(self.source().encoding().format, one * (1.0 / 256.0), one * -128.0)

    def table(self) -> Any:
        """Exponentials for the input's scale, int64, shape (256,)."""
        return integer.softmax_table(wide(self.input_encoding().scale))

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Probabilities."""
        if training:
            return ops.softmax(inputs, axis=-1)
        centered = ops.cast(self.input_encoding().centered(inputs), "int64")
        return self.encoding().real(integer.softmax(centered, self.table()))


@register
class Argmax(QuantizedLayer):
    """Index of the largest value along the last axis, the first of equals; for deployment only.

    It has no gradient: add it to a trained model.
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One value in place of the channels."""
        return (*input_shape[:-1], 1)

    def call(self, inputs: Any) -> Any:
        """Indexes as float32."""
        return ops.cast(ops.argmax(inputs, axis=-1, keepdims=True), "float32")
