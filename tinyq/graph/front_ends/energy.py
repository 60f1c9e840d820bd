"""Front ends of TensorFlow Lite Micro: energy of mel filters without noise, under gain control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph.builder import GraphBuilder
from tinyq.graph.front_ends.base import FrontEnd
from tinyq.graph.front_ends.tables import MelBank, make_gains, make_mel_filters, make_window
from tinyq.graph.ops.filter_bank import FilterBank, SquareRoot
from tinyq.graph.ops.gain_control import GainControl, Logarithm
from tinyq.graph.ops.headroom import Headroom, ShiftUp
from tinyq.graph.ops.noise import NoiseEstimate, SpectralSubtraction
from tinyq.graph.ops.spectrum import PowerSpectrum, RealFourier, WindowFrame
from tinyq.numerics.formats import find_format
from tinyq.numerics.fourier import make_roots
from tinyq.numerics.signals import make_logarithms

_WINDOW_BITS, _FILTER_BITS, _SNR_BITS, _WEIGHT_BITS = 12, 12, 12, 14
_LEGACY = 25.6
"""Steps of a logarithm of six fraction bits to 1 in what networks were trained with."""


@dataclass(frozen=True, slots=True)
class EnergyFrontEnd(FrontEnd):
    """Window, spectrum, mel filters, noise reduction, PCAN gain control, logarithm.

    Attributes:
        lowest_hz: Where the first filter begins.
        highest_hz: Where the last filter ends.
        filters: Features of a frame.
        smoothing_bits: Fraction bits of the noise estimate.
        even_smoothing: Weight of the newest frame in the estimate of every other filter.
        odd_smoothing: In that of the ones between.
        least_signal: Part of the energy that noise reduction leaves at least.
        clamped: Whether no estimate exceeds the energy.
        gain_control: Whether PCAN follows.
        strength: Of PCAN, 0 .. 1.
        offset: What PCAN adds to the estimate.
        gain_bits: Fraction bits of PCAN's gain.
        log_shift: Fraction bits of the logarithm.
        operators: Whether tables and headroom are those of the Signal operators, not those of the
            micro frontend.
    """

    lowest_hz: float = 125.0
    highest_hz: float = 7500.0
    filters: int = 40
    smoothing_bits: int = 10
    even_smoothing: float = 0.025
    odd_smoothing: float = 0.06
    least_signal: float = 0.05
    clamped: bool = False
    gain_control: bool = True
    strength: float = 0.95
    offset: float = 80.0
    gain_bits: int = 21
    log_shift: int = 6
    operators: bool = False

    @property
    def features(self) -> int:
        """Features of a frame."""
        return self.filters

    @property
    def ratios(self) -> tuple[Fraction, ...]:
        """Codes -128 .. 127 are the values 0 .. 26 of networks that were trained in float32."""
        return (Fraction(256, 666) * Fraction(64, 1 << self.log_shift),) * self.filters

    @property
    def scale(self) -> float:
        """Real value of a step of a feature of 8 bits."""
        return 666 / 256 / _LEGACY

    def add_wide(
        self, builder: GraphBuilder, frames: str, remember: Callable[[NoiseEstimate, str], str]
    ) -> str:
        """Logarithms of 16 bits."""
        apply = builder.apply
        spectrum, bits = self._add_spectrum(builder, frames)
        limits = self.lowest_hz, self.highest_hz
        bank = MelBank(self.rate, self.points, self.filters, *limits)
        *weights, (first, end) = make_mel_filters(bank, _FILTER_BITS, self.operators)
        power = apply("power", PowerSpectrum(first, end), spectrum)
        tables = zip(("falling", "rising", "segments"), weights, strict=True)
        names = [builder.constant(name, codes, find_format("s16")) for name, codes in tables]
        sums = apply("filters", FilterBank(), power, *names)
        energy = apply("energy", SquareRoot(), sums, bits)
        estimate = remember(self._estimate(), energy)
        signal = apply("signal", self._subtraction(), energy, estimate)
        correction = self.points.bit_length() - 1 - _FILTER_BITS // 2
        if self.gain_control:
            signal = self._add_gain(builder, signal, estimate, correction)
        table = builder.constant("logarithms", make_logarithms(), find_format("s16"))
        return apply("logarithm", Logarithm(1 << self.log_shift, correction), signal, table)

    def _add_spectrum(self, builder: GraphBuilder, frames: str) -> tuple[str, str]:
        s16 = find_format("s16")
        window = builder.constant(
            "window_table", make_window(self.size, _WINDOW_BITS, self.operators), s16
        )
        windowed = builder.apply("window", WindowFrame(_WINDOW_BITS), frames, window)
        bits = builder.apply("headroom", Headroom(int(self.operators)), windowed)
        scaled = builder.apply("scaled", ShiftUp(), windowed, bits)
        roots = builder.constant("roots", make_roots(self.points), s16)
        return builder.apply("spectrum", RealFourier(self.points), scaled, roots), bits

    def _estimate(self) -> NoiseEstimate:
        even, odd = (_weigh(part) for part in (self.even_smoothing, self.odd_smoothing))
        return NoiseEstimate(even, odd, self.smoothing_bits, _WEIGHT_BITS, int(self.clamped))

    def _subtraction(self) -> SpectralSubtraction:
        return SpectralSubtraction(self.smoothing_bits, _weigh(self.least_signal), _WEIGHT_BITS)

    def _add_gain(self, builder: GraphBuilder, signal: str, estimate: str, correction: int) -> str:
        shift, input_bits = (
            self.gain_bits - correction - _SNR_BITS,
            self.smoothing_bits - correction,
        )
        if not 0 <= shift <= 63 or not 0 <= input_bits <= 31:
            raise ModelError(
                f"{self.gain_bits} bits of gain and {self.smoothing_bits} of smoothing do not fit "
                f"a transform of {self.points:,} points",
                remedy=f"take {correction + _SNR_BITS} or more bits of gain, and "
                f"{max(correction, 0)} or more of smoothing",
            )
        codes = make_gains(self.strength, self.offset, self.gain_bits, input_bits)
        gains = builder.constant("gains", codes, find_format("s16"))
        return builder.apply("gain", GainControl(shift), signal, estimate, gains)


def _weigh(part: float) -> int:
    """A part of one in float32, rounded down."""
    return int(np.float32(part) * np.float32(1 << _WEIGHT_BITS))
