"""Operations that go through tensors element by element, in C99.

The loop is one text; what an element becomes is a row of `ELEMENTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import bind_shared, list_pointers, write_about
from tinyq.kernels.layer import LayerSpec

TEXT = "generic/elements"


@dataclass(frozen=True, slots=True)
class Element:
    """What element e becomes.

    Attributes:
        about: Formula and operands, line by line.
        operands: Names of the operands.
        each: Statements for element e.
        before: Declarations before the first element.
    """

    about: tuple[str, ...]
    operands: tuple[str, ...]
    each: tuple[str, ...]
    before: tuple[str, ...] = ()


ELEMENTS: Mapping[str, Element] = MappingProxyType(
    {
        "lookup": Element(
            (
                "A function of one s8 code: y[e] = table[x[e] + 128].",
                "",
                "x, y    [elements]; y may be the buffer of x",
                "table   [256]",
            ),
            ("x", "table"),
            ("y[e] = table[x[e] + 128];",),
        ),
        "curve": Element(
            (
                "A function of one s16 code, with lines between the points of a table.",
                "",
                "  128 * i + f = x[e] + 2^15",
                "  y[e] = wrap(table[i] + floor((wrap(table[i + 1] - table[i]) * f + 64) / 128))",
                "",
                "Both wrap to int16 by two's complement, as TFLite does.",
                "",
                "x, y    [elements]; y may be the buffer of x",
                "table   [513]",
                "",
                "Twin: tinyq.graph.ops.curve.Curve",
            ),
            ("x", "table"),
            (
                "const int32_t place = (int32_t)x[e] + 32768;",
                "const int32_t base = table[place / 128];",
                "const int16_t slope = (int16_t)(table[place / 128 + 1] - base);",
                "y[e] = (int16_t)(base + ((slope * (place % 128) + 64) >> 7));",
            ),
        ),
        "tflitesigmoid": Element(
            (
                "Logistic function or hyperbolic tangent of s16 codes; y has scale 2^-15.",
                "",
                "  v = floor((x[e] * multiplier + 2^(shift - 1)) / 2^shift)",
                "  y[e] = interpolated_sigmoid(v, table, hyperbolic)",
                "",
                "x, y    [elements]; y may be the buffer of x",
                "table   [256] Q0.16",
                "",
                "|x * multiplier| <= 2^30, and so is the half.",
                "",
                "Twin: tinyq.graph.ops.tflite_sigmoid.TfliteSigmoid",
            ),
            ("x", "table"),
            (
                "const int32_t v = (int32_t)((x[e] * g->multiplier + half) >> g->shift);",
                "y[e] = (int16_t)tq_interpolated_sigmoid(v, table, g->hyperbolic);",
            ),
            before=("const int64_t half = ((int64_t)1 << g->shift) >> 1;",),
        ),
        "extremum": Element(
            (
                "Larger (largest 1) or smaller of two tensors, code by code.",
                "",
                "a, b, y   [elements]; y may be the buffer of an operand",
                "",
                "Twin: tinyq.graph.ops.extremum.Extremum",
            ),
            ("a", "b"),
            ("y[e] = (a[e] > b[e]) == (g->largest != 0) ? a[e] : b[e];",),
        ),
        "slidingsum": Element(
            (
                "A sum that is kept: x[e] + coming[e] - leaving[e] between lo and hi.",
                "",
                "x, coming, leaving, y   [elements]; y may be the buffer of an operand",
                "",
                "Twin: tinyq.graph.ops.sliding_sum.SlidingSum",
            ),
            ("x", "coming", "leaving"),
            (
                "const int32_t sum = x[e] + coming[e] - leaving[e];",
                "y[e] = sum < g->lo ? g->lo : sum > g->hi ? g->hi : sum;",
            ),
        ),
        "choose": Element(
            (
                "The first tensor while a code is positive, else the second.",
                "",
                "a, b, y     [elements]; y may be the buffer of a or b",
                "condition   [1]",
                "",
                "Twin: tinyq.graph.ops.choose.Choose",
            ),
            ("a", "b", "condition"),
            ("y[e] = condition[0] > 0 ? a[e] : b[e];",),
        ),
        "widen": Element(
            ("The same integers in 32 bits.", "", "x, y   [elements]"), ("x",), ("y[e] = x[e];",)
        ),
        "narrow": Element(
            ("The low eight bits of integers.", "", "x, y   [elements]"),
            ("x",),
            ("y[e] = (int8_t)x[e];",),
        ),
        **{
            name: Element(
                (
                    f"{what} of int32, modulo 2^32.",
                    "",
                    "a, b, y   [elements]; y may be the buffer of an operand",
                    "",
                    f"Twin: tinyq.graph.ops.integers.{twin}",
                ),
                ("a", "b"),
                (statement,),
            )
            for name, what, twin, statement in (
                (
                    "integeradd",
                    "Sum",
                    "IntegerAdd",
                    "y[e] = (int32_t)((uint32_t)a[e] + (uint32_t)b[e]);",
                ),
                (
                    "integermultiply",
                    "Product",
                    "IntegerMultiply",
                    "y[e] = (int32_t)((uint32_t)a[e] * (uint32_t)b[e]);",
                ),
                (
                    "integerdivide",
                    "Quotient towards 0; b is not 0",
                    "IntegerDivide",
                    "y[e] = b[e] == -1 ? (int32_t)(0 - (uint32_t)a[e]) : a[e] / b[e];",
                ),
            )
        },
        "singleadd": Element(
            (
                "Sum of two tensors of s8 with the roundings of float32.",
                "",
                "  inner = round_single((b[e] + moved) * y_multiplier * 2^y_shift"
                " + offset * 2^offset_shift)",
                "  outer = round_single((a[e] + moved) * x_multiplier * 2^x_shift + inner)",
                "  y[e] = clip(divide_even(outer, shift) - moved, lo, hi)",
                "",
                "a, b, y   [elements]; y may be the buffer of an operand",
                "",
                "Twin: tinyq.graph.ops.single_add.SingleAdd",
            ),
            ("a", "b"),
            (
                "const int64_t inner = tq_round_single((b[e] + g->moved) * y_factor + addend);",
                "const int64_t outer = tq_round_single((a[e] + g->moved) * x_factor + inner);",
                "const int64_t code = tq_divide_even(outer, g->shift) - g->moved;",
                "y[e] = (int8_t)tq_clip(code, g->lo, g->hi);",
            ),
            before=(
                "const int64_t x_factor = (int64_t)g->x_multiplier * ((int64_t)1 << g->x_shift);",
                "const int64_t y_factor = (int64_t)g->y_multiplier * ((int64_t)1 << g->y_shift);",
                "const int64_t addend = (int64_t)g->offset * ((int64_t)1 << g->offset_shift);",
            ),
        ),
    }
)


def bind_element(layer: LayerSpec) -> Bound:
    """A function of each element, or of each pair."""
    row = ELEMENTS[layer.operation]
    return bind_shared(
        layer,
        about=write_about(*row.about),
        pointers=list_pointers(layer, *row.operands),
        before="".join(f"    {line}\n" for line in row.before) + "\n" * bool(row.before),
        each=row.each,
    )
