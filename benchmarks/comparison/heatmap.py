"""A heat map as SVG: a row for each kind of layer, a square for each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_SIDE, _LABEL, _LINE, _COLUMNS = 12, 330, 16, 48


@dataclass(frozen=True, slots=True)
class Cell:
    """A layer.

    Attributes:
        group: Its kind: the row that it lies in.
        title: What is told of it where a pointer rests.
        ratio: Instructions as a part of another library's; None where there is none.
        generic: Whether portable C computes it.
    """

    group: str
    title: str
    ratio: float | None
    generic: bool

    @property
    def colour(self) -> str:
        """From green (a quarter and less) over yellow (one) to red (four and more)."""
        if self.ratio is None:
            return "#8a8a8a" if self.generic else "#d0d8e0"
        place = min(max(math.log2(self.ratio) / 2, -1.0), 1.0)
        return f"hsl({round(60 - 60 * place)}, 70%, 55%)"


def draw_heatmap(title: str, cells: Sequence[Cell]) -> str:
    """The picture: squares with a dark border are portable C, grey ones have no comparison."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    lines, y = [], 3 * _LINE
    for group, row in groups.items():
        lines.append(f'<text x="4" y="{y + 10}">{escape(group)}</text>')
        for index, cell in enumerate(row):
            x = _LABEL + index % _COLUMNS * _SIDE
            top = y + index // _COLUMNS * _SIDE
            border = ' stroke="#202020"' if cell.generic else ""
            ratio = "no comparison" if cell.ratio is None else f"{cell.ratio:.2f}"
            lines.append(
                f'<rect x="{x}" y="{top}" width="{_SIDE - 2}" height="{_SIDE - 2}" '
                f'fill="{cell.colour}"{border}><title>{escape(cell.title)}: {ratio}</title></rect>'
            )
        y += max(_LINE, (1 + (len(row) - 1) // _COLUMNS) * _SIDE + 4)
    width, height = _LABEL + _COLUMNS * _SIDE + 8, y + _LINE
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="10">'
    )
    note = "green: a quarter, yellow: as many, red: four times as many; framed: portable C"
    texts = (
        f'<text x="4" y="{_LINE}" font-size="13">{escape(title)}</text>',
        f'<text x="4" y="{2 * _LINE}">{note}</text>',
    )
    return "\n".join((head, *texts, *lines, "</svg>")) + "\n"
