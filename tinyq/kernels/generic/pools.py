"""Pooling within a format, in C99.

The loops are one text; what is done in a window is a row of `POOLS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import bind_shared, read_code, write_about
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_lines
from tinyq.kernels.registry import kernel

TEXT = "generic/pool2d"
_POOLED = ("s2", "s3", "s4", "s8", "u2", "u4", "u8")


@dataclass(frozen=True, slots=True)
class Pool:
    """What is done in a window.

    Attributes:
        about: Formula, line by line.
        begin: Declaration before the first tap of channel k; ``{lo}`` is the format's least code.
        tap: What channel k of a pixel does; ``{code}`` stands for it.
        result: The code of channel k, as an expression.
        window: Declarations before the first channel.
    """

    about: tuple[str, ...]
    begin: str
    tap: tuple[str, ...]
    result: str
    window: tuple[str, ...] = ()


_COUNT = "const int32_t count = (rows.end - rows.first) * (columns.end - columns.first);"
_COUNTED = "sum and count are over the taps inside the image, of which every window has one."
POOLS: Mapping[str, Pool] = MappingProxyType(
    {
        "maxpool2d": Pool(
            (
                "Largest code of each channel in each window; padding never wins.",
                "",
                "  y[r, c, k] = max_{i, j inside the image} x[r*s + i*d - p, c*s + j*d - p, k]",
                "",
                "Every window has a tap inside the image.",
            ),
            "int32_t best = {lo};",
            ("const int32_t code = {code};", "best = code > best ? code : best;"),
            "best",
        ),
        "averagepool2d": Pool(
            (
                "Mean of the codes of each channel in each window, half rounded up.",
                "",
                "  y[r, c, k] = floor((2 * sum + count) / (2 * count))",
                "",
                _COUNTED,
            ),
            "int32_t total = 0;",
            ("total += {code};",),
            "tq_divide_half_up(total, count)",
            window=(_COUNT,),
        ),
        "tfliteaveragepool2d": Pool(
            (
                "Mean of the codes of each channel in each window, half rounded away from 0.",
                "",
                "  y[r, c, k] = clip(divide_away(sum, count), lo, hi)",
                "",
                _COUNTED,
            ),
            "int32_t total = 0;",
            ("total += {code};",),
            "tq_mean_away(total, count, g->lo, g->hi)",
            window=(_COUNT,),
        ),
    }
)


@kernel("maxpool2d", (*_POOLED, "s16"), text=TEXT, shared=True)
@kernel("averagepool2d", _POOLED, text=TEXT, shared=True)
@kernel("tfliteaveragepool2d", ("s8", "s16"), text=TEXT, shared=True)
def bind_pool(layer: LayerSpec) -> Bound:
    """Pooling over windows."""
    row, codes = POOLS[layer.operation], layer.inputs[0].format
    code = read_code(codes, "x", "k", "x_at")
    return bind_shared(
        layer,
        lead_lines(layer),
        about=write_about(*row.about),
        window=(*row.window, "uint32_t word = 0;"),
        count="channels",
        begin=row.begin.format(lo=codes.lo),
        tap=tuple(line.format(code=code) for line in row.tap),
        store=f"word = tq_put_{layer.output.format.name}(y, k, channels, word, {row.result});",
    )


@kernel("maxpool2d", "b1", text=TEXT, shared=True)
def bind_bits(layer: LayerSpec) -> Bound:
    """Pooling of whole words of signs."""
    return bind_shared(
        layer,
        lead_lines(layer),
        about=write_about(
            "Largest sign of each channel in each window: 32 channels at once.",
            "",
            "  y[r, c, k] = +1 if any x[r*s + i*d - p, c*s + j*d - p, k] inside the image is +1, "
            "else -1",
            "",
            "+1 is bit 0, so the largest sign is the AND of the bits; padding bits stay 0. Every",
            "window has a tap inside the image.",
        ),
        window=(),
        count="x_pixel",
        begin="uint32_t all = UINT32_MAX;",
        tap=("all &= x[x_at + k];",),
        store="y[k] = all;",
    )
