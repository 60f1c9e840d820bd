"""Micro-kernels: a pair of channels with many times four pixels, weights unpacked to RAM before.

Panels are those of `quads`, one after the other. All functions take their sizes as arguments, so
that the layers of a program share them; loops begin in the middle of their body. How weights lie in
flash is in `packed_weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.armv7em.packed_weights import PAIR, Form, GainedFold, find_form
from tinyq.kernels.base import Part
from tinyq.kernels.geometry import divide_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Clip, Epilogue

_SOURCE = "armv7em/packed_blocks.j2"
_PANEL_BYTES = 16  # of a pair of places
_MOST_PANEL_BYTES, _MOST_PANELS, _LEAST_PANELS = 10_240, 8, 2
_NARROW = 4
_ALL_BYTES = 0x01010101
_LOOKUP_COST, _FIELD_COST, _BYTE_COST, _UNPACK_COST = 6, 4.3, 3, 70
# Instructions: of a pair of places, of sixteen of them, of a pair of channels' outputs.
_PLACE_COST, _ROUND_COST, _FINISH_COST = 11, 3, 60
_COLLECT_COST, _PANEL_COST = 14, 45


@dataclass(frozen=True, slots=True)
class PairLoop:
    """Text of a loop over all pairs of channels.

    Attributes:
        count: Pairs of channels.
        at: C expression for the place of a pair in a pixel of y.
        pairs: Of places.
        form: How weights lie in flash.
        words: Of weights of a pair of channels in flash.
        head: Words before them.
        multiply: C name of the micro-kernel.
        unpack: C name of what unpacks weights.
    """

    count: int
    at: str
    pairs: int
    form: Form
    words: int
    head: int
    multiply: str
    unpack: str

    @property
    def panel(self) -> int:
        """Bytes of a panel."""
        return self.pairs * _PANEL_BYTES

    @property
    def looked_up(self) -> bool:
        """Whether weights are places in a table of codes."""
        return bool(self.form.levels)

    @property
    def codes(self) -> int:
        """Words of the codes in flash."""
        return self.form.codes

    @property
    def levels(self) -> int:
        """Codes in that table."""
        return 1 << self.form.width

    @property
    def record(self) -> int:
        """Words of a pair of channels."""
        return self.head + self.words


def describe_loop(layer: LayerSpec, pairs: int, form: Form, fold: GainedFold) -> PairLoop:
    """The loop over all pairs of channels of a layer."""
    outputs, nibbles = layer.geometry["out_channels"], layer.output.format.bits == 4
    count = divide_up(outputs, 2)
    at = "o" if nibbles else "2 * o"
    if outputs % 2:
        at = f"(o < {count - 1} ? 2 * o : {outputs - 2})"
    return PairLoop(
        count,
        at,
        pairs,
        form,
        divide_up(pairs * form.width, 8),
        PAIR.locate("weights", tail=fold.tail.shape[1]),
        multiply_pairs(fold, nibbles=nibbles).name,
        unpack_weights(form).name,
    )


def list_parts(layer: LayerSpec, form: Form, fold: GainedFold) -> dict[str, Part]:
    """All functions of the loop, in the order of their text."""
    parts = {"collect": collect_four(), **list_unpacking(form)}
    parts["multiply"] = multiply_pairs(fold, nibbles=layer.output.format.bits == 4)
    return parts


def list_unpacking(form: Form) -> dict[str, Part]:
    """The functions that unpack weights."""
    listing = {"list_levels": list_levels()} if form.levels else {}
    return {**listing, "unpack": unpack_weights(form)}


def collect_four() -> Part:
    """``(at, panel, sizes)``: four pixels at four addresses to a panel.

    Sizes are lines, words of a line, bytes between lines. The type of a job comes with it.
    """
    return Part(_SOURCE, "collect", "tq_collect_four", shared=True)


def list_levels() -> Part:
    """``(codes, pair_codes, count)``: what every pair index means: two codes, as int16."""
    return Part(_SOURCE, "list_levels", "tq_list_pairs", shared=True)


def unpack_weights(form: Form) -> Part:
    """``(from, to, words[, pair_codes])``: weights of byte words, or of pair indices, to int16.

    With 8 and 4 bits the number of words is even, with fewer rounded up to whole words.
    """
    width = form.width
    if form.levels:
        return _unpack_levels(width)
    values = {
        "mask": (256 - 2 ** (8 - width)) * _ALL_BYTES if width < 8 else 0,
        "bytes": width == 8,
        "by_fours": width >= _NARROW,
        "sign": width == 1,
        "fours": [*_pick("r11", 4, 0, (2, 4)), *_pick("lr", 4, 0, (2, 8))],
        "twos": _pick("r11", 4, 0, (2, 4)),
        "rounds": [_pick("r11", width, 4 * half, (4, 4)) for half in range(2 // width)],
        "step": 8 // width,
        "four_halves": [(f"r{r - 1}", f"r{r}") for r in range(4, 12, 2)],
        "two_halves": [(f"r{r - 1}", f"r{r}") for r in range(4, 8, 2)],
    }
    return Part(_SOURCE, "unpack", f"tq_unpack_{width}", MappingProxyType(values), shared=True)


def _unpack_levels(width: int) -> Part:
    each, bits = 16 // width, 2 * width
    values = {
        "fields": [("r12" if i == 7 else f"r{4 + i}", bits * i) for i in range(each)],
        "bits": bits,
        "last": "r7" if width == _NARROW else "r10, r12",
        "step": each // 2,
    }
    name = f"tq_unpack_levels_{width}"
    return Part(_SOURCE, "unpack_levels", name, MappingProxyType(values), shared=True)


def _pick(word: str, width: int, first: int, registers: tuple[int, int]) -> list[tuple[str, str]]:
    """Byte words from the fields of a word, to every other register, from one on."""
    count, start = registers
    lefts = [8 - width * (first + index + 1) for index in range(count)]
    return [
        (f"r{start + 2 * index}", f"{word}, lsl #{left}" if left else word)
        for index, left in enumerate(lefts)
    ]


def multiply_pairs(fold: GainedFold, *, nibbles: bool) -> Part:
    """``(weights, panel, y, job)``: a pair of channels of several panels.

    The job: head in flash, panels, bytes from pixel to pixel of y, bytes of a panel, addend, shift.
    Frame: 0 weights, 4 entry, 8 stride, 12 y, 16 addend, 20 shift, 24 end of the panel, 28 panels,
    32 bytes, 36 head.
    """
    values = {
        "epilogue": fold.epilogue,
        "nibbles": nibbles,
        "lift": describe_lift(fold.lift),
        "channels": [
            {
                "second": c == 1,
                "shift": 8 + 12 * c,
                "multiplier": 12 + 12 * c,
                "sums": [f"r{2 + 4 * c + p}" for p in range(4)],
            }
            for c in (0, 1)
        ],
        "pixels": [(f"r{2 + p}", f"r{6 + p}") for p in range(4)],
    }
    name = f"tq_multiply_{'nibbles_' if nibbles else ''}{name_range(fold.epilogue, fold.lift)}"
    return Part(_SOURCE, "multiply", name, MappingProxyType(values), shared=True)


def describe_lift(lift: int) -> str:
    """Shift of an accumulator by what it lacks, empty where it lacks nothing: ``lsl #3``."""
    return f"{'lsl' if lift > 0 else 'asr'} #{abs(lift)}" if lift else ""


def name_range(epilogue: Epilogue, lift: int) -> str:
    """The clip range and what accumulators lack, for names of functions that programs share."""
    names = {
        Clip.SIGNED: f"s{epilogue.bits}",
        Clip.UNSIGNED: f"u{epilogue.bits}",
        Clip.RANGE: f"c{epilogue.span}_{epilogue.high_byte}",
    }
    lifted = f"_l{lift}" if lift > 0 else f"_r{-lift}" if lift < 0 else ""
    return f"{names[epilogue.clip]}{'_twice' if epilogue.twice else ''}{lifted}"


def count_unpacked(pairs: int) -> int:
    """Bytes of unpacked weights of a pair of channels, with the widest padding, of one bit."""
    return divide_up(pairs, 8) * 64


def limit_panels(panel_bytes: int) -> int:
    """Panels at a time: more of them share the unpacking, up to eight in 10 KB, or two at least."""
    return max(min(_MOST_PANEL_BYTES // panel_bytes, _MOST_PANELS), _LEAST_PANELS)


def estimate_panels(layer: LayerSpec, pairs: int, panels: int, parts: int, words: int) -> float:
    """Instructions.

    Args:
        layer: The layer.
        pairs: Of places.
        panels: Of four pixels.
        parts: Blocks of panels, for each of which weights are unpacked.
        words: Of codes to widen for each pixel of a panel.
    """
    count = divide_up(layer.geometry["out_channels"], 2)
    each = pairs * _PLACE_COST + (pairs - 1) // 16 * _ROUND_COST + _FINISH_COST
    unpacking = estimate_unpacking(layer, pairs)
    own = panels * (count * each + words * _COLLECT_COST + _PANEL_COST)
    return own + parts * count * unpacking


def estimate_unpacking(layer: LayerSpec, pairs: int) -> float:
    """Instructions of unpacking the weights of a pair of channels."""
    return pairs * _cost_of_unpacking(layer) + _UNPACK_COST


def _cost_of_unpacking(layer: LayerSpec) -> float:
    form = find_form(layer)
    if form.levels:
        return _LOOKUP_COST
    return _FIELD_COST if form.width < 8 else _BYTE_COST
