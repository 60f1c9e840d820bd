"""Any function of one value, as a table of 256 codes: sigmoid, tanh, leaky ReLU, swish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError, TinyqError
from tinyq.graph.ops.lookup import Lookup
from tinyq.training.base import wide
from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.lowering.emission import Lowering, Value, type_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting, constant_of
from tinyq.training.tracing import Step

METHOD, FORMAT = "int8", "s8"
_CODES = 256
# Values that lie on the border of two codes by their formula go up, however float64 rounds them.
_TIE = 2.0**-30

Function = Callable[..., Any]


def _clipped(x: Any, low: float, high: float) -> Any:
    return ops.clip(x, low, high)


def _below(x: Any, limit: float) -> Any:
    return ops.minimum(x, ops.cast(limit, x.dtype))


def _above(x: Any, limit: float) -> Any:
    return ops.maximum(x, ops.cast(limit, x.dtype))


def _reciprocal_root(x: Any, factor: float, epsilon: float) -> Any:
    return 1.0 / ops.sqrt(ops.maximum(x, ops.zeros_like(x)) * factor + epsilon)


_ACTIVATIONS = (
    *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "leaky_relu", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid"),
    *("silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid"),
    *("squareplus", "tanh", "tanh_shrink", "threshold"),
)
FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        **{name: getattr(keras.activations, name) for name in _ACTIVATIONS},
        "absolute": ops.absolute,
        "square": ops.square,
        "sign": ops.sign,
        "sin": ops.sin,
        "cos": ops.cos,
        "clip": _clipped,
        "minimum": _below,
        "maximum": _above,
        "reciprocal_root": _reciprocal_root,
    }
)
_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **dict.fromkeys(("sigmoid", "hard_sigmoid", "sparse_sigmoid"), (0.0, 1.0)),
        **dict.fromkeys(("tanh", "softsign", "hard_tanh", "sign", "sin", "cos"), (-1.0, 1.0)),
    }
)
_NONNEGATIVE = (
    *("sigmoid", "hard_sigmoid", "sparse_sigmoid", "exponential", "softplus", "relu6"),
    *("absolute", "square", "squareplus", "sparse_plus", "reciprocal_root"),
)
# Operations of keras.ops by class: the function, and the attributes that are its arguments.
_OPERATIONS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ops.Absolute": ("absolute", ()),
        "ops.Celu": ("celu", ("alpha",)),
        "ops.Cos": ("cos", ()),
        "ops.Elu": ("elu", ("alpha",)),
        "ops.Exp": ("exponential", ()),
        "ops.Gelu": ("gelu", ("approximate",)),
        "ops.HardShrink": ("hard_shrink", ("threshold",)),
        "ops.HardSigmoid": ("hard_sigmoid", ()),
        "ops.HardSilu": ("hard_silu", ()),
        "ops.HardTanh": ("hard_tanh", ()),
        "ops.LeakyRelu": ("leaky_relu", ("negative_slope",)),
        "ops.LogSigmoid": ("log_sigmoid", ()),
        "ops.Relu6": ("relu6", ()),
        "ops.Selu": ("selu", ()),
        "ops.Sigmoid": ("sigmoid", ()),
        "ops.Sign": ("sign", ()),
        "ops.Silu": ("silu", ()),
        "ops.Sin": ("sin", ()),
        "ops.SoftShrink": ("soft_shrink", ("threshold",)),
        "ops.Softplus": ("softplus", ()),
        "ops.Softsign": ("softsign", ()),
        "ops.SparsePlus": ("sparse_plus", ()),
        "ops.SparseSigmoid": ("sparse_sigmoid", ()),
        "ops.Square": ("square", ()),
        "ops.Squareplus": ("squareplus", ("b",)),
        "ops.Tanh": ("tanh", ()),
        "ops.TanhShrink": ("tanh_shrink", ()),
        "ops.Threshold": ("threshold", ("threshold", "default_value")),
    }
)


def apply_function(name: str, arguments: Mapping[str, Any], x: Any) -> Any:
    """A function of ``FUNCTIONS`` of every value, in the dtype of ``x``."""
    return FUNCTIONS[name](x, **arguments)


class Table(keras.layers.Layer):
    """A function of each value, in a plain float model.

    Args:
        function: Key of ``FUNCTIONS``.
        arguments: Further arguments of the function.
    """

    def __init__(
        self, function: str, arguments: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.function = function
        self.arguments = dict(arguments or {})

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the input."""
        return input_shape

    def call(self, inputs: Any) -> Any:
        """Values of the function."""
        return apply_function(self.function, self.arguments, inputs)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "function": self.function, "arguments": self.arguments}


@serializable
class QuantizedTable(ElementwiseLayer):
    """A function of each value, computed once for every code.

        y[code] = clip(floor(f((code - x_zero) * x_scale) / y_scale + 1/2) + y_zero, lo, hi)

    Args:
        function: Key of ``FUNCTIONS``.
        arguments: Further arguments of the function.

    Twin: tinyq.graph.ops.lookup.Lookup
    """

    def __init__(
        self, function: str, arguments: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        if function not in FUNCTIONS:
            raise TinyqError(
                f"there is no function {function!r}", remedy=f"use one of {', '.join(FUNCTIONS)}"
            )
        bounds = {"output_range": _BOUNDS[function]} if function in _BOUNDS else {}
        super().__init__(**{**bounds, **options})
        self.function = function
        self.arguments = dict(arguments or {})

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "function": self.function, "arguments": self.arguments}

    def table(self) -> Any:
        """Output codes of all input codes from the lowest on, int64, shape (256,)."""
        source, encoding = self.input_encoding(), self.encoding()
        codes = ops.convert_to_tensor(np.arange(_CODES, dtype=np.float64) - _CODES // 2)
        x = (codes - wide(source.zero_point)) * wide(source.scale)
        y = apply_function(self.function, self.arguments, x)
        steps = ops.floor(y / wide(encoding.scale) + (0.5 + _TIE)) + wide(encoding.zero_point)
        return ops.cast(ops.clip(steps, encoding.lowest, encoding.highest), "int64")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Output values: simulated in training, exact integers in inference."""
        if training:
            return self.simulate(apply_function(self.function, self.arguments, inputs))
        source = self.input_encoding()
        codes = ops.cast(source.centered(inputs), "int64") + ops.cast(source.zero_point, "int64")
        return self.encoding().real(ops.take(self.table(), codes + _CODES // 2))


@quantizes(
    "Table",
    reads=METHOD,
    emits=METHOD,
    nonnegative=lambda layer: layer.function in _NONNEGATIVE,
)
def build_table(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedTable:
    """A table with the function of the float layer."""
    if rule.activations not in (None, METHOD):
        raise ModelError(
            f"a table of {fused.layer.function} cannot read {rule.activations!r}",
            where=fused.name,
            remedy=f"let it read {METHOD}",
        )
    return QuantizedTable(
        function=fused.layer.function, arguments=fused.layer.arguments, name=options["name"]
    )


@lowers("QuantizedTable")
def lower_table(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """A lookup."""
    layer = step.layer
    codes = ops.convert_to_numpy(layer.table())
    table = lowering.constant(step, "table", codes, FORMAT)
    output = type_of(layer.encoding(), step.shape)
    operation = Lookup(output.scale, output.zero_point)
    return lowering.apply(step, operation, plain(inputs[0], step), table)


@rewrites("LeakyReLU")
def rewrite_leaky_relu(rewriting: Rewriting, use: Application) -> Any:
    """A table."""
    arguments = {"negative_slope": float(use.layer.negative_slope)}
    return rewriting.add(Table("leaky_relu", arguments, name=use.name), *use.inputs)


@rewrites("ELU")
def rewrite_elu(rewriting: Rewriting, use: Application) -> Any:
    """A table."""
    return rewriting.add(
        Table("elu", {"alpha": float(use.layer.alpha)}, name=use.name), *use.inputs
    )


@rewrites(*_OPERATIONS)
def rewrite_operation(rewriting: Rewriting, use: Application) -> Any:
    """A table of the same function and arguments."""
    function, names = _OPERATIONS["ops." + type(use.layer).__name__]
    arguments = {name: getattr(use.layer, name) for name in names}
    return rewriting.add(Table(function, arguments, name=use.name), *use.inputs)


@rewrites("ops.Clip")
def rewrite_clip(rewriting: Rewriting, use: Application) -> Any:
    """A ReLU where the bounds are those of one, else a table."""
    low, high = (constant_of(bound) for bound in (use.layer.x_min, use.layer.x_max))
    if low is None or high is None or low.size != 1 or high.size != 1:
        raise use.refuse("clips to bounds that are no numbers", "clip to two numbers")
    if float(low) == 0.0 and float(high) == 6.0:
        return rewriting.apply(keras.layers.ReLU(6.0, name=use.name), *use.inputs)
    arguments = {"low": float(low), "high": float(high)}
    return rewriting.add(Table("clip", arguments, name=use.name), *use.inputs)


def rewrite_limit(rewriting: Rewriting, use: Application, function: str) -> Any:
    """The larger or smaller of a tensor and a number."""
    (limit,) = (found for arg in use.args if (found := constant_of(arg)) is not None)
    if limit.size != 1:
        raise use.refuse("compares with an array of constants", "compare with one number")
    if function == "maximum" and float(limit) == 0.0:
        return rewriting.apply(keras.layers.ReLU(name=use.name), *use.inputs)
    table = Table(function, {"limit": float(limit)}, name=use.name)
    return rewriting.add(table, *use.inputs)
