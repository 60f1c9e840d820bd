"""Windows, filters, gains and transforms of front ends as integers.

The tables of the micro presets are those of TensorFlow Lite Micro's generators, which compute in
float32; what these round to float32, is rounded here too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError

Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
_MEL, _KNEE = np.float32(1127.0), np.float32(700.0)
_GAIN_BITS = 32
_LN2, _LN2_LOW = np.float32(0.693138123), np.float32(9.05800061e-06)
_HALF_ROOT = np.float32(0.707107008)  # half of the root of 2
_PLAIN = np.float32(0.414213866)  # the root of 2 less 1
_SERIES = tuple(
    map(
        np.float32,
        (0.666666687, 0.400000006, 0.285714298, 0.222221985, 0.181835726, 0.153138384, 0.147981986),
    )
)
_MOST = 2**15 - 1


@dataclass(frozen=True, slots=True)
class MelBank:
    """Triangles whose corners are equally far from each other on a mel scale.

    Attributes:
        rate: Samples a second.
        points: Of the Fourier transform.
        channels: Triangles.
        lowest: Hertz where the first one begins.
        highest: Hertz where the last one ends.
    """

    rate: int
    points: int
    channels: int
    lowest: float
    highest: float


def make_window(size: int, bits: int, double: bool = False) -> Int32s:
    """A Hann window, taken in the middle between samples.

    Args:
        size: Samples.
        bits: Fraction bits.
        double: Whether it is computed in float64, a half rounded to even, as for the Signal
            operators; in float32, a half rounded up, otherwise.
    """
    if double:
        turns = (np.arange(size) + 0.5) * (np.pi * 2 / size)
        return np.asarray(np.round((0.5 - 0.5 * np.cos(turns)) * 2**bits), np.int32)
    step = np.float32(np.float32(math.pi) * np.float32(2.0)) / np.float32(size)
    angle = np.float32(step * (np.arange(size, dtype=np.float32) + np.float32(0.5)))
    height = np.float32(0.5) - np.float32(0.5) * np.cos(angle.astype(np.float64)).astype(np.float32)
    return np.asarray(np.floor(height * np.float32(1 << bits) + np.float32(0.5)), np.int32)


def measure_mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Frequencies on the mel scale, 1127 ln(1 + f / 700), in float32."""
    return _MEL * _log1p(np.asarray(hertz, np.float32) / _KNEE)


def _log1p(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """ln(1 + x) of x >= 0 in float32, to the bit as C libraries have had it since fdlibm.

        1 + x = 2**k (1 + f),  s = f / (2 + f),  ln(1 + f) = f - f**2 / 2 + s (f**2 / 2 + R(s**2))

    The weights of public networks' filters came of it, and the last bit decides a rounding of some.

    Reference: Sun Microsystems 1993, fdlibm, log1p; its float version in glibc and newlib.
    """
    one, two = np.float32(1), np.float32(2)
    total = one + x
    fraction, exponent = np.frexp(total)
    low = fraction < _HALF_ROOT
    k = np.where(low, exponent - 1, exponent).astype(np.float32)
    f = np.where(low, fraction * two, fraction) - one
    lost = np.where(exponent > 1, one - (total - x), x - (total - one)) / total
    small = x < _PLAIN
    k, f, lost = np.where(small, 0, k).astype(np.float32), np.where(small, x, f), lost * ~small
    half_square = np.float32(0.5) * f * f
    s = f / (two + f)
    square = s * s
    series = np.zeros_like(square)
    for coefficient in reversed(_SERIES):
        series = square * (coefficient + series)
    bent = half_square - (s * (half_square + series) + (k * _LN2_LOW + lost))
    found = np.where(k == 0, f - (half_square - s * (half_square + series)), k * _LN2 - (bent - f))
    return found.astype(np.float32)


def make_mel_filters(
    bank: MelBank, bits: int, double: bool = False
) -> tuple[Int32s, Int32s, Int32s, tuple[int, int]]:
    """Triangles on the scale 1127 ln(1 + f / 700), as TensorFlow Lite Micro makes them.

    Args:
        bank: Where they lie; the highest frequency is below half of the rate.
        bits: Fraction bits of the weights.
        double: Whether distances between bins are float64 and weights are rounded down, as for the
            Signal operators; else they are float32, and rounded to the nearest.

    Returns:
        Falling and rising weights, segments (channels + 1, 3) as `tinyq.graph.ops.filter_bank`
        takes them, and the bins that count: first and end.

    Raises:
        ModelError: The highest frequency leaves the spectrum.
    """
    rate, channels, lowest, highest = bank.rate, bank.channels, bank.lowest, bank.highest
    half = bank.points // 2
    spacing: Any = rate / 2 / half if double else np.float32(rate / 2) / np.float32(half)
    low, high = measure_mel([lowest, highest])
    step = np.float32(high - low) / np.float32(channels + 1)
    centers = low + step * np.arange(1, channels + 2, dtype=np.float32)
    first = round(1 + lowest / spacing) if double else int(1.5 + np.float32(lowest) / spacing)
    mels = measure_mel(np.arange(half + 1, dtype=type(spacing)) * spacing)
    ends = first + np.searchsorted(mels[first:], centers, side="right")
    if int(ends[-1]) > half or not 0 <= lowest < highest:
        raise ModelError(
            f"filters from {lowest:,} to {highest:,} Hz leave a spectrum up to {rate / 2:,} Hz",
            remedy="give a highest frequency below half of the sampling rate",
        )
    starts = np.concatenate([[first], ends[:-1]])
    corners = np.concatenate([[low], centers[:-1]]).astype(np.float32)
    place = np.repeat(np.arange(channels + 1), ends - starts)
    weights = (centers[place] - mels[first : ends[-1]]) / (centers[place] - corners[place])
    falling, rising = (
        np.floor(part * np.float32(1 << bits) + np.float32(0 if double else 0.5)).astype(np.int32)
        for part in (weights, np.float32(1.0) - weights)
    )
    segments = np.stack([starts, starts - first, ends - starts], axis=1).astype(np.int32)
    return falling, rising, segments, (first, int(ends[-1]))


def make_gains(strength: float, offset: float, gain_bits: int, input_bits: int) -> Int32s:
    """Gains of `tinyq.numerics.signals.control_gain`: (x + offset)**-strength.

    Args:
        strength: 0 for none, 1 for a full normalization.
        offset: What is added to the estimate of noise.
        gain_bits: Fraction bits of a gain.
        input_bits: Fraction bits of an estimate.
    """

    def gain(x: int) -> int:
        value = np.float32(np.float32(x) / np.float32(1 << input_bits)) + np.float32(offset)
        power = np.float32(float(value) ** -float(np.float32(strength)))
        scaled = np.float32(np.float32(1 << gain_bits) * power)
        return _MOST if scaled > _MOST else int(np.float32(scaled + np.float32(0.5)))

    gains = np.zeros(4 * _GAIN_BITS - 3, np.int32)
    gains[:2] = gain(0), gain(1)
    for bits in range(2, _GAIN_BITS + 1):
        x = 1 << (bits - 1)
        end = 2 * x - 1 if bits == _GAIN_BITS else 2 * x
        y = [gain(place) for place in (x, x + x // 2, end)]
        slope = 4 * (y[1] - y[0]) - (y[2] - y[0])
        parts = y[0], slope, y[2] - y[0] - slope
        gains[4 * bits - 6 : 4 * bits - 3] = [(p + 2**15) % 2**16 - 2**15 for p in parts]
    return gains


def quantize_table(values: Floats, bits: int) -> Int32s:
    """Real numbers as int16 with fraction bits, half rounded up.

    Raises:
        ModelError: One does not fit.
    """
    codes = np.floor(values * 2.0**bits + 0.5)
    if codes.min() < -(2**15) or codes.max() > _MOST:
        raise ModelError(f"a table reaches {np.abs(values).max():.4g}, too much for {bits} bits")
    return codes.astype(np.int32)


def make_triangles(bank: MelBank, slaney: bool) -> tuple[Floats, Floats, Int32s]:
    """Flanks of mel filters, as real numbers.

    Args:
        bank: Where they lie; the highest frequency is half of the rate at most.
        slaney: Slaney's mel scale, flanks straight over hertz, and an area of 1; else the scale
            1127 ln(1 + f / 700), flanks straight over it, and a height of 1.

    Returns:
        Falling and rising flanks, and segments (channels + 1, 3).

    Raises:
        ModelError: The frequencies leave the spectrum, or a filter has no bin.
    """
    rate, channels, lowest, highest = bank.rate, bank.channels, bank.lowest, bank.highest
    half = bank.points // 2
    if not 0 <= lowest < highest <= rate / 2:
        raise ModelError(
            f"filters from {lowest:,} to {highest:,} Hz leave a spectrum up to {rate / 2:,} Hz",
            remedy="give a highest frequency of half of the sampling rate at most",
        )
    to_mel, to_hertz = (_to_slaney, _from_slaney) if slaney else (_to_mel, _from_mel)
    low, high = to_mel(np.array([lowest, highest])).tolist()
    corners = np.linspace(low, high, channels + 2)
    hertz = np.arange(half + 1) * rate / bank.points
    corners = to_hertz(corners) if slaney else corners
    place = hertz if slaney else to_mel(hertz)
    starts = np.searchsorted(place, corners[:-1])
    ends = np.append(starts[1:], np.searchsorted(place, corners[-1]))
    empty = np.flatnonzero((ends - starts)[:-1] + (ends - starts)[1:] == 0)
    if empty.size:
        raise ModelError(
            f"filter {int(empty[0])} lies between two frequencies of the spectrum",
            remedy="take fewer filters, or longer frames",
        )
    segment = np.repeat(np.arange(channels + 1), ends - starts)
    inside = place[starts[0] : ends[-1]]
    rising = (inside - corners[segment]) / (corners[segment + 1] - corners[segment])
    falling = 1 - rising
    if slaney:
        areas = np.concatenate([[0.0], 2 / (corners[2:] - corners[:-2]), [0.0]])
        falling, rising = falling * areas[segment], rising * areas[segment + 1]
    segments = np.stack([starts, starts - starts[0], ends - starts], axis=1).astype(np.int32)
    return falling, rising, segments


def make_cosines(coefficients: int, channels: int) -> Floats:
    """A cosine transform: sqrt(2 / channels) * cos(pi m (c + 1/2) / channels)."""
    angle = np.pi * np.arange(coefficients)[:, None] * (np.arange(channels) + 0.5) / channels
    return np.asarray(np.sqrt(2 / channels) * np.cos(angle))


def _to_mel(hertz: Floats) -> Floats:
    return np.asarray(1127.0 * np.log1p(hertz / 700.0))


def _from_mel(mel: Floats) -> Floats:
    return np.asarray(700.0 * np.expm1(mel / 1127.0))


def _to_slaney(hertz: Floats) -> Floats:
    """Straight up to 1 kHz, 15 steps; 27 steps for each factor of 6.4 above."""
    above = 15 + np.log(np.maximum(hertz, 1000.0) / 1000.0) * 27 / math.log(6.4)
    return np.where(hertz < 1000.0, hertz * 3 / 200, above)


def _from_slaney(mel: Floats) -> Floats:
    return np.where(mel < 15, mel * 200 / 3, 1000.0 * np.exp((mel - 15) * math.log(6.4) / 27))
