"""TensorFlow Lite Micro's Signal operators: from a frame of samples to features.

Energies are UINT32 and sums of filters UINT64 in the file; in the graph they are the bits of s32
codes, which no operator but these reads.
"""

from __future__ import annotations

import numpy as np

from tinyq.graph.ops.filter_bank import FilterBank, SquareRoot
from tinyq.graph.ops.gain_control import GainControl, Logarithm
from tinyq.graph.ops.headroom import Headroom, ShiftUp
from tinyq.graph.ops.integers import Narrow, Widen
from tinyq.graph.ops.noise import NoiseEstimate, SpectralSubtraction
from tinyq.graph.ops.spectrum import PowerSpectrum, RealFourier, WindowFrame
from tinyq.importers.tflite.custom import read_numbers
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.registry import imports
from tinyq.numerics.fourier import make_roots
from tinyq.numerics.signals import make_logarithms

_INT16 = 7  # in the options of Rfft
_MOST_POINTS = 4096


@imports("CUSTOM:SignalWindow")
def import_window(layer: Layer) -> None:
    """A frame times a window."""
    (shift,) = read_numbers(layer, "shift")
    _require(layer, 0, "INT16")
    window = layer.number("window", _table(layer, 1).reshape(-1), "s16")
    layer.finish(layer.apply(WindowFrame(shift), layer.activation(), window))


@imports("CUSTOM:SignalFftAutoScale")
def import_scale(layer: Layer) -> None:
    """A frame as far up as int16 allows, and by how many bits."""
    _require(layer, 0, "INT16")
    frame = layer.activation()
    layer.require(len(layer.builder.type(frame).shape) == 1, f"{layer.source()} is no single frame")
    bits = layer.apply(Headroom(1), frame, suffix="bits")
    layer.finish(layer.apply(ShiftUp(), frame, bits))
    layer.finish(bits, 1)


@imports("CUSTOM:SignalRfft")
def import_transform(layer: Layer) -> None:
    """First half of the spectrum of 16 bits."""
    kind, points = read_numbers(layer, "T", "fft_length")
    layer.require(kind == _INT16, "only spectra of INT16 are supported")
    layer.require(0 < points <= _MOST_POINTS, f"{points:,} points are not supported")
    _require(layer, 0, "INT16")
    roots = layer.number("roots", make_roots(points), "s16")
    layer.finish(layer.apply(RealFourier(points), layer.activation(), roots))


@imports("CUSTOM:SignalEnergy")
def import_energy(layer: Layer) -> None:
    """Squared magnitudes; those outside of the range, which TFLite leaves open, are 0."""
    first, end = read_numbers(layer, "start_index", "end_index")
    _require(layer, 0, "INT16")
    layer.finish(layer.apply(PowerSpectrum(first, end), layer.activation()))


@imports("CUSTOM:SignalFilterBank")
def import_filters(layer: Layer) -> None:
    """Overlapping triangles: weights fall for a channel and rise for the next one."""
    (channels,) = read_numbers(layer, "num_channels")
    _require(layer, 0, "UINT32")
    falling, rising, *segments = (_table(layer, place).reshape(-1) for place in range(1, 6))
    layer.require(
        all(len(entry) == channels + 1 for entry in segments),
        f"the segments of {channels} channels are {[len(entry) for entry in segments]}",
    )
    names = [
        layer.number(name, codes, "s16")
        for name, codes in (
            ("falling", falling),
            ("rising", rising),
            ("segments", np.stack(segments, axis=1)),
        )
    ]
    layer.hand_on(layer.apply(FilterBank(), layer.activation(), *names))


@imports("CUSTOM:SignalFilterBankSquareRoot")
def import_root(layer: Layer) -> None:
    """Roots of sums, at the level that the frame had."""
    _require(layer, 0, "UINT64")
    _require(layer, 1, "INT32")
    layer.finish(layer.apply(SquareRoot(), layer.activation(), layer.activation(1)))


@imports("CUSTOM:SignalFilterBankSpectralSubtraction")
def import_subtraction(layer: Layer) -> None:
    """Energies without their noise, whose estimate is a state of the graph."""
    even, even_rest, odd, odd_rest, least, smoothing, bits, clamped = read_numbers(
        layer,
        "smoothing",
        "one_minus_smoothing",
        "alternate_smoothing",
        "alternate_one_minus_smoothing",
        "min_signal_remaining",
        "smoothing_bits",
        "spectral_subtraction_bits",
        "clamping",
    )
    layer.require(0 <= bits <= 30, f"{bits} spectral_subtraction_bits are not supported")
    layer.require(
        even + even_rest == odd + odd_rest == 1 << bits,
        "weights of the estimate do not add up to 1",
    )
    _require(layer, 0, "UINT32")
    energy = layer.activation()
    state = layer.builder.add_state(layer.name("noise"), layer.builder.type(energy))
    operation = NoiseEstimate(even, odd, smoothing, bits, clamped)
    estimate = layer.apply(operation, energy, state, suffix="estimate")
    layer.builder.keep(state, estimate)
    layer.finish(layer.apply(SpectralSubtraction(smoothing, least, bits), energy, estimate))
    layer.finish(estimate, 1)


@imports("CUSTOM:SignalPCAN")
def import_gain_control(layer: Layer) -> None:
    """Automatic gain control by the estimate of noise."""
    (shift,) = read_numbers(layer, "snr_shift")
    for position in (0, 1):
        _require(layer, position, "UINT32")
    gains = layer.number("gains", _table(layer, 2).reshape(-1), "s16")
    layer.finish(layer.apply(GainControl(shift), layer.activation(), layer.activation(1), gains))


@imports("CUSTOM:SignalFilterBankLog")
def import_logarithm(layer: Layer) -> None:
    """Natural logarithm times a scale."""
    scale, correction = read_numbers(layer, "output_scale", "input_correction_bits")
    _require(layer, 0, "UINT32")
    table = layer.number("logarithms", make_logarithms(), "s16")
    layer.finish(layer.apply(Logarithm(scale, correction), layer.activation(), table))


@imports("CAST")
def import_cast(layer: Layer) -> None:
    """Between integers: wider, the same bits with or without a sign, or the low eight bits."""
    x, y = layer.source(), layer.result()
    layer.require(x.quantization is None and y.quantization is None, f"{x} or {y} has a scale")
    kinds = x.type, y.type
    name = layer.activation()
    if kinds in (("INT8", "INT32"), ("INT16", "INT32")):
        name = layer.apply(Widen(), name)
    elif kinds == ("INT32", "INT8"):
        name = layer.apply(Narrow(), name)
    else:
        layer.require(
            set(kinds) == {"INT32", "UINT32"},
            f"a cast of {x.type} to {y.type} is not supported",
            "convert the model up to this operator, and compute what follows in the application",
        )
    layer.finish(name)


def _require(layer: Layer, position: int, kind: str) -> None:
    tensor = layer.source(position)
    layer.require(tensor.type == kind, f"{tensor} is not {kind}")


def _table(layer: Layer, position: int) -> np.ndarray:
    _require(layer, position, "INT16")
    return layer.constant(position)
