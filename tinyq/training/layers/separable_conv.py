"""Separable convolutions: a depthwise one, then one of 1 x 1."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.training.registry import rewrites
from tinyq.training.rewriting import Application, Rewriting

_PARTS = {
    "SeparableConv1D": (keras.layers.DepthwiseConv1D, keras.layers.Conv1D),
    "SeparableConv2D": (keras.layers.DepthwiseConv2D, keras.layers.Conv2D),
}
_BOTH = ("data_format", "trainable")
_FIRST = ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate")
_LAST = ("filters", "use_bias", "activation", "bias_regularizer", "bias_constraint")


@rewrites("SeparableConv1D", "SeparableConv2D")
def rewrite_separable(rewriting: Rewriting, use: Application) -> Any:
    """Two layers; the second one has the name, the bias and the activation."""
    layer = use.layer
    depthwise, pointwise = _PARTS[type(layer).__name__]
    config = layer.get_config()
    both = {key: config[key] for key in _BOTH if key in config}
    first = depthwise(
        **both,
        **{key: config[key] for key in _FIRST if key in config},
        use_bias=False,
        depthwise_regularizer=config.get("depthwise_regularizer"),
        name=rewriting.name(f"{use.name}_depthwise"),
    )
    last = pointwise(
        **both,
        **{key: config[key] for key in _LAST if key in config},
        kernel_size=1,
        kernel_regularizer=config.get("pointwise_regularizer"),
        name=use.name,
    )
    (source,) = use.inputs
    kernels = layer.get_weights()
    first.build(source.shape)
    first.set_weights(kernels[:1])
    middle = rewriting.apply(first, source)
    last.build(middle.shape)
    last.set_weights(kernels[1:])
    return rewriting.apply(last, middle)
