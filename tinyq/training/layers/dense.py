"""The fully connected layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tinyq.graph.ops.dense import Dense
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.registry import lowers, quantizes, serializable
from tinyq.training.tracing import Step
from tinyq.training.weighted import WeightedLayer, build_weighted


@serializable
class QuantizedDense(WeightedLayer, keras.layers.Dense):
    """Fully connected layer; options of Dense, ``WeightedLayer``, ``FinishedLayer``."""

    shared_axes = (0,)
    reduced_axes = (0,)

    def accumulate(self, inputs: Any, kernel: Any) -> Any:
        """Matrix product over the last axis."""
        return ops.matmul(inputs, kernel)


quantizes("Dense", weighted=True, fuses=True, equalizes=True)(build_weighted(QuantizedDense))


@lowers("QuantizedDense")
def lower_dense(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Fully connected layer."""
    layer = step.layer
    codes = layer.weight_codes().T
    weights = lowering.constant(step, "weights", codes, layer.weight_format())
    epilogue, constants = lowering.epilogue(step, layer.code_map(), layer.units)
    operation = Dense(epilogue, zero_of(layer.input_encoding()))
    return lowering.apply(step, operation, plain(inputs[0], step), weights, *constants)
