"""Operations on the rows of a signal, in C99.

The loop over rows is one text; what becomes of a row is an entry of `SIGNALS`. The arithmetic is
in templates/runtime/tq_signal.h and tq_fourier.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import bind_shared, list_pointers, write_about
from tinyq.kernels.layer import LayerSpec

TEXT = "generic/signals"


@dataclass(frozen=True, slots=True)
class RowLoop:
    """What becomes of a row.

    Attributes:
        about: Formula and operands, line by line.
        operands: Names of the operands.
        each: Statements for a row.
        before: Declarations before the first row.
    """

    about: tuple[str, ...]
    operands: tuple[str, ...]
    each: tuple[str, ...]
    before: tuple[str, ...] = ()


def _loop(count: str, *statements: str) -> tuple[str, ...]:
    """Statements for each element k of a row."""
    inner = (f"    {statement}" for statement in statements)
    return (f"for (int32_t k = 0; k < {count}; k++) {{", *inner, "}")


_LENGTH = ("const int32_t length = g->length;",)
_CHANNELS = ("const int32_t channels = g->channels;",)

SIGNALS: Mapping[str, RowLoop] = MappingProxyType(
    {
        "windowframe": RowLoop(
            (
                "Frames times a window: y[r, k] = clip(x[r, k] * w[k] >> shift).",
                "",
                "x, y   [rows][length]; y may be the buffer of x",
                "w      [length]",
                "",
                "Twin: tinyq.graph.ops.spectrum.WindowFrame",
            ),
            ("x", "w"),
            (
                *_loop(
                    "length",
                    "const int32_t product = ((int32_t)x[k] * w[k]) >> g->shift;",
                    "y[k] = (int16_t)tq_clip(product, INT16_MIN, INT16_MAX);",
                ),
                "x += length;",
                "y += length;",
            ),
            _LENGTH,
        ),
        "headroom": RowLoop(
            (
                "By how many bits each row may be shifted up.",
                "",
                "x   [rows][length]",
                "y   [rows], 0 .. 15",
                "",
                "Twin: tinyq.graph.ops.headroom.Headroom",
            ),
            ("x",),
            ("y[r] = tq_find_headroom(x, g->length, g->negated);", "x += g->length;"),
        ),
        "shiftup": RowLoop(
            (
                "Each row shifted up by its own number of bits, wrapped to int16.",
                "",
                "x, y   [rows][length]; y may be the buffer of x",
                "bits   [rows], 0 .. 15",
                "",
                "Twin: tinyq.graph.ops.headroom.ShiftUp",
            ),
            ("x", "bits"),
            (
                "const int32_t factor = (int32_t)1 << bits[r];",
                *_loop("length", "y[k] = (int16_t)(x[k] * factor);"),
                "x += length;",
                "y += length;",
            ),
            _LENGTH,
        ),
        "levelcorrection": RowLoop(
            (
                "Logarithms of rows that were shifted up, as if they had not been.",
                "",
                "  y[r, k] = clip(x[r, k] - (bits[r] * octave + offset + half >> shift), lowest)",
                "",
                "x, y   [rows][channels]; y may be the buffer of x",
                "bits   [rows], 0 .. 15",
                "",
                "Twin: tinyq.graph.ops.headroom.LevelCorrection",
            ),
            ("x", "bits"),
            (
                "const int32_t level = (bits[r] * g->octave + half) >> g->shift;",
                *_loop("channels", "y[k] = (int16_t)tq_clip(x[k] - level, g->lowest, INT16_MAX);"),
                "x += channels;",
                "y += channels;",
            ),
            (*_CHANNELS, "const int32_t half = g->offset + (((int32_t)1 << g->shift) >> 1);"),
        ),
        "realfourier": RowLoop(
            (
                "First half of the spectrum of each row of samples, divided by the points.",
                "",
                "x       [rows][length], at most points; zeros follow",
                "roots   [3 * points / 4] complex",
                "y       [rows][points / 2 + 1] complex",
                "",
                "Twin: tinyq.graph.ops.spectrum.RealFourier",
            ),
            ("x", "roots"),
            (
                "tq_transform_real(x, roots, g->length, g->points, y);",
                "x += g->length;",
                "y += g->points + 2;",
            ),
        ),
        "powerspectrum": RowLoop(
            (
                "Squared magnitudes of complex numbers, 0 outside of first .. end - 1.",
                "",
                "x   [rows][bins] complex",
                "y   [rows][bins], unsigned",
                "",
                "Twin: tinyq.graph.ops.spectrum.PowerSpectrum",
            ),
            ("x",),
            (
                *_loop(
                    "bins",
                    "const int32_t re = x[2 * k];",
                    "const int32_t im = x[2 * k + 1];",
                    "const uint32_t power = (uint32_t)(re * re) + (uint32_t)(im * im);",
                    "y[k] = k >= g->first && k < g->end ? (int32_t)power : 0;",
                ),
                "x += 2 * bins;",
                "y += bins;",
            ),
            ("const int32_t bins = g->bins;",),
        ),
        "filterbank": RowLoop(
            (
                "Overlapping triangles over a spectrum: tq_sum_filters.",
                "",
                "x                 [rows][bins], unsigned",
                "falling, rising   weights of both flanks",
                "segments          [channels + 1][3]: first bin, first weight, number of both",
                "y                 [rows][channels][2], 64 bits, the low word first",
                "",
                "Twin: tinyq.graph.ops.filter_bank.FilterBank",
            ),
            ("x", "falling", "rising", "segments"),
            (
                "tq_sum_filters(x, falling, rising, segments, g->channels, y);",
                "x += g->bins;",
                "y += 2 * g->channels;",
            ),
        ),
        "squareroot": RowLoop(
            (
                "Square roots, each row shifted down by its own number of bits.",
                "",
                "x      [rows][channels][words], unsigned, of one word or two, the low one first",
                "bits   [rows], 0 .. 31",
                "y      [rows][channels], unsigned",
                "",
                "Twin: tinyq.graph.ops.filter_bank.SquareRoot",
            ),
            ("x", "bits"),
            (
                *_loop(
                    "g->channels",
                    "const uint32_t high = g->words == 2 ? (uint32_t)x[1] : 0;",
                    "const uint32_t root = tq_take_root(((uint64_t)high << 32) | (uint32_t)x[0]);",
                    "y[k] = (int32_t)(root >> bits[r]);",
                    "x += g->words;",
                ),
                "y += g->channels;",
            ),
        ),
        "noiseestimate": RowLoop(
            (
                "Average of each channel over time; even and odd channels differ in speed.",
                "",
                "x          [rows][channels], unsigned; a row is a step",
                "estimate   [channels] before the first step",
                "y          [rows][channels]",
                "",
                "Twin: tinyq.graph.ops.noise.NoiseEstimate",
            ),
            ("x", "estimate"),
            (
                *_loop(
                    "channels",
                    "const uint32_t fine = (uint32_t)x[k] << g->smoothing_bits;",
                    "const uint32_t speed = (uint32_t)((k & 1) != 0 ? g->odd : g->even);",
                    "const uint32_t last = (uint32_t)estimate[k];",
                    "y[k] = (int32_t)tq_smooth(fine, last, speed, g->bits, g->clamped);",
                ),
                "estimate = y;",
                "x += channels;",
                "y += channels;",
            ),
            _CHANNELS,
        ),
        "spectralsubtraction": RowLoop(
            (
                "Energy without its noise, of which a part remains at least.",
                "",
                "x, estimate, y   [rows][channels], unsigned; y may be the buffer of an operand",
                "",
                "Twin: tinyq.graph.ops.noise.SpectralSubtraction",
            ),
            ("x", "estimate"),
            (
                *_loop(
                    "channels",
                    "const uint32_t last = (uint32_t)estimate[k];",
                    "y[k] = (int32_t)tq_subtract_noise((uint32_t)x[k], last, g->smoothing_bits,",
                    "                                  (uint32_t)g->least, g->bits);",
                ),
                "x += channels;",
                "estimate += channels;",
                "y += channels;",
            ),
            _CHANNELS,
        ),
        "gaincontrol": RowLoop(
            (
                "Energy over a power of its noise, compressed where it is small.",
                "",
                "x, estimate, y   [rows][channels], unsigned; y may be the buffer of an operand",
                "gains            [125]",
                "",
                "Twin: tinyq.graph.ops.gain_control.GainControl",
            ),
            ("x", "estimate", "gains"),
            (
                *_loop(
                    "channels",
                    "const uint32_t last = (uint32_t)estimate[k];",
                    "y[k] = (int32_t)tq_control_gain((uint32_t)x[k], last, gains, g->shift);",
                ),
                "x += channels;",
                "estimate += channels;",
                "y += channels;",
            ),
            _CHANNELS,
        ),
        "logarithm": RowLoop(
            (
                "Natural logarithm times a scale, of 0 and 1 it is 0.",
                "",
                "x       [rows][channels], unsigned",
                "table   [129]",
                "y       [rows][channels], at most 2^15 - 1",
                "",
                "Twin: tinyq.graph.ops.gain_control.Logarithm",
            ),
            ("x", "table"),
            (
                *_loop(
                    "channels",
                    "const uint32_t value = ((uint32_t)x[k] << g->up) >> g->down;",
                    "const uint32_t found = tq_take_logarithm(value, table, g->scale);",
                    "y[k] = (int16_t)(found < INT16_MAX ? found : INT16_MAX);",
                ),
                "x += channels;",
                "y += channels;",
            ),
            _CHANNELS,
        ),
        "frames": RowLoop(
            (
                "Overlapping frames of each row of samples.",
                "",
                "x   [rows][samples]",
                "y   [rows][frames][size], each frame hop samples behind the one before",
                "",
                "Twin: tinyq.graph.ops.frames.Frames",
            ),
            ("x",),
            (
                "for (int32_t t = 0; t < g->frames; t++) {",
                "    const int16_t *frame = x + t * g->hop;",
                *(f"    {line}" for line in _loop("g->size", "y[k] = frame[k];")),
                "    y += g->size;",
                "}",
                "x += g->samples;",
            ),
        ),
        "framestatistics": RowLoop(
            (
                "Mean, root of the mean square, smallest and largest code, changes of sign, peaks.",
                "",
                "x   [rows][length], fewer than 2^15",
                "y   [rows][6]",
                "",
                "Twin: tinyq.graph.ops.frames.FrameStatistics",
            ),
            ("x",),
            ("tq_describe_frame(x, g->length, y);", "x += g->length;", "y += 6;"),
        ),
        "decimatingfilter": RowLoop(
            (
                "A filter of finite response, computed for every step-th sample alone.",
                "",
                "x   [rows][samples]",
                "w   [taps]",
                "y   [rows][outputs]",
                "",
                "Twin: tinyq.graph.ops.linear_filter.DecimatingFilter",
            ),
            ("x", "w"),
            (
                *_loop("g->outputs", "y[k] = tq_filter_s16(x + k * g->step, w, taps, g->shift);"),
                "x += g->samples;",
                "y += g->outputs;",
            ),
            ("const int32_t taps = g->taps;",),
        ),
        "lineartransform": RowLoop(
            (
                "A matrix times each row.",
                "",
                "x   [rows][length]",
                "w   [outputs][length]",
                "y   [rows][outputs]",
                "",
                "Twin: tinyq.graph.ops.linear_filter.LinearTransform",
            ),
            ("x", "w"),
            (
                *_loop("g->outputs", "y[k] = tq_filter_s16(x, w + k * length, length, g->shift);"),
                "x += length;",
                "y += g->outputs;",
            ),
            _LENGTH,
        ),
    }
)


def bind_signal(layer: LayerSpec) -> Bound:
    """A function of each row of a signal."""
    entry = SIGNALS[layer.operation]
    return bind_shared(
        layer,
        about=write_about(*entry.about),
        pointers=list_pointers(layer, *entry.operands),
        before="".join(f"    {line}\n" for line in entry.before) + "\n" * bool(entry.before),
        each=entry.each,
    )
