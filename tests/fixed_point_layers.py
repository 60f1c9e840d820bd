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
        """Step per channel for alpha='auto_po2' or 'auto', else alpha."""
        alpha = self.options.get("alpha")
        if alpha not in ("auto", "auto_po2"):
            return 1.0 if alpha is None else alpha
        axes = tuple(range(len(x.shape) - 1))
        if alpha == "auto":
            return ops.mean(ops.abs(x), axis=axes, keepdims=True)
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


class quantized_po2(Quantizer):  # noqa: N801
    defaults = {"bits": 8, "max_value": 1.0, "use_stochastic_rounding": False}

    def __call__(self, x):
        most = np.round(np.log2(self.options["max_value"]))
        least = most - 2 ** (self.options["bits"] - 1) + 1
        exponent = ops.round(ops.log(ops.maximum(ops.abs(x), 1e-9)) / np.log(2.0))
        return ops.where(x < 0, -1.0, 1.0) * 2.0 ** ops.clip(exponent, least, most)


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


class QConv2DBatchnorm(keras.layers.Conv2D):
    """A convolution whose BatchNormalization is folded into the weights before they are rounded."""

    folding_mode = "ema_stats_folding"

    def __init__(self, *args, kernel_quantizer=None, bias_quantizer=None, **options):
        super().__init__(*args, **options)
        self.kernel_quantizer_internal = kernel_quantizer
        self.bias_quantizer_internal = bias_quantizer
        self.batchnorm = keras.layers.BatchNormalization(name="inner_norm")

    def build(self, input_shape):
        super().build(input_shape)
        self.batchnorm.build(self.compute_output_shape(input_shape))

    def folded(self):
        """Kernel and bias as they are used."""
        norm = self.batchnorm
        ratio = norm.gamma / ops.sqrt(norm.moving_variance + norm.epsilon)
        bias = self.bias if self.use_bias else 0.0
        bias = (bias - norm.moving_mean) * ratio + norm.beta
        kernel = self.kernel_quantizer_internal(self.kernel * ratio)
        return kernel, self.bias_quantizer_internal(bias) if self.bias_quantizer_internal else bias

    def call(self, inputs):
        kernel, bias = self.folded()
        return self.convolution_op(inputs, kernel) + bias


class QSeparableConv2D(keras.layers.SeparableConv2D):
    def __init__(self, *args, depthwise_quantizer=None, pointwise_quantizer=None, **options):
        super().__init__(*args, **options)
        self.depthwise_quantizer_internal = depthwise_quantizer
        self.pointwise_quantizer_internal = pointwise_quantizer
        self.bias_quantizer_internal = None

    def call(self, inputs):
        pairs = (
            (self.depthwise_kernel, self.depthwise_quantizer_internal),
            (self.pointwise_kernel, self.pointwise_quantizer_internal),
        )
        mapping = [(variable, quantizer(variable.value)) for variable, quantizer in pairs]
        with keras.StatelessScope(state_mapping=mapping):
            return super().call(inputs)


QConv2D = weighted(keras.layers.Conv2D, "kernel")
QDense = weighted(keras.layers.Dense, "kernel")
QDepthwiseConv2D = weighted(keras.layers.DepthwiseConv2D, "depthwise")
for _name in ("QConv2D", "QDense", "QDepthwiseConv2D"):
    globals()[_name].__name__ = _name
