"""Sums and products of the codes of one or two tensors, with an epilogue, in C99.

The loops are one text; what a code of each operation becomes is a row of `TERMS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import (
    ACTIVATIONS,
    bind_shared,
    list_pointers,
    read_code,
    write_about,
)
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

TEXT = "generic/terms"
_NAMES: Mapping[int, tuple[str, ...]] = MappingProxyType({1: ("x",), 2: ("a", "b")})


@dataclass(frozen=True, slots=True)
class Terms:
    """What becomes of code k of a row.

    Attributes:
        about: What is computed, and its formula, line by line.
        terms: Declarations for code k; ``{a}``, ``{b}`` or ``{x}`` stands for the code.
        sum: What the epilogue gets, as an expression.
        before: Declarations before the first row.
        notes: What else is to be said, line by line.
    """

    about: tuple[str, ...]
    terms: tuple[str, ...]
    sum: str
    before: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


TERMS: Mapping[str, Terms] = MappingProxyType(
    {
        "rescale": Terms(
            ("Change of scale or format", "", "  acc = (x[r, k] - x_zero) * x_factor"),
            ("const int32_t acc = ({x} - g->x_zero) * g->x_factor;",),
            "acc",
        ),
        "add": Terms(
            (
                "Weighted sum",
                "",
                "  a_term = (a[r, k] - x_zero) * x_factor",
                "  b_term = (b[r, k] - y_zero) * y_factor",
            ),
            (
                "const int32_t a_term = ({a} - g->x_zero) * g->x_factor;",
                "const int32_t b_term = ({b} - g->y_zero) * g->y_factor;",
            ),
            "a_term + b_term",
        ),
        "multiply": Terms(
            ("Element-wise product", "", "  acc = (a[r, k] - x_zero) * (b[r, k] - y_zero)"),
            ("const int32_t acc = ({a} - g->x_zero) * ({b} - g->y_zero);",),
            "acc",
        ),
        "tfliteadd": Terms(
            (
                "Sum or difference, each side rounded to a common scale",
                "",
                "  a_term = scale_twice((a[r, k] - x_zero) * one, x_multiplier, x_exponent)",
                "  b_term = scale_twice((b[r, k] - y_zero) * one, y_multiplier, y_exponent)",
                "  one = 2^left_shift",
                "  acc = a_term + y_sign * b_term",
            ),
            (
                "const int32_t a_term =",
                "    tq_scale_twice(({a} - g->x_zero) * one, g->x_multiplier, g->x_exponent);",
                "const int32_t b_term =",
                "    tq_scale_twice(({b} - g->y_zero) * one, g->y_multiplier, g->y_exponent);",
                "const int32_t acc = a_term + g->y_sign * b_term;",
            ),
            "acc",
            before=("const int32_t one = (int32_t)1 << g->left_shift;",),
            notes=("Twin: tinyq.graph.ops.tflite_add.TfliteAdd",),
        ),
        "squareddifference": Terms(
            (
                "Square of the difference",
                "",
                "  a_term = scale_twice((a[r, k] - x_zero) * factor, x_multiplier, x_exponent)",
                "  b_term = scale_twice((b[r, k] - y_zero) * factor, y_multiplier, y_exponent)",
                "  difference = a_term - b_term",
            ),
            (
                "const int32_t a_term =",
                "    tq_scale_twice(({a} - g->x_zero) * g->factor,"
                " g->x_multiplier, g->x_exponent);",
                "const int32_t b_term =",
                "    tq_scale_twice(({b} - g->y_zero) * g->factor,"
                " g->y_multiplier, g->y_exponent);",
                "const int32_t difference = a_term - b_term;",
            ),
            "difference * difference",
            notes=(
                "Both scales are at most 1/2, so |a_term| <= 2^14 and the square is at most 2^30.",
                "",
                "Twin: tinyq.graph.ops.tflite_squared_difference.TfliteSquaredDifference",
            ),
        ),
    }
)


@kernel("add", ACTIVATIONS, ACTIVATIONS, text=TEXT, shared=True)
@kernel("rescale", (*ACTIVATIONS, "u8", "s16", "s32"), text=TEXT, shared=True)
def bind_terms(layer: LayerSpec) -> Bound:
    """A sum or product of codes."""
    row, names = TERMS[layer.operation], _NAMES[len(layer.inputs)]
    formats = [entry.format for entry in layer.inputs]
    operands = tuple(zip(names, formats, strict=True))
    codes = {name: read_code(entry, name, "k") for name, entry in operands}
    title = f"{row.about[0]}: {' and '.join(entry.name for entry in formats)}"
    return bind_shared(
        layer,
        about=write_about(f"{title} to {layer.output.format.name}.", *row.about[1:]),
        pointers=list_pointers(layer, *names),
        operands=operands,
        before=row.before,
        terms=tuple(line.format(**codes) for line in row.terms),
        sum=row.sum,
        notes=f"\n *\n *{write_about(*row.notes)}" if row.notes else "",
    )
