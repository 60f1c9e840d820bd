"""Activations and changes of scale: functions of one code, and softmax."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyq.graph.ops.prelu import Prelu, TflitePrelu
from tinyq.graph.ops.softmax import Softmax
from tinyq.graph.ops.tflite_log_softmax import TfliteLogSoftmax
from tinyq.graph.ops.tflite_sigmoid import TfliteSigmoid
from tinyq.graph.ops.tflite_softmax import TfliteSoftmax
from tinyq.graph.ops.tflite_wide_softmax import TfliteWideSoftmax
from tinyq.importers.tflite.islands import FROM_FLOAT
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.tables import (
    all_codes,
    change_scale,
    has_wide_codes,
    look_up,
    sampled,
)
from tinyq.numerics.fixed_point import (
    divide_by_power,
    interpolation_table,
    quantize_multiplier,
    scale_twice,
    sigmoid_table,
    softmax_exponentials,
)
from tinyq.numerics.rounding import fold_affine, softmax_table


@imports("SOFTMAX")
def import_softmax(layer: Layer) -> None:
    """Softmax over the last axis."""
    if has_wide_codes(layer):
        import_wide_softmax(layer)
        return
    layer.type_of(layer.source())
    meaning = layer.type_of(layer.result())
    layer.require(
        meaning.zero_point == -128 and abs(layer.scale(layer.result()) * 256 - 1) < 0.001,
        f"softmax into {layer.result()} with another scale than 1/256 and zero point than -128",
    )
    scale, beta = layer.scale(layer.source()), layer.option("Beta", 1.0)
    layer.require(math.isfinite(beta) and beta > 0, f"softmax with beta {beta}")
    if layer.twice:
        layer.require(beta * scale * 2.0**26 > 1.0, "softmax of a scale below 2**-26")
        table = layer.number("table", softmax_exponentials(scale, beta)[0], "s32")
        layer.finish(layer.apply(TfliteSoftmax(), layer.activation(), table))
        return
    table = layer.number("table", softmax_table(scale * beta), "u16")
    layer.finish(layer.apply(Softmax(), layer.activation(), table))


def import_wide_softmax(layer: Layer) -> None:
    """Softmax of 16-bit codes; one definition for both rounding rules."""
    layer.type_of(layer.source(), "s16")
    layer.type_of(layer.result(), "s16")
    layer.require(
        layer.scale(layer.result()) == 2.0**-15,
        f"softmax into {layer.result()} with another scale than 2**-15",
    )
    beta = layer.option("Beta", 1.0)
    layer.require(math.isfinite(beta) and beta > 0, f"softmax with beta {beta}")
    pair = quantize_multiplier(layer.scale(layer.source()) * beta / (10.0 / 65535.0))
    layer.require(pair[1] <= 14, "softmax of a scale that is too large")
    exponentials = interpolation_table(np.exp, -10.0, 0.0)
    reciprocals = interpolation_table(lambda x: 1.0 / (1.0 + x), 0.0, 1.0)
    names = (
        layer.number("exponentials", exponentials, "s16"),
        layer.number("reciprocals", reciprocals, "s16"),
    )
    layer.finish(layer.apply(TfliteWideSoftmax(*pair), layer.activation(), *names))


@imports("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1")
def import_relu(layer: Layer) -> None:
    """Change of scale and clip."""
    ratio = np.float32(layer.scale(layer.source())) / np.float32(layer.scale(layer.result()))
    if has_wide_codes(layer):
        layer.type_of(layer.source(), "s16")
        change_scale(layer, float(ratio), layer.operator.name)
        return
    lo, hi = layer.limits(layer.result(), layer.operator.name)
    look_up(layer, np.clip(_rescaled(layer, float(ratio)), lo, hi))


@imports("QUANTIZE")
def import_quantize(layer: Layer) -> None:
    """Change of scale of an integer tensor; nothing where both tensors mean the same."""
    values = layer.option(FROM_FLOAT, None)
    if values is not None:
        layer.require(not has_wide_codes(layer), "16-bit codes cross an island of floats")
        look_up(layer, _quantized_again(layer, values))
        return
    if layer.conversion.type_of(layer.source()) == layer.conversion.type_of(layer.result()):
        layer.finish(layer.activation())
        return
    if has_wide_codes(layer):
        change_scale(layer, layer.scale(layer.source()) / layer.scale(layer.result()))
        return
    look_up(layer, _rescaled(layer, layer.scale(layer.source()) / layer.scale(layer.result())))


def _quantized_again(layer: Layer, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Output codes of floats, as TFLite rounds them: divided in float32, half away from zero."""
    y = layer.type_of(layer.result())
    with np.errstate(all="ignore"):
        steps = (values / np.float32(layer.scale(layer.result()))).astype(np.float64)
    away = np.copysign(np.floor(np.abs(steps) + 0.5), steps)
    inside = np.clip(np.nan_to_num(away, nan=-np.inf), -(2.0**31), 2.0**31)
    return np.clip(inside + y.zero_point, -128, 127).astype(np.int64)


def _rescaled(layer: Layer, ratio: float) -> np.ndarray:
    """Output codes of all input codes under a change of scale, before clipping."""
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    centered = all_codes() - x.zero_point
    layer.require(ratio < 2.0**20, "a scale ratio is too large")
    if layer.twice:
        return scale_twice(centered, *quantize_multiplier(ratio)) + y.zero_point
    return np.floor(centered * ratio + 0.5).astype(np.int64) + y.zero_point


@imports("LOGISTIC")
def import_logistic(layer: Layer) -> None:
    """1 / (1 + exp(-x))."""
    if has_wide_codes(layer):
        _import_sigmoid(layer, hyperbolic=0)
        return
    look_up(layer, sampled(layer, lambda x: 1.0 / (1.0 + np.exp(-np.clip(x, -700, 700)))))


@imports("TANH")
def import_tanh(layer: Layer) -> None:
    """Hyperbolic tangent."""
    if has_wide_codes(layer):
        _import_sigmoid(layer, hyperbolic=1)
        return
    look_up(layer, sampled(layer, np.tanh))


def _import_sigmoid(layer: Layer, hyperbolic: int) -> None:
    """A function of 16-bit codes; one definition for both rounding rules."""
    layer.type_of(layer.source(), "s16")
    layer.type_of(layer.result(), "s16")
    layer.require(
        layer.scale(layer.result()) == 2.0**-15,
        f"{layer.operator.name.lower()} into {layer.result()} with another scale than 2**-15",
    )
    multiplier, shift = _sigmoid_scale(layer)
    table = layer.number("sigmoid", sigmoid_table(), "u16")
    operation = TfliteSigmoid(multiplier, shift, hyperbolic)
    layer.finish(layer.apply(operation, layer.activation(), table))


def _sigmoid_scale(layer: Layer) -> tuple[int, int]:
    """Multiplier and shift that bring codes to steps of 1 / 12288; the multiplier is cut off."""
    scale = np.float32(layer.scale(layer.source()))
    fraction, power = math.frexp(scale)
    if fraction == 0.5 and power + 11 in (0, 1):  # scale 2**-12 or 2**-11
        return 3 << (power + 11), 0
    multiplier, shift = scale * np.float32(4096.0) * np.float32(3.0), 0
    layer.require(bool(multiplier < 2.0**15), "a scale is too large")
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        shift += 1
        multiplier *= np.float32(2.0)
    layer.require(int(multiplier) > 0, "a scale is too small")
    return int(multiplier), shift


@imports("LOG_SOFTMAX")
def import_log_softmax(layer: Layer) -> None:
    """Logarithm of softmax over the last axis; one definition for both rounding rules."""
    layer.type_of(layer.source())
    meaning = layer.type_of(layer.result())
    scale = layer.scale(layer.source())
    layer.require(
        meaning.zero_point == 127 and layer.scale(layer.result()) == 1.0 / 16.0,
        f"log-softmax into {layer.result()} with another scale than 1/16 and zero point than 127",
    )
    layer.require(scale * 2.0**26 > 1.0, "log-softmax of a scale below 2**-26")
    table, multiplier, exponent, least = softmax_exponentials(scale, 1.0)
    reverse = quantize_multiplier(2.0 ** (31 - exponent) / multiplier)
    layer.require(reverse[1] <= 0, f"log-softmax of the scale {scale} is not supported")
    name = layer.number("table", table, "s32")
    operation = TfliteLogSoftmax(multiplier, exponent, *reverse, least)
    layer.finish(layer.apply(operation, layer.activation(), name))


@imports("LEAKY_RELU")
def import_leaky_relu(layer: Layer) -> None:
    """Identity for positive x, else alpha * x."""
    alpha = layer.option("Alpha", 0.0)
    layer.require(math.isfinite(alpha) and abs(alpha) < 2.0**10, f"alpha {alpha}")
    if has_wide_codes(layer):
        import_wide_leaky_relu(layer, alpha)
        return
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    single = [np.float32(layer.scale(tensor)) for tensor in (layer.source(), layer.result())]
    gains = float(single[0] / single[1]), float(single[0] * np.float32(alpha) / single[1])
    centered = all_codes() - x.zero_point
    layer.require(max(map(abs, gains)) < 2.0**20, "a scale ratio is too large")
    if layer.twice:
        positive = scale_twice(centered, *quantize_multiplier(gains[0]))
        negative = scale_twice(centered, *quantize_multiplier(abs(gains[1])))
        negative = -negative if alpha < 0 else negative
    else:
        positive, negative = (np.floor(centered * gain + 0.5).astype(np.int64) for gain in gains)
    look_up(layer, np.where(centered >= 0, positive, negative) + y.zero_point)


def import_wide_leaky_relu(layer: Layer, alpha: float) -> None:
    """The same for 16-bit codes: a PReLU with slopes of 1 or -1."""
    x, y = (layer.type_of(tensor, "s16") for tensor in (layer.source(), layer.result()))
    single = [np.float32(layer.scale(tensor)) for tensor in (layer.source(), layer.result())]
    gains = [
        float(single[0] / single[1]),
        float(single[0] * np.float32(abs(alpha)) / single[1]),
    ]
    layer.require(max(gains) < 2.0**14, "a scale ratio is too large")
    name = layer.activation()
    channels = layer.builder.type(name).shape[-1]
    slopes = layer.number("slopes", np.full(channels, -1 if alpha < 0 else 1), "s8")
    zeros = (0, x.zero_point, y.zero_point)
    operation: Prelu
    if layer.twice:
        pairs = [quantize_multiplier(gain) for gain in gains]
        operation = TflitePrelu(*pairs[0], *pairs[1], *zeros, float(y.scale or 1.0), "s16")
    else:
        folded = [fold_affine(gain, 0.0) for gain in gains]
        halves = [(int(half.multiplier[0]), int(half.shift[0])) for half in folded]
        operation = Prelu(*halves[0], *halves[1], *zeros, float(y.scale or 1.0), "s16")
    layer.finish(layer.apply(operation, name, slopes))


@imports("PRELU")
def import_prelu(layer: Layer) -> None:
    """Identity for positive x, else a slope per channel times x."""
    x, a = layer.type_of(layer.source()), layer.type_of(layer.source(1))
    y = layer.type_of(layer.result())
    channels = x.shape[-1]
    slopes = layer.constant(1)
    layer.require(
        slopes.size in (1, channels) and slopes.shape[-1:] in ((1,), (channels,)),
        f"slopes {layer.source(1)} are not one per channel of {x}",
        "share the slopes over the spatial axes (PReLU(shared_axes=[1, 2]))",
    )
    single = [np.float32(layer.scale(layer.source(place))) for place in (0, 1)]
    y_scale = np.float32(layer.scale(layer.result()))
    gains = float(single[0] / y_scale), float(single[0] * single[1] / y_scale)
    layer.require(max(gains) < 2.0**20, "a scale ratio is too large")
    name = layer.number("slopes", np.broadcast_to(slopes.reshape(-1), channels), "s8")
    zeros = (a.zero_point, x.zero_point, y.zero_point)
    scale = layer.scale(layer.result())
    if layer.twice:
        pairs = [quantize_multiplier(gain) for gain in gains]
        operation: Prelu = TflitePrelu(*pairs[0], *pairs[1], *zeros, scale)
    else:
        folded = [fold_affine(gain, 0.0) for gain in gains]
        halves = [(int(half.multiplier[0]), int(half.shift[0])) for half in folded]
        operation = Prelu(*halves[0], *halves[1], *zeros, scale)
    layer.finish(layer.apply(operation, layer.activation(), name))


@imports("HARD_SWISH")
def import_hard_swish(layer: Layer) -> None:
    """Product x * relu6(x + 3) / 6."""
    if layer.twice:
        look_up(layer, _hard_swish(layer))
    else:
        look_up(layer, sampled(layer, lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0))


def _hard_swish(layer: Layer) -> npt.NDArray[np.int64]:
    """Output codes of all input codes in TFLite's 16-bit fixed point."""
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    hires = np.float32(1.0 / 128.0) * np.float32(layer.scale(layer.source()))
    output = quantize_multiplier(float(hires / np.float32(layer.scale(layer.result()))))
    reluish = quantize_multiplier(float(hires / np.float32(np.float32(3.0) / np.float32(32768.0))))
    layer.require(-15 <= output[1] <= 0 and -15 <= reluish[1] <= 15, "hard_swish of these scales")
    value = (all_codes() - x.zero_point) << 7
    scaled = _multiply_high16(value, _narrow16(output[0]))
    gate = value
    if reluish[1] > 0:
        gate = _saturate16(gate << (reluish[1] - 1))
    gate = _multiply_high16(gate, _narrow16(reluish[0]))
    if reluish[1] > 0:
        gate = _saturate16(gate << 1)
    gate = divide_by_power(gate, max(-reluish[1], 0))
    gate = (gate + (1 << 15)) >> 1
    product = gate * scaled
    halved = np.sign(product) * (np.abs(product) >> 15)
    return divide_by_power(halved, -output[1]) + y.zero_point


def _narrow16(multiplier: int) -> int:
    return 32767 if multiplier >= 2**31 - 1 - 2**15 else (multiplier + 2**15) >> 16


def _saturate16(value: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.clip(value, -(2**15), 2**15 - 1)


def _multiply_high16(a: npt.NDArray[np.int64], b: int) -> npt.NDArray[np.int64]:
    """Product of two Q0.15 values, half rounded up, saturated."""
    return np.minimum((a * b + (1 << 14)) >> 15, 2**15 - 1)
