"""Logarithms of mel filters as librosa has them, cepstral coefficients as CMSIS-DSP has them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph.builder import GraphBuilder
from tinyq.graph.front_ends.base import FrontEnd, Remember
from tinyq.graph.front_ends.tables import (
    Floats,
    Int32s,
    MelBank,
    make_cosines,
    make_triangles,
    quantize_table,
)
from tinyq.graph.ops.filter_bank import FilterBank, SquareRoot
from tinyq.graph.ops.gain_control import Logarithm
from tinyq.graph.ops.headroom import Headroom, LevelCorrection, ShiftUp
from tinyq.graph.ops.linear_filter import LinearTransform
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.spectrum import PowerSpectrum, RealFourier, WindowFrame
from tinyq.numerics.formats import find_format
from tinyq.numerics.fourier import make_roots
from tinyq.numerics.signals import make_logarithms

_WINDOW_BITS, _LEVEL_BITS, _COSINE_BITS = 14, 14, 15
_HALF_OCTAVE = math.log(2) / 2
_RATIO_BITS = 40


@dataclass(frozen=True, slots=True)
class CepstralFrontEnd(FrontEnd):
    """Window, spectrum, mel filters, logarithm, and a cosine transform or none.

    The real value of a feature of 16 bits is that of the formula for samples as parts of the full
    scale and a transform that is not divided by its points:

        mel[c] = sum_k weight[c, k] * |X[k]|**2       (|X[k]| with `magnitude`)
        log mel: 10 log10(max(mel, floor));  cepstral: sum_c cos[m, c] * ln(max(mel, floor))

    Attributes:
        filters: Mel filters.
        lowest_hz: Where the first filter begins.
        highest_hz: Where the last filter ends.
        hamming: Whether the window is a Hamming window, else a Hann window; both are periodic.
        slaney: Whether the mel scale is Slaney's and filters have one area, as in librosa; else the
            scale is 1127 ln(1 + f / 700), and their height is 1.
        magnitude: Whether filters add magnitudes, else powers.
        coefficients: Of the cosine transform; 0 for the logarithms themselves.
        floor: Smallest value whose logarithm is taken.
        log_scale: Steps of a logarithm of 16 bits: twice those of one natural unit.
    """

    window_ms: float = 32.0
    filters: int = 40
    lowest_hz: float = 0.0
    highest_hz: float = 8000.0
    hamming: bool = False
    slaney: bool = True
    magnitude: bool = False
    coefficients: int = 0
    floor: float = 1e-10
    log_scale: int = 1024

    def __post_init__(self) -> None:
        """Check the settings."""
        super(CepstralFrontEnd, self).__post_init__()
        if not 0 <= self.coefficients <= self.filters <= 512 or self.filters < 1:
            raise ModelError(
                f"{self.coefficients} coefficients of {self.filters} filters are not supported",
                remedy="use 1 to 512 filters, and no more coefficients than filters",
            )
        if not 0 < self.floor <= 1 or not 1 <= self.log_scale <= 1024:
            raise ModelError(
                f"floor {self.floor} or log_scale {self.log_scale} is out of range",
                remedy="use a floor above 0 up to 1, and a log_scale of 1 to 1,024",
            )

    @property
    def features(self) -> int:
        """Features of a frame."""
        return self.coefficients or self.filters

    @property
    def ratios(self) -> tuple[Fraction, ...]:
        """Steps of 8 bits to one of 16, for each feature."""
        unit = 2.0 / self.log_scale * (1.0 if self.coefficients else 10 / math.log(10))
        ratio = Fraction(round(unit / self.scale * 2**_RATIO_BITS), 2**_RATIO_BITS)
        return (ratio,) * self.features

    @property
    def scale(self) -> float:
        """Half a decibel, or half a natural unit."""
        return 0.5

    @property
    def zero_point(self) -> int:
        """From -100 to 27.5 decibels, or from -87.5, the first coefficient of silence, to 40."""
        return 47 if self.coefficients else 72

    def add_wide(self, builder: GraphBuilder, frames: str, remember: Remember) -> str:
        """Logarithms or coefficients of 16 bits."""
        del remember
        apply = builder.apply
        spectrum, bits = self._add_spectrum(builder, frames)
        weights, weight_bits = self._quantize_weights()
        names = [
            builder.constant(name, codes, find_format("s16"))
            for name, codes in zip(("falling", "rising", "segments"), weights, strict=True)
        ]
        sums = apply("filters", FilterBank(), spectrum, *names)
        root = apply("energy", SquareRoot(), sums, self._no_bits(builder, bits))
        table = builder.constant("logarithms", make_logarithms(), find_format("s16"))
        logarithm = apply("logarithm", Logarithm(self.log_scale, 0), root, table)
        level = apply("level", self._correction(weight_bits), logarithm, bits)
        if not self.coefficients:
            return level
        cosines = quantize_table(make_cosines(self.coefficients, self.filters), _COSINE_BITS)
        matrix = builder.constant("cosines", cosines, find_format("s16"))
        return apply("coefficients", LinearTransform(_COSINE_BITS), level, matrix)

    def _add_spectrum(self, builder: GraphBuilder, frames: str) -> tuple[str, str]:
        """Powers or magnitudes, and by how many bits the frame was shifted up."""
        s16, apply = find_format("s16"), builder.apply
        window = quantize_table(self._make_window(), _WINDOW_BITS)
        table = builder.constant("window_table", window, s16)
        windowed = apply("window", WindowFrame(_WINDOW_BITS), frames, table)
        bits = apply("headroom", Headroom(0), windowed)
        scaled = apply("scaled", ShiftUp(), windowed, bits)
        roots = builder.constant("roots", make_roots(self.points), s16)
        spectrum = apply("spectrum", RealFourier(self.points), scaled, roots)
        power = apply("power", PowerSpectrum(0, self.points // 2 + 1), spectrum)
        if not self.magnitude:
            return power, bits
        shape = builder.type(power).shape
        words = apply("words", Reshape((*shape, 1)), power)
        return apply("magnitude", SquareRoot(), words, self._no_bits(builder, bits)), bits

    @staticmethod
    def _no_bits(builder: GraphBuilder, bits: str) -> str:
        """Zeros: roots keep the level of a frame, which its logarithm gives back."""
        if builder.has("no_bits"):
            return "no_bits"
        shape = builder.type(bits).shape
        return builder.constant("no_bits", np.zeros(shape, np.int32), find_format("s32"))

    def _make_window(self) -> Floats:
        turns = 2 * np.pi * np.arange(self.size) / self.size
        high, low = (0.54, 0.46) if self.hamming else (0.5, 0.5)
        return np.asarray(high - low * np.cos(turns))

    def _quantize_weights(self) -> tuple[tuple[Int32s, Int32s, Int32s], int]:
        """The filters, and the fraction bits that use int16 up."""
        limits = self.lowest_hz, self.highest_hz
        bank = MelBank(self.rate, self.points, self.filters, *limits)
        falling, rising, segments = make_triangles(bank, self.slaney)
        most = max(float(falling.max(initial=0.0)), float(rising.max(initial=0.0)), 2.0**-16)
        bits = min(14 - math.frexp(most)[1] + 1, 30)
        if most * 2**bits > 2**15 - 1:
            bits -= 1
        return (quantize_table(falling, bits), quantize_table(rising, bits), segments), bits

    def _correction(self, weight_bits: int) -> LevelCorrection:
        """From log_scale * ln(root of the sum) to log_scale / 2 * ln(mel)."""
        part = 0.5 if self.magnitude else 1.0
        octave = self.log_scale * 2 * _HALF_OCTAVE * part
        points = math.log2(self.points) - 15
        offset = self.log_scale * _HALF_OCTAVE * (weight_bits - 2 * part * points)
        lowest = max(round(self.log_scale / 2 * math.log(self.floor)), -(2**15))
        fine = 1 << _LEVEL_BITS
        return LevelCorrection(round(octave * fine), _LEVEL_BITS, round(offset * fine), lowest)
