"""Layers as Larq has them, in the few lines that their forward function takes."""

from __future__ import annotations

import keras
from keras import ops


def ste_sign(x):
    """+1 for x >= 0, else -1."""
    return ops.where(ops.convert_to_tensor(x) >= 0, 1.0, -1.0)


def magnitude_aware_sign(x):
    """Signs times the mean magnitude of each channel."""
    axes = list(range(len(x.shape) - 1))
    return ste_sign(x) * ops.mean(ops.abs(x), axis=axes, keepdims=True)


QUANTIZERS = {
    None: lambda x: x,
    "ste_sign": ste_sign,
    "magnitude_aware_sign": magnitude_aware_sign,
}


def quantized_layer(base, role):
    """A layer class with an input quantizer and a quantizer of its weights."""

    class Layer(base):
        def __init__(self, *args, input_quantizer=None, pad_values=0.0, **options):
            self.weight_quantizer = options.pop(role, None)
            super().__init__(*args, **options)
            self.input_quantizer = input_quantizer
            self.pad_values = pad_values

        def call(self, inputs):
            kernel = next(variable for variable in self.weights if variable.name == "kernel")
            weights = QUANTIZERS[self.weight_quantizer](ops.convert_to_tensor(kernel))
            with keras.StatelessScope(state_mapping=[(kernel, weights)]):
                return super().call(QUANTIZERS[self.input_quantizer](inputs))

        def get_config(self):
            own = {"input_quantizer": self.input_quantizer, "pad_values": self.pad_values}
            return {**super().get_config(), **own, role: self.weight_quantizer}

    return Layer


QuantConv2D = quantized_layer(keras.layers.Conv2D, "kernel_quantizer")
QuantDense = quantized_layer(keras.layers.Dense, "kernel_quantizer")
QuantDepthwiseConv2D = quantized_layer(keras.layers.DepthwiseConv2D, "depthwise_quantizer")
for _name in ("QuantConv2D", "QuantDense", "QuantDepthwiseConv2D"):
    globals()[_name].__name__ = _name


def binary_network() -> keras.Model:
    """Every kind of layer, with real inputs to the first one and a real last one."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    x = QuantConv2D(
        16, 3, padding="same", kernel_quantizer="ste_sign", use_bias=False, name="first"
    )(image)
    x = layers.BatchNormalization(name="norm_1")(x)
    x = QuantConv2D(32, 3, strides=2, padding="same", name="conv", **signs)(x)
    x = layers.BatchNormalization(name="norm_2")(x)
    x = QuantDepthwiseConv2D(
        3,
        input_quantizer="ste_sign",
        depthwise_quantizer="ste_sign",
        use_bias=False,
        name="depthwise",
    )(x)
    x = layers.BatchNormalization(name="norm_3")(x)
    x = layers.Flatten(name="flat")(x)
    scaled = {**signs, "kernel_quantizer": "magnitude_aware_sign"}
    x = layers.BatchNormalization(name="norm_4")(QuantDense(64, name="hidden", **scaled)(x))
    return keras.Model(image, layers.Dense(10, name="logits")(x), name="signs")
