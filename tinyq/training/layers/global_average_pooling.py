"""Average over all positions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain, whole_window
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step

_LAYERS = {
    1: (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalMaxPooling1D),
    2: (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D),
}


@serializable
class QuantizedGlobalAveragePooling(ElementwiseLayer):
    """Mean over all positions, rounded once to an encoding of its own.

        acc = sum of (code - zero_point), its division is part of the epilogue

    Args:
        keepdims: Whether positions remain as axes of length 1.
    """

    def __init__(self, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.keepdims = keepdims

    def build(self, input_shape: Any) -> None:
        """Create the state of the epilogue."""
        self.positions = int(np.prod(input_shape[1:-1]))
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Channels, and axes of length 1 if kept."""
        kept = (1,) * (len(input_shape) - 2) if self.keepdims else ()
        return (input_shape[0], *kept, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "keepdims": self.keepdims}

    def accumulator_map(self) -> tuple[Any, Any]:
        """Scale of the input over the number of positions, no offset; float64."""
        gain = wide(self.input_encoding().scale) * (1.0 / self.positions)
        return gain, ops.zeros_like(gain)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        axes = tuple(range(1, len(inputs.shape) - 1))
        if training:
            return self.simulate(ops.mean(inputs, axis=axes, keepdims=self.keepdims))
        centered = ops.cast(self.input_encoding().centered(inputs), "int64")
        return self.finish(ops.sum(centered, axis=axes, keepdims=self.keepdims))


@quantizes("GlobalAveragePooling1D", "GlobalAveragePooling2D", fuses=True, keeps_sign=True)
def build_global_average(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> Any:
    """A mean over all positions."""
    del rule
    return QuantizedGlobalAveragePooling(keepdims=fused.layer.keepdims, **options)


@lowers("QuantizedGlobalAveragePooling")
def lower_global_average(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Sum over all positions; the division is in the epilogue."""
    layer = step.layer
    plain(inputs[0], step)
    epilogue, constants = lowering.epilogue(step, layer.code_map(), step.shape[-1])
    operation = SumPool2D(epilogue, whole_window(step), zero_of(layer.input_encoding()))
    return lowering.on_image(step, inputs[0], operation, *constants)


@rewrites("ops.Mean", "ops.Average")
def rewrite_mean(rewriting: Rewriting, use: Application) -> Any:
    """A mean over all axes but the channels is a pool."""
    return reduce_positions(rewriting, use, 0)


def reduce_positions(rewriting: Rewriting, use: Application, which: int) -> Any:
    """The pool over all axes but the channels, mean (0) or maximum (1)."""
    rank = len(use.inputs[0].shape)
    given = use.layer.axis
    axes = [] if given is None else [given] if isinstance(given, int) else list(given)
    if rank - 2 not in _LAYERS or sorted(axis % rank for axis in axes) != list(range(1, rank - 1)):
        raise use.refuse(
            f"reduces the axes {given}", "reduce all axes but those of the batch and the channels"
        )
    layer = _LAYERS[rank - 2][which]
    keepdims = bool(getattr(use.layer, "keepdims", False))
    return rewriting.add(layer(keepdims=keepdims, name=use.name), *use.inputs)
