"""Padding, joining, appending on Arm v7E-M: codes of whole bytes move by words, eight at a time."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel

_SOURCE, _JOINED = "armv7em/moves.j2", "armv7em/joined_runs"
_FORMATS = ("s8", "s16")
_CHUNK = 8  # words of a load of several
_MOST_UNROLLED = 4  # chunks
_TURN = 4  # words that a turn of a loop sets
_ROW_COST, _CALL_COST = 3, 20


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes that move one after the other.

    Attributes:
        count: How many.
        aligned: Whether they begin at words, here and there.
    """

    count: int
    aligned: bool

    @property
    def chunks(self) -> int:
        """Moves of eight words."""
        return self.count // (4 * _CHUNK)

    @property
    def looped(self) -> bool:
        """Whether a loop does the chunks."""
        return self.chunks > _MOST_UNROLLED

    @property
    def words(self) -> int:
        """Words behind the chunks."""
        return self.count // 4 % _CHUNK

    @property
    def rest(self) -> int:
        """Bytes behind the words."""
        return self.count % 4

    @property
    def instructions(self) -> int:
        """How many it has."""
        each = 2 if self.aligned else 2 * _CHUNK
        loops = 3 + self.chunks * (each + 2) if self.looped else self.chunks * each
        words = (2 if self.aligned else 2 * self.words) if self.words else 0
        return loops + words + 2 * self.rest


@kernel("concatenate", _FORMATS, variant="runs", text=_JOINED)
def bind_joined(layer: LayerSpec) -> Bound | Refusal:
    """Rows of both operands in turn."""
    return _join(layer, "rows", "first_channels", "second_channels")


@kernel("append", _FORMATS, variant="runs", text=_JOINED)
def bind_appended(layer: LayerSpec) -> Bound | Refusal:
    """Columns move to the front, eight words loaded before eight are stored: also in place."""
    return _join(layer, "lines", "kept_words", "new_words", moves=True)


def _join(
    layer: LayerSpec, rows: str, first: str, second: str, *, moves: bool = False
) -> Bound | Refusal:
    """Rows of a run of each operand; behind as many bytes as the second has where they move."""
    if reason := _refuse(layer):
        return Refusal(reason)
    g, each = layer.geometry, layer.output.format.bits // 8
    sizes = [each * g[key] for key in (first, second)]
    aligned = all(size % 4 == 0 for size in sizes)
    runs = [Run(size, aligned) for size in sizes]
    skipped = sizes[1] if moves else 0
    values = {"rows": g[rows], "runs": runs, "skipped": skipped}
    part = Part(_SOURCE, "join", "_join", MappingProxyType(values))
    each_row = _ROW_COST + int(moves) + sum(run.instructions for run in runs)
    return Bound(
        layer,
        g[rows] * each_row + _CALL_COST,
        parts=MappingProxyType({"join": part}),
        values=MappingProxyType(
            {**values, "front": f" behind the first {skipped}" if moves else ""}
        ),
        operands=("a", "b"),
    )


@kernel("pad2d", _FORMATS, variant="runs", text="armv7em/pad_runs")
def bind_padded(layer: LayerSpec) -> Bound | Refusal:
    """The border on the right of a line and that on the left of the next are one run."""
    if reason := _refuse(layer):
        return Refusal(reason)
    g, bits = layer.geometry, layer.output.format.bits
    pixel = g["channels"] * bits // 8
    line = (g["pad_left"] + g["in_width"] + g["pad_right"]) * pixel
    borders = {
        "before": g["pad_top"] * line + g["pad_left"] * pixel,
        "between": (g["pad_left"] + g["pad_right"]) * pixel,
        "behind": g["pad_bottom"] * line + g["pad_right"] * pixel,
    }
    size = g["in_width"] * pixel
    aligned = size % 4 == 0 and all(count % 4 == 0 for count in borders.values())
    copied = Run(size, aligned)
    parts = {"copy": _copy(copied)}
    for key, count in borders.items():
        if count:
            parts[f"set_{key}"] = _set(Run(count, aligned))
    value = g["value"] % 256 * 0x01010101 if bits == 8 else g["value"] % 65536 * 0x00010001
    cost = g["in_height"] * (copied.instructions + borders["between"] // 4 + _CALL_COST)
    return Bound(
        layer,
        cost + (borders["before"] + borders["behind"]) // 4 + 2 * _CALL_COST,
        parts=MappingProxyType(parts),
        values=MappingProxyType(
            {**borders, "value": value, "line": size * 8 // bits, "line_bytes": size}
        ),
    )


def _refuse(layer: LayerSpec) -> str:
    """Why its output does not lie as its inputs do, empty where it does."""
    if any(entry.format != layer.output.format for entry in layer.inputs):
        return "the outputs are codes of fewer bits, as the inputs were"
    if layer.operands[0] is not None and len(layer.operands) == 1:
        return "the operand is a constant"
    return ""


def _copy(run: Run) -> Part:
    """``(from, to)``: copies bytes."""
    name = f"tq_copy_run_{run.count}{'' if run.aligned else '_loose'}"
    return Part(_SOURCE, "copy", name, MappingProxyType({"run": run}), shared=True)


def _set(run: Run) -> Part:
    """``(to, value)``: bytes of a word that is the same however it is turned by a code."""
    name = f"tq_set_run_{run.count}{'' if run.aligned else '_loose'}"
    words = run.count // 4
    turns = words // _TURN if words > _TURN else 0
    values = {"turns": turns, "words": words - turns * _TURN, "rest": run.rest}
    return Part(_SOURCE, "set", name, MappingProxyType(values), shared=True)
