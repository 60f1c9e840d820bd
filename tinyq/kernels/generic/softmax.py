"""Softmaxes in C99: the loops are one text, what each computes in them is a row of `SOFTMAXES`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import bind_shared, list_pointers, write_about
from tinyq.kernels.layer import LayerSpec

TEXT = "generic/softmax"


@dataclass(frozen=True, slots=True)
class Softmax:
    """What a softmax computes.

    Attributes:
        about: Formula, operands and bounds, line by line.
        power: Power of code k, as an expression.
        shared: Declarations for a row, when the sum of its powers is known.
        share: What code k becomes.
        least: Below every code.
        total: Type of the sum of powers.
        operands: Names of the codes and the tables.
    """

    about: tuple[str, ...]
    power: str
    shared: tuple[str, ...]
    share: tuple[str, ...]
    least: str = "INT8_MIN"
    total: str = "int32_t"
    operands: tuple[str, ...] = ("x", "table")


_Q19 = "tq_divide_by_power(table[largest - x[k]], 12)"
_WIDE = "tq_wide_exponential(exponentials, x[k] - largest, g->multiplier, g->exponent)"
SOFTMAXES: Mapping[str, Softmax] = MappingProxyType(
    {
        "softmax": Softmax(
            (
                "Softmax of s8 codes by a table of exponentials.",
                "",
                "y has scale 1/256 and zero point -128.",
                "",
                "  e[k] = table[max(x[r]) - x[r, k]]",
                "  y[r, k] = min(floor((256 * e[k] + floor(sum(e) / 2)) / sum(e)) - 128, 127)",
                "",
                "x, y    [rows][channels], at most 65535 channels; y may be the buffer of x",
                "table   [256] exp(-scale * difference) in 0 .. 65535; the first is 65535, so no",
                "        sum is 0",
                "",
                "256 * e + sum / 2 < 2^24 + 2^31, within uint32.",
                "",
                "Twin: tinyq.numerics.rounding.softmax",
            ),
            "table[largest - x[k]]",
            (),
            (
                "const uint32_t power = table[largest - x[k]];",
                "const uint32_t share = (256u * power + sum / 2u) / sum;",
                "y[k] = (int8_t)(share > 255u ? 127 : (int32_t)share - 128);",
            ),
            total="uint32_t",
        ),
        "tflitesoftmax": Softmax(
            (
                "Softmax of s8 codes with a reciprocal; y has scale 1/256 and zero point -128.",
                "",
                "  e[k] = table[max(x[r]) - x[r, k]]",
                "  mantissa, bits = reciprocal(sum of divide_by_power(e, 12), 12)",
                "  y[r, k] = clip(divide_by_power(multiply_high(mantissa, e[k]), bits + 23) - 128, "
                "-128, 127)",
                "",
                "x, y    [rows][channels], at most 4095 channels, so that the sum of Q12.19 stays",
                "        within int32; y may be the buffer of x",
                "table   [256] Q0.31; the first is 2^31 - 1, so no sum is 0",
                "",
                "Twin: tinyq.graph.ops.tflite_softmax.TfliteSoftmax",
            ),
            _Q19,
            ("int32_t bits;", "const int32_t mantissa = tq_reciprocal(sum, 12, &bits);"),
            (
                "const int32_t share = tq_multiply_high(mantissa, table[largest - x[k]]);",
                "y[k] = (int8_t)tq_clip(tq_divide_by_power(share, bits + 23) - 128, -128, 127);",
            ),
        ),
        "tflitelogsoftmax": Softmax(
            (
                "Logarithm of the softmax of s8 codes; y has scale 1/16 and zero point 127.",
                "",
                "  d[k] = x[r, k] - max(x[r])",
                "  l = logarithm(sum of divide_by_power(table[-d], 12))",
                "  m = max(least - 1, scale_twice(l - 2^31, reverse_multiplier, reverse_exponent))",
                "  s[k] = scale_twice(d[k], multiplier, exponent)",
                "  y[r, k] = clip(divide_by_power(s[k] - l, 22) + 127, -128, 127) where d[k] > m, "
                "else -128",
                "",
                "x, y    [rows][channels], at most 4095 channels; y may be the buffer of x",
                "table   [256] exponentials in Q0.31",
                "",
                "Twin: tinyq.graph.ops.tflite_log_softmax.TfliteLogSoftmax",
            ),
            _Q19,
            (
                "const int32_t log = tq_logarithm(sum);",
                "const int32_t reach =",
                "    tq_scale_twice(log + INT32_MIN, g->reverse_multiplier, g->reverse_exponent);",
                "const int32_t least = reach > g->least - 1 ? reach : g->least - 1;",
            ),
            (
                "const int32_t difference = x[k] - largest;",
                "int32_t code = -128;",
                "if (difference > least) {",
                "    const int32_t scaled ="
                " tq_scale_twice(difference, g->multiplier, g->exponent);",
                "    code = tq_clip(tq_divide_by_power(scaled - log, 22) + 127, -128, 127);",
                "}",
                "y[k] = (int8_t)code;",
            ),
        ),
        "tflitewidesoftmax": Softmax(
            (
                "Softmax of s16 codes with TFLite's interpolated tables; y has scale 2^-15.",
                "",
                "  e[k] = wide_exponential(x[r, k] - max(x[r]))",
                "  y[r, k] = clip(floor((e[k] * reciprocal + 2^(bits - 1)) / 2^bits), 0, 2^15 - 1)",
                "  with reciprocal of sum(e), scaled to 17 bits, from a table, and bits = bits of "
                "sum(e) - 1",
                "",
                "x, y           [rows][channels], at most 32767 channels, so that the sum of Q0.15",
                "               stays within int32; y may be the buffer of x",
                "exponentials   [513] Q0.15 of [-10, 0]; the last is 2^15 - 1, so no sum is 0",
                "reciprocals    [513] Q0.15 of 1 / (1 + [0, 1])",
                "",
                "Twin: tinyq.graph.ops.tflite_wide_softmax.TfliteWideSoftmax",
            ),
            _WIDE,
            (
                "const int32_t headroom = tq_leading_zeros(sum);",
                "const int32_t bits = 31 - headroom;",
                "const int64_t lifted = (int64_t)sum << (headroom - 1);",
                "const int32_t mantissa =",
                "    tq_clip((lifted + ((int32_t)1 << 13)) / ((int32_t)1 << 14) - 98304,"
                " -32768, 32767);",
                "const int32_t reciprocal = tq_interpolate16(reciprocals, mantissa);",
            ),
            (
                "const int32_t power =",
                f"    {_WIDE};",
                "const int64_t share = (int64_t)power * reciprocal + ((int64_t)1 << (bits - 1));",
                "y[k] = (int16_t)tq_clip(share >> bits, 0, 32767);",
            ),
            least="INT16_MIN",
            operands=("x", "exponentials", "reciprocals"),
        ),
    }
)


def bind_softmax(layer: LayerSpec) -> Bound:
    """Shares of the powers of a row."""
    row = SOFTMAXES[layer.operation]
    return bind_shared(
        layer,
        about=write_about(*row.about),
        pointers=list_pointers(layer, *row.operands),
        least=row.least,
        total=row.total,
        power=row.power,
        shared=row.shared,
        share=row.share,
    )
