"""Average pooling over windows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.window import Window, same_padding
from tinyq.quantizers import Encoding, find_activations
from tinyq.quantizers.parts.gradients import identity, with_gradient
from tinyq.training import integer
from tinyq.training.base import QuantizedLayer
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import INPUT, lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step
from tinyq.training.weighted import OWN_OPTIONS


class AveragePoolingLayer(QuantizedLayer):
    """Mean of each window in the encoding of the input, half rounded up.

    y = floor((2 * sum + count) / (2 * count)) in codes
    """

    def encoding(self) -> Encoding:
        """That of the input."""
        return self.input_encoding()

    def window(self, shape: tuple[int, ...]) -> Window:
        """How the pool slides over an image of ``shape``; one row where there is no height."""
        size, stride = tuple(self.pool_size), tuple(self.strides)
        if len(size) == 1:
            size, stride, shape = (1, *size), (1, *stride), (1, *shape)
        padding = (0, 0, 0, 0)
        if self.padding == "same":
            padding = same_padding(shape, size, stride, (1, 1))
        return Window(size, stride, (1, 1), padding)

    def _counts(self, shape: tuple[int, ...]) -> np.ndarray:
        """Taps of each window inside the image, int64, shape (1, spatial..., 1)."""
        image = (1, *shape[:-1]) if len(shape) == 2 else shape[:-1]
        ones = np.ones((1, *image, 1), np.int64)
        counts = self.window(shape).patches(ones, 0).sum(axis=(3, 4))
        return counts[:, 0] if len(shape) == 2 else counts

    def _pool(self, values: Any) -> Any:
        return ops.average_pool(values, self.pool_size, self.strides, self.padding)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        encoding = self.encoding()
        if training:
            return with_gradient(lambda x: encoding.centered(x) * encoding.scale, identity)(
                self._pool(inputs)
            )
        count = ops.convert_to_tensor(self._counts(tuple(inputs.shape[1:])))
        mean = self._pool(encoding.centered(inputs))
        # A window's sum is an integer far below 2**24, so rounding undoes the division.
        total = ops.cast(ops.floor(mean * ops.cast(count, "float32") + 0.5), "int64")
        codes = ops.cast(integer.divide_half_up(total, count), "float32")
        return codes * encoding.scale


@serializable
class QuantizedAveragePooling2D(AveragePoolingLayer, keras.layers.AveragePooling2D):
    """Average pooling of images; options of AveragePooling2D."""


@serializable
class QuantizedAveragePooling1D(AveragePoolingLayer, keras.layers.AveragePooling1D):
    """Average pooling over time; options of AveragePooling1D."""


_CLASSES = {
    "AveragePooling1D": QuantizedAveragePooling1D,
    "AveragePooling2D": QuantizedAveragePooling2D,
}


@quantizes("AveragePooling1D", "AveragePooling2D", emits=INPUT, keeps_sign=True)
def build_average_pooling(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> Any:
    """A pool with the options of the float one."""
    del rule
    if find_activations(options["output_method"]).format == "b1":
        raise ModelError(
            "the mean of signs is no sign",
            where=fused.name,
            remedy="pool before the sign, or use max pooling",
        )
    config = {k: v for k, v in fused.layer.get_config().items() if k not in OWN_OPTIONS}
    return _CLASSES[fused.kind](name=fused.name, **config)


@lowers("QuantizedAveragePooling2D", "QuantizedAveragePooling1D")
def lower_average_pooling(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Mean of each window in the encoding of the input."""
    plain(inputs[0], step)
    return lowering.on_image(step, inputs[0], AveragePool2D(step.layer.window(step.shapes[0])))


@rewrites(
    *("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D"),
    *("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D"),
)
def rewrite_adaptive_pooling(rewriting: Rewriting, use: Application) -> Any:
    """A pool of windows that do not overlap, where the sizes allow it."""
    lengths, wanted = use.inputs[0].shape[1:-1], use.shape[:-1]
    if any(length % count for length, count in zip(lengths, wanted, strict=True)):
        raise use.refuse(
            f"pools {lengths} positions into {wanted}, in windows of different sizes",
            "choose an output size that divides the input's",
        )
    size = tuple(length // count for length, count in zip(lengths, wanted, strict=True))
    layer = getattr(keras.layers, type(use.layer).__name__.removeprefix("Adaptive"))
    return rewriting.apply(layer(size, name=use.name), *use.inputs)
