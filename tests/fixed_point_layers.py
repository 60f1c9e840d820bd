"""Layers as QKeras has them, in the few lines that their forward function takes.

Class names, attributes and options are those of the package, which the tests use where it is
installed.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


class Quantizer:
    """Base: options as attributes and as a config."""

    defaults: dict = {}

    def __init__(self, *values, **options):
        given = {**self.defaults, **dict(zip(self.defaults, values, strict=False)), **options}
        self.options = given
        self.scale = None

    def get_config(self):
        return dict(self.options)

    def steps(self, x, largest):
        """Step per channel for alpha='auto_po2', else alpha."""
        alpha = self.options.get("alpha")
        if alpha != "auto_po2":
            return 1.0 if alpha is None else alpha
        axes = tuple(range(len(x.shape) - 1))
        limit = ops.max(ops.abs(x), axis=axes, keepdims=True) / largest
        return 2.0 ** ops.ceil(ops.log(limit) / np.log(2.0))


class quantized_bits(Quantizer):  # noqa: N801
    defaults = {
        **{"bits": 8, "integer": 0, "symmetric": 0, "keep_negative": True, "alpha": None},
        **{"use_stochastic_rounding": False, "qnoise_factor": 1.0},
    }

    def __call__(self, x):
        o = self.options
        m = 2.0 ** (o["bits"] - o["keep_negative"])
        unit = 2.0 ** o["integer"] / m
        symmetric = o["symmetric"] or o["alpha"] == "auto_po2"
        low = o["keep_negative"] * (-m + symmetric)
        self.scale = self.steps(x, (m - 1) * unit)
        stretch = self.scale if o["alpha"] == "auto_po2" else 1.0
        codes = ops.clip(ops.round(x / (unit * stretch)), low, m - 1)
        return codes * unit * self.scale


class quantized_relu(Quantizer):  # noqa: N801
    defaults = {
        **{"bits": 8, "integer": 0, "use_sigmoid": 0, "negative_slope": 0.0},
        **{"use_stochastic_rounding": False, "relu_upper_bound": None, "qnoise_factor": 1.0},
    }

    def __call__(self, x):
        unit = 2.0 ** (self.options["integer"] - self.options["bits"])
        return ops.clip(ops.round(x / unit), 0, 2 ** self.options["bits"] - 1) * unit


class binary(Quantizer):  # noqa: N801
    defaults = {"use_01": False, "alpha": None, "use_stochastic_rounding": False}

    def __call__(self, x):
        self.scale = self.steps(x, 1.0)
        return ops.where(x >= 0, 1.0, -1.0) * self.scale


class ternary(Quantizer):  # noqa: N801
    defaults = {"alpha": None, "threshold": None, "use_stochastic_rounding": False}

    def __call__(self, x):
        self.scale = self.steps(x, 1.0)
        return ops.where(ops.abs(x) >= 0.33, ops.sign(x), 0.0) * self.scale


class quantized_tanh(Quantizer):  # noqa: N801
    defaults = {"bits": 8}

    def __call__(self, x):
        return ops.tanh(x)


class QActivation(keras.layers.Layer):
    def __init__(self, activation, **options):
        super().__init__(**options)
        self.activation = activation

    def call(self, inputs):
        return self.activation(inputs)


def weighted(base, role):
    """A layer class with quantizers of weights and bias."""

    class Layer(base):
        def __init__(self, *args, bias_quantizer=None, **options):
            quantizer = options.pop(f"{role}_quantizer", None)
            super().__init__(*args, **options)
            setattr(self, f"{role}_quantizer_internal", quantizer)
            self.bias_quantizer_internal = bias_quantizer

        @property
        def depthwise_kernel(self):
            return self.kernel

        def call(self, inputs):
            quantizers = {
                "kernel": getattr(self, f"{role}_quantizer_internal"),
                "bias": self.bias_quantizer_internal,
            }
            mapping = [
                (variable, quantizers[variable.name](ops.convert_to_tensor(variable)))
                for variable in self.weights
                if quantizers[variable.name] is not None
            ]
            with keras.StatelessScope(state_mapping=mapping):
                return super().call(inputs)

    return Layer


class QBatchNormalization(keras.layers.BatchNormalization):
    def __init__(self, beta_quantizer=None, **options):
        super().__init__(**options)
        self.beta_quantizer_internal = beta_quantizer
        self.inverse_quantizer_internal = None

    def call(self, inputs):
        beta = ops.convert_to_tensor(self.beta)
        if self.beta_quantizer_internal is not None:
            beta = self.beta_quantizer_internal(beta)
        with keras.StatelessScope(state_mapping=[(self.beta, beta)]):
            return super().call(inputs)


QConv2D = weighted(keras.layers.Conv2D, "kernel")
QDense = weighted(keras.layers.Dense, "kernel")
QDepthwiseConv2D = weighted(keras.layers.DepthwiseConv2D, "depthwise")
for _name in ("QConv2D", "QDense", "QDepthwiseConv2D"):
    globals()[_name].__name__ = _name
