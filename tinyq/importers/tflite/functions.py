"""Real functions by operator name: what an operator means, whatever its codes are.

An operator of one 8-bit tensor is the table of its function (`operators.functions`), and so is a
chain of them that the converter left in floating point (`islands`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.importers.tflite.reader import FileOperator

Reals = npt.NDArray[np.float64]
_erfc = np.vectorize(math.erfc, otypes=[np.float64])

UNARY: Mapping[str, Callable[[Reals], Reals]] = MappingProxyType(
    {
        "ABS": np.abs,
        "CEIL": np.ceil,
        "COS": np.cos,
        "ELU": lambda x: np.where(x < 0.0, np.expm1(np.minimum(x, 0.0)), x),
        "EXP": np.exp,
        "FLOOR": np.floor,
        "HARD_SWISH": lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
        "LOG": np.log,
        "LOGISTIC": lambda x: 1.0 / (1.0 + np.exp(-np.clip(x, -700, 700))),
        "NEG": np.negative,
        "RELU": lambda x: np.maximum(x, 0.0),
        "RELU6": lambda x: np.clip(x, 0.0, 6.0),
        "RELU_0_TO_1": lambda x: np.clip(x, 0.0, 1.0),
        "RELU_N1_TO_1": lambda x: np.clip(x, -1.0, 1.0),
        "ROUND": np.rint,
        "RSQRT": lambda x: 1.0 / np.sqrt(x),
        "SIGN": np.sign,
        "SIN": np.sin,
        "SQRT": np.sqrt,
        "SQUARE": np.square,
        "TANH": np.tanh,
    }
)
BINARY: Mapping[str, Callable[[Reals, Reals], Reals]] = MappingProxyType(
    {
        "ADD": np.add,
        "DIV": np.divide,
        "FLOOR_DIV": lambda a, b: np.floor(a / b),
        "FLOOR_MOD": np.mod,
        "MAXIMUM": np.maximum,
        "MINIMUM": np.minimum,
        "MUL": np.multiply,
        "POW": np.power,
        "SQUARED_DIFFERENCE": lambda a, b: np.square(a - b),
        "SUB": np.subtract,
    }
)
_FUSED: Mapping[int, str] = MappingProxyType({1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH"})


def gelu(x: Reals, approximate: bool) -> Reals:
    """Product of x and the normal distribution function, or its approximation by tanh."""
    if approximate:
        root = math.sqrt(2.0 / math.pi)
        return np.asarray(0.5 * x * (1.0 + np.tanh(root * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * _erfc(x * -math.sqrt(0.5)))


def find_function(operator: FileOperator) -> Callable[..., Reals] | None:
    """The function of an operator of one or two operands, in real numbers.

    Returns:
        A function of as many arrays as the operator reads, each result rounded to float32 where
        the operator is followed by a fused activation; None for another operator.
    """
    options: Mapping[str, Any] = operator.options
    if operator.name == "GELU":
        approximate = bool(options.get("Approximate", False))
        return lambda x: gelu(x, approximate)
    if operator.name == "LEAKY_RELU":
        alpha = float(options.get("Alpha", 0.0))
        return lambda x: np.where(x >= 0.0, x, alpha * x)
    if operator.name in BINARY:
        function, fused = BINARY[operator.name], options.get("FusedActivationFunction", 0)
        if fused == 0:
            return function
        return (lambda a, b: UNARY[_FUSED[fused]](function(a, b))) if fused in _FUSED else None
    return UNARY.get(operator.name)
