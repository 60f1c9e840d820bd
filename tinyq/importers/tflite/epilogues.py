"""Epilogues of imported operators under both rounding rules, and the names of their constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.graph.epilogues import WIDE_LIMIT, Epilogue, Requantize, RequantizeTwice, RequantizeWide
from tinyq.importers.tflite.exact import exact_multiplier, exact_wide_multiplier
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.rounding import INT32_MAX, fold_affine

FilledEpilogue = tuple[Epilogue, tuple[str, ...]]  # and the names of its constants


def epilogue(
    layer: Layer,
    gain: npt.ArrayLike,
    bias: npt.ArrayLike = 0,
    *,
    channels: int,
    activation: int | str | None = None,
    prefix: str = "",
) -> FilledEpilogue:
    """Epilogue under the graph's rounding rule, and the names of its constants.

    Args:
        layer: The operator; its first output says what the codes mean.
        gain: Output codes per accumulator unit, scalar or one per channel.
        bias: In accumulator units, scalar or one per channel.
        channels: Length of the output's last axis.
        activation: Fused activation; the operator's own if None.
        prefix: Tells the constants of several epilogues of one operator apart.
    """
    gains = np.broadcast_to(np.asarray(gain, np.float64), channels)
    biases = np.broadcast_to(np.asarray(bias, np.int64), channels)
    layer.require(bool(np.isfinite(gains).all()), "the ratio of two scales is not finite")
    lo, hi = layer.limits(layer.result(), activation)
    meaning = layer.type_of(layer.result(), *CODES)
    fields = (meaning.format.name, float(meaning.scale or 1.0), meaning.zero_point, lo, hi)
    if layer.twice:
        pairs = [quantize_multiplier(float(value)) for value in gains]
        layer.require(max(power for _, power in pairs) <= 30, "a scale ratio is too large")
        constants: tuple[npt.ArrayLike, ...] = (
            biases,
            [mantissa for mantissa, _ in pairs],
            [power for _, power in pairs],
        )
        output: Epilogue = RequantizeTwice(*fields)
    else:
        affine = fold_affine(gains, biases * gains)
        constants = (affine.bias, affine.multiplier, affine.shift)
        output = Requantize(*fields)
    return output, _add_constants(layer, output, constants, prefix)


def wide_epilogue(
    layer: Layer,
    gain: npt.ArrayLike,
    bias: npt.ArrayLike,
    reach: npt.ArrayLike,
    *,
    channels: int,
    prefix: str = "",
) -> FilledEpilogue:
    """Epilogue of 16-bit activations, which TFLite scales once by a 16-bit mantissa.

    Where no accumulator can leave int32 it is ``Requantize``, else ``RequantizeWide``.

    Args:
        layer: The operator; its first output says what the codes mean.
        gain: Output codes per accumulator unit, scalar or one per channel.
        bias: In accumulator units, up to 64 bits, scalar or one per channel.
        reach: Largest absolute value of an accumulator before the bias, as the gain.
        channels: Length of the output's last axis.
        prefix: Tells the constants of several epilogues of one operator apart.
    """
    gains = np.broadcast_to(np.asarray(gain, np.float64), channels)
    biases = np.broadcast_to(np.asarray(bias, np.int64), channels)
    farthest = np.broadcast_to(np.asarray(reach, np.int64), channels)
    layer.require(bool(np.isfinite(gains).all()), "the ratio of two scales is not finite")
    inside = bool((np.abs(biases) < WIDE_LIMIT).all() and (farthest < WIDE_LIMIT).all())
    layer.require(inside, "an accumulator leaves 46 bits")
    lo, hi = layer.limits(layer.result())
    meaning = layer.type_of(layer.result(), *CODES)
    fields = (meaning.format.name, float(meaning.scale or 1.0), meaning.zero_point, lo, hi)
    narrow = bool((farthest + np.abs(biases)).max() <= INT32_MAX)
    if narrow and not layer.twice:
        affine = fold_affine(gains, biases * gains)
        if int((farthest + np.abs(affine.bias.astype(np.int64))).max()) <= INT32_MAX:
            known = (affine.bias, affine.multiplier, affine.shift)
            output: Epilogue = Requantize(*fields)
            return output, _add_constants(layer, output, known, prefix)
    pairs = [quantize_multiplier(float(value)) for value in gains]
    layer.require(max(power for _, power in pairs) <= 14, "a scale ratio is too large")
    highest = (farthest + np.abs(biases)).astype(np.float64) * gains
    layer.require(float(highest.max()) < 2.0**31, "a scaled accumulator leaves int32")
    mantissas = [min((mantissa + 2**15) >> 16, 2**15 - 1) for mantissa, _ in pairs]
    if narrow:
        shifts = [15 - power for _, power in pairs]
        output = Requantize(*fields)
        return output, _add_constants(layer, output, (biases, mantissas, shifts), prefix)
    wide = [(one << 48, 31 - pair[1]) for one, pair in zip(mantissas, pairs, strict=True)]
    return _add_wide_constants(layer, RequantizeWide(*fields), biases, wide, prefix)


def _add_wide_constants(
    layer: Layer,
    output: RequantizeWide,
    biases: npt.NDArray[np.int64],
    scales: list[tuple[int, int]],
    prefix: str,
) -> FilledEpilogue:
    """The epilogue for 63-bit mantissas and their shifts, and the names of its constants."""
    low = _low_word(biases)
    upper = [mantissa >> 32 for mantissa, _ in scales]
    lower = [_low_word(mantissa) for mantissa, _ in scales]
    shifts = [shift for _, shift in scales]
    constants = (low, (biases - low) >> 32, upper, lower, shifts)
    return output, _add_constants(layer, output, constants, prefix)


def exact_wide_epilogue(
    layer: Layer,
    gains: npt.NDArray[np.float64],
    biases: npt.NDArray[np.int64],
    reach: npt.NDArray[np.int64],
) -> FilledEpilogue:
    """Like ``exact_epilogue`` with a mantissa of 63 bits and accumulators of 46."""
    farthest = reach + np.abs(biases)
    layer.require(bool((farthest < WIDE_LIMIT).all()), "an accumulator leaves 46 bits")
    meaning = layer.type_of(layer.result(), *CODES)
    lo, hi = layer.limits(layer.result())
    zero = meaning.zero_point
    known = {
        gain: exact_wide_multiplier(gain, lo - zero, hi - zero, int(farthest[gains == gain].max()))
        for gain in {*map(float, gains)}
    }
    output = RequantizeWide(meaning.format.name, float(meaning.scale or 1.0), zero, lo, hi)
    return _add_wide_constants(layer, output, biases, [known[float(gain)] for gain in gains], "")


def exact_epilogue(
    layer: Layer,
    gains: npt.NDArray[np.float64],
    biases: npt.NDArray[np.int64],
    reach: npt.NDArray[np.int64],
) -> FilledEpilogue:
    """Epilogue that rounds as ``round(double(acc) * gain)`` does, one gain per channel.

    ``Requantize`` where a multiplier of 31 bits does that for every channel, else
    ``RequantizeWide``. ``reach`` is the largest absolute value of an accumulator before the bias,
    per channel.
    """
    farthest = reach + np.abs(biases)
    layer.require(int(farthest.max()) <= INT32_MAX, "an accumulator leaves int32")
    meaning = layer.type_of(layer.result(), "s8")
    lo, hi = layer.limits(layer.result())
    zero = meaning.zero_point
    found = {
        gain: exact_multiplier(gain, lo - zero, hi - zero, int(farthest[gains == gain].max()))
        for gain in {*map(float, gains)}
    }
    known = {gain: pair for gain, pair in found.items() if pair is not None}
    if len(known) < len(found):
        return exact_wide_epilogue(layer, gains, biases, reach)
    output = Requantize(meaning.format.name, float(meaning.scale or 1.0), zero, lo, hi)
    pairs = [known[float(gain)] for gain in gains]
    constants = (biases, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return output, _add_constants(layer, output, constants, "")


def _add_constants(
    layer: Layer, output: Epilogue, constants: tuple[npt.ArrayLike, ...], prefix: str
) -> tuple[str, ...]:
    return tuple(
        layer.number(f"{prefix}{name}", codes, "s32")
        for name, codes in zip(output.names, constants, strict=True)
    )


def _low_word(value: Any) -> Any:
    """The lower 32 bits of integers as int32 has them."""
    return ((value + 2**31) & (2**32 - 1)) - 2**31
