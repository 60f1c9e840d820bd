"""QKeras' quantizers as fixed-point grids, and weights on these grids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError
from tinyq.quantizers.fixed_point import MOST_BITS, FixedPoint

_SIGNS = "bnn"
# QKeras adds x and (y - x) in float32, which is not always y.
_ROUNDING = 1e-3
_AUTO, _FREE = "auto_po2", "auto"
# Methods that take a real scale per channel off weights that have the values of codes times it.
_SCALED = {"binary": "bwn", "ternary": "ternary"}


def quantized_weights(layer: Any, quantizer: Any, kernel: np.ndarray) -> tuple[np.ndarray, str]:
    """A kernel as its quantizer gives it, and the method whose grid it lies on.

    Raises:
        ModelError: The quantizer, or one of its options, has no integer form here.
    """
    if quantizer is None:
        return kernel, "int8"
    kind = type(quantizer).__name__
    if kind in _SCALED and quantizer.get_config().get("alpha") == _FREE:
        return _scaled(layer, quantizer, kernel), _SCALED[kind]
    if kind == "quantized_po2":
        return _powers_of_two(layer, quantizer, kernel)
    grid = weight_grid(layer, quantizer)
    return on_grid(layer, quantizer, kernel, grid), grid.name


def _scaled(layer: Any, quantizer: Any, kernel: np.ndarray) -> np.ndarray:
    """Codes -1, 0, 1 times a real scale per channel, which methods read off the values."""
    _plain_config(layer, quantizer)
    values = numbers_of(quantizer(kernel)).astype(np.float64)
    axes = tuple(range(values.ndim - 1))
    scale = np.abs(values).max(axis=axes, keepdims=True)
    codes = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
    if np.abs(codes - np.rint(codes)).max(initial=0) > _ROUNDING:
        raise refusal(layer, "scales for groups of weights", "have one scale per channel")
    return np.asarray(np.rint(codes) * scale, np.float32)


def _powers_of_two(layer: Any, quantizer: Any, kernel: np.ndarray) -> tuple[np.ndarray, str]:
    """Signed powers of two, which are whole multiples of the smallest one."""
    _plain_config(layer, quantizer)
    values = numbers_of(quantizer(kernel)).astype(np.float64)
    used = np.abs(values[values != 0])
    exponents = np.rint(np.log2(used)) if used.size else np.zeros(1)
    least = int(exponents.min())
    if used.size and np.abs(used / np.exp2(exponents) - 1).max() > _ROUNDING:
        raise refusal(layer, "values beside their own grid", "check the quantizer's options")
    if int(exponents.max()) - least >= MOST_BITS - 1:
        raise refusal(
            layer,
            f"powers of two from 2**{least} to 2**{int(exponents.max())}",
            f"keep the largest below {2 ** (MOST_BITS - 1)} times the smallest, by fewer bits",
        )
    grid = FixedPoint("s", MOST_BITS, least)
    return np.asarray(np.rint(values / grid.step) * grid.step, np.float32), grid.name


def on_grid(layer: Any, quantizer: Any, kernel: np.ndarray, grid: FixedPoint) -> np.ndarray:
    """The quantizer's values of a kernel, exactly code times step."""
    values = numbers_of(quantizer(kernel)).astype(np.float64)
    step = np.asarray(grid.step)
    if grid.exponent is None:
        unit = 2.0 ** (_integer_bits(quantizer) - grid.bits + 1) if grid.kind == "s" else 1.0
        step = numbers_of(quantizer.scale).astype(np.float64) * unit
        if step.size > 1 and step.shape != (1,) * (kernel.ndim - 1) + kernel.shape[-1:]:
            raise refusal(layer, "scales for groups of weights", "have one scale per channel")
    codes = np.rint(values / step)
    if np.abs(codes - values / step).max(initial=0) > _ROUNDING or codes.max() > grid.hi:
        raise refusal(layer, "values beside their own grid", "check the quantizer's options")
    return np.asarray(codes * step, np.float32)


def weight_grid(layer: Any, quantizer: Any) -> FixedPoint:
    """The grid of a quantizer of weights.

    Raises:
        ModelError: It has no integer form here.
    """
    config = _plain_config(layer, quantizer)
    shift = _scale_exponent(layer, config.get("alpha"))
    kind = type(quantizer).__name__
    if kind == "binary" and not config.get("use_01"):
        return FixedPoint("b", 1, shift)
    if kind == "ternary":
        return FixedPoint("t", 2, shift)
    if kind != "quantized_bits":
        raise _unknown(layer, quantizer, "quantized_bits, quantized_po2, binary or ternary")
    if shift is None and not config.get("keep_negative", True):
        raise refusal(layer, f"alpha={_AUTO!r} of weights without sign", "give them alpha=1")
    grid = _bits_grid(layer, quantizer, config, shift)
    if not grid.fits_weights:
        raise refusal(layer, "8-bit weights without sign", "use 7 bits, or keep_negative=True")
    return grid


def activation_method(layer: Any, quantizer: Any) -> str:
    """The method of activations with the grid of a quantizer.

    Raises:
        ModelError: It has no integer form here.
    """
    config = _plain_config(layer, quantizer)
    kind = type(quantizer).__name__
    if kind == "quantized_relu":
        for option in ("use_sigmoid", "negative_slope", "relu_upper_bound"):
            if config.get(option):
                raise refusal(layer, f"{option} of quantized_relu", f"leave {option} out")
        bits = _bits(layer, config)
        return FixedPoint("u", bits, _integer_bits(quantizer) - bits).name
    alpha = config.get("alpha")
    shift = 0 if alpha is None else _scale_exponent(layer, alpha)
    if shift is None:
        raise refusal(layer, f"alpha={alpha!r} of activations", "give them alpha=1")
    if kind == "binary" and not config.get("use_01") and shift == 0:
        return _SIGNS
    if kind != "quantized_bits":
        raise _unknown(layer, quantizer, "quantized_relu, quantized_bits or binary(alpha=1)")
    grid = _bits_grid(layer, quantizer, config, shift)
    if grid.kind == "b":
        raise _unknown(layer, quantizer, "binary(alpha=1) for one bit")
    return grid.name


def _bits_grid(
    layer: Any, quantizer: Any, config: Mapping[str, Any], shift: int | None
) -> FixedPoint:
    """Grid of quantized_bits: steps of alpha * 2**(integer - bits without sign)."""
    bits = _bits(layer, config)
    signed = bool(config.get("keep_negative", True))
    if signed and bits == 1:
        return FixedPoint("b", 1, shift)
    if shift is None:  # auto scales are symmetric
        return FixedPoint("s", bits, None)
    kind = "u" if not signed else "s" if config.get("symmetric") else ""
    exponent = _integer_bits(quantizer) - (bits - signed) + shift
    return FixedPoint(kind, bits, exponent)


def _bits(layer: Any, config: Mapping[str, Any]) -> int:
    bits = int(config["bits"])
    if not 1 <= bits <= MOST_BITS:
        raise refusal(layer, f"codes of {bits} bits", f"use at most {MOST_BITS} bits")
    return bits


def _integer_bits(quantizer: Any) -> int:
    return int(numbers_of(quantizer.get_config().get("integer", 0)))


def _plain_config(layer: Any, quantizer: Any) -> Mapping[str, Any]:
    """Options of a quantizer that rounds the same way each time."""
    if not hasattr(quantizer, "get_config"):
        raise _unknown(layer, quantizer, "quantizers of QKeras")
    config: Mapping[str, Any] = quantizer.get_config()
    if config.get("use_stochastic_rounding"):
        raise refusal(layer, "stochastic rounding", "leave use_stochastic_rounding out")
    if float(numbers_of(config.get("qnoise_factor", 1.0))) != 1.0:
        raise refusal(layer, "a qnoise_factor below 1", "set it to 1 before the export")
    return config


def _scale_exponent(layer: Any, alpha: Any) -> int | None:
    """Binary logarithm of alpha; None where it is one power of two per channel."""
    if isinstance(alpha, str) and alpha == _AUTO:
        return None
    if alpha is None:
        return 0
    if not isinstance(alpha, str):
        number = numbers_of(alpha).astype(np.float64)
        if number.size == 1 and float(number) > 0:
            mantissa, exponent = math.frexp(float(number))
            if mantissa == 0.5:
                return exponent - 1
    raise refusal(layer, f"alpha={alpha!r}", f"use alpha=1, a power of two, or {_AUTO!r}")


def refusal(layer: Any, what: str, remedy: str) -> ModelError:
    """The error that says what of a layer has no integer form."""
    return ModelError(f"{what} cannot be imported from QKeras", where=layer.name, remedy=remedy)


def _unknown(layer: Any, quantizer: Any, known: str) -> ModelError:
    name = getattr(quantizer, "__name__", type(quantizer).__name__)
    return ModelError(
        f"the quantizer {name!r} is not known here", where=layer.name, remedy=f"use {known}"
    )


def numbers_of(value: Any) -> np.ndarray:
    """A tensor or variable as an array."""
    return np.asarray(keras.ops.convert_to_numpy(value))
