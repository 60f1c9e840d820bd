"""A tensor plus a constant of its shape, such as positional encodings."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from tinyq.graph.ops.add import Add
from tinyq.numerics.formats import find_format
from tinyq.quantizers import Encoding
from tinyq.training.base import wide
from tinyq.training.layers.add import QuantizedAdd
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, serializable
from tinyq.training.tracing import Step

_FORMAT, _MOST, _SMALLEST = "s8", 127.0, 1e-6


@serializable
class QuantizedConstantSum(QuantizedAdd):
    """A tensor plus a constant, whose codes have 8 bits.

    constant = scale * code,  scale = max |constant| / 127
    """

    def build(self, input_shape: Any) -> None:
        """Create the constant and the state of the epilogue."""
        self.constant = self.add_weight(
            name="constant", shape=input_shape[1:], initializer="zeros", trainable=False
        )
        super().build(input_shape)

    def take_weights(self, layer: Any) -> None:
        """Copy the constant of the float layer."""
        self.constant.assign(layer.constant)

    def input_encoding(self, index: int = 0) -> Encoding:
        """What codes of the input mean, and at 1 those of the constant."""
        if index == 0:
            return super().input_encoding()
        largest = ops.maximum(ops.max(ops.abs(wide(self.constant))), _SMALLEST)
        scale = ops.cast(largest * (1.0 / _MOST), "float32")
        return Encoding(find_format(_FORMAT), scale, ops.zeros_like(scale))

    def constant_codes(self) -> Any:
        """Codes of the constant, float64."""
        steps = wide(self.constant) / wide(self.input_encoding(1).scale)
        return ops.clip(ops.floor(steps + 0.5), -_MOST, _MOST)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        values = self.input_encoding(1).real(self.constant_codes())
        return super().call((inputs, ops.expand_dims(values, 0)), training)


@quantizes("ConstantSum", fuses=True)
def build_constant_sum(
    fused: FusedLayer, options: dict[str, Any], rule: Rule
) -> QuantizedConstantSum:
    """A sum with a constant."""
    del fused, rule
    return QuantizedConstantSum(**options)


@lowers("QuantizedConstantSum")
def lower_constant_sum(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Sum of a tensor and a constant."""
    layer = step.layer
    factors = [int(ops.convert_to_numpy(factor)) for factor in layer.factors()]
    zeros = [zero_of(layer.input_encoding(index)) for index in range(2)]
    epilogue, constants = lowering.epilogue(step, layer.code_map(), step.shape[-1])
    codes = np.asarray(ops.convert_to_numpy(layer.constant_codes()), np.int32)
    term = lowering.constant(step, "constant", codes, _FORMAT)
    operation = Add(epilogue, *factors, *zeros)
    return lowering.apply(step, operation, plain(inputs[0], step), term, *constants)
