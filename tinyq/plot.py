"""Small plots: curves as text and as SVG, stacked bars and labelled points as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]
_COLORS = ("#1f6f8b", "#c0563f", "#5a7d3a", "#7d5a9c", "#b8860b", "#444444", "#c23b8f")
_WIDTH, _HEIGHT, _MARGIN = 480, 320, 40
_PARTS = (
    *("#1f6f8b", "#5aa9c2", "#c0563f", "#5a7d3a", "#7d5a9c", "#c99a2e", "#3f4f8f", "#a3b18a"),
    *("#8b5e3c", "#9aa4ad", "#d98fa0"),
)
_BAR_WIDTH, _BAR_LABEL, _BAR_NUMBER, _BAR_STEP = 960, 210, 90, 20
_WIDE, _TALL, _EDGE = 900, 620, 60
_LINE = 11  # height of a label


@dataclass(frozen=True, slots=True)
class Point:
    """A labelled point.

    Attributes:
        name: Its label.
        x: Greater than 0; the axis is logarithmic.
        y: Its height.
        group: Points of one group share a color.
    """

    name: str
    x: float
    y: float
    group: str


def draw_text(x: Values, lines: Mapping[str, Values], columns: int = 61, rows: int = 15) -> str:
    """Curves as characters, the first letter of each curve's name as its mark.

    Args:
        x: Ascending values, shape (n,).
        lines: Values by name, each of shape (n,); later ones are drawn over earlier ones.
        columns: Width of the plot.
        rows: Height of the plot.

    Returns:
        Lines of text with the range of both axes.
    """
    low, high = _range(lines)
    positions = np.linspace(x[0], x[-1], columns)
    grid = [[" "] * columns for _ in range(rows)]
    if low <= 0 <= high:
        grid[_row(0.0, low, high, rows)] = ["."] * columns
    for name, y in lines.items():
        for column, value in enumerate(np.interp(positions, x, y)):
            grid[_row(float(value), low, high, rows)][column] = name[0]
    labels = {0: f"{high:8.3g} ", rows - 1: f"{low:8.3g} "}
    text = [labels.get(row, " " * 9) + "".join(cells).rstrip() for row, cells in enumerate(grid)]
    left, right = f"{x[0]:.3g}", f"{x[-1]:.3g}"
    text.append(" " * 9 + left + " " * (columns - len(left) - len(right)) + right)
    return "\n".join(text)


def draw_svg(title: str, x: Values, lines: Mapping[str, Values]) -> str:
    """Curves as an SVG image, with the ends of both axes and their zeros.

    Args:
        title: Text above the plot.
        x: Ascending values, shape (n,).
        lines: Values by name, each of shape (n,).
    """
    low, high = _range(lines)
    bottom = _HEIGHT - _MARGIN
    across = _MARGIN + (x - x[0]) / (x[-1] - x[0]) * (_WIDTH - 2 * _MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_MARGIN}" y="20">{escape(title)}</text>',
    ]
    for value in dict.fromkeys((low, 0.0, high)):
        height = bottom - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)
        parts.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{height:.1f}" y2="{height:.1f}" '
            'stroke="#ccc"/>'
        )
        parts.append(f'<text x="4" y="{height + 4:.1f}">{value:.3g}</text>')
    for value in dict.fromkeys((float(x[0]), 0.0, float(x[-1]))):
        if x[0] <= value <= x[-1]:
            place = _MARGIN + (value - x[0]) / (x[-1] - x[0]) * (_WIDTH - 2 * _MARGIN)
            parts.append(
                f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{_MARGIN}" y2="{bottom}" '
                'stroke="#ccc"/>'
            )
            parts.append(
                f'<text x="{place:.1f}" y="{bottom + 15}" text-anchor="middle">{value:.3g}</text>'
            )
    for number, (name, y) in enumerate(lines.items()):
        down = bottom - (y - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
        color = _COLORS[number % len(_COLORS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
        parts.append(
            f'<text x="{_MARGIN + 110 * number}" y="{_HEIGHT - 8}" fill="{color}">'
            f"{escape(name)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def draw_bars(title: str, rows: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """Bars made of parts, one below the other, as an SVG image in the colors of its surroundings.

    Args:
        title: Text above the plot.
        rows: Label and parts of each bar; a part has the same color in every bar.
    """
    parts = list(dict.fromkeys(name for _, values in rows for name in values))
    colors = {name: _PARTS[at % len(_PARTS)] for at, name in enumerate(parts)}
    largest = max((sum(values.values()) for _, values in rows), default=0) or 1
    scale = (_BAR_WIDTH - _BAR_LABEL - _BAR_NUMBER) / largest
    height = 52 + _BAR_STEP * len(rows)
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_BAR_WIDTH} {height}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="11" '
        'fill="currentColor">',
        f'<text x="0" y="14">{escape(title)}</text>',
    ]
    left = 0
    for name, color in colors.items():
        text.append(f'<rect x="{left}" y="24" width="9" height="9" fill="{color}"/>')
        text.append(f'<text x="{left + 13}" y="32">{escape(name)}</text>')
        left += 34 + 6 * len(name)
    for at, (label, values) in enumerate(rows):
        text += _draw_bar(label, values, colors, scale, 44 + _BAR_STEP * at)
    return "\n".join([*text, "</svg>", ""])


def _draw_bar(
    label: str, values: Mapping[str, int], colors: Mapping[str, str], scale: float, top: int
) -> list[str]:
    text = [
        f'<text x="{_BAR_LABEL - 8}" y="{top + 11}" text-anchor="end">{escape(label[:34])}</text>'
    ]
    left = float(_BAR_LABEL)
    for name, value in values.items():
        width = scale * value
        text.append(
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR_STEP - 6}" '
            f'fill="{colors[name]}"><title>{escape(f"{label}, {name}: {value:,}")}</title></rect>'
        )
        left += width
    return [*text, f'<text x="{left + 6:.1f}" y="{top + 11}">{sum(values.values()):,}</text>']


def draw_scatter(
    title: str,
    points: Sequence[Point],
    levels: Mapping[str, float],
    lowest: float = -math.inf,
) -> str:
    """Labelled points over a logarithmic axis as an SVG image.

    Args:
        title: Text above the plot.
        points: What to draw; labels that would cover others are left to the tooltips.
        levels: Heights of horizontal lines by name.
        lowest: Points below are drawn at the lower edge, with their height beside the name.
    """
    points = [_lifted(point, lowest) for point in points]
    heights = [*(point.y for point in points), *levels.values()]
    low, high = math.floor(min(heights, default=0.0)), math.ceil(max(heights, default=1.0))
    place = _Axes(
        math.log10(min((point.x for point in points), default=1.0)) - 0.03,
        math.log10(max((point.x for point in points), default=10.0)) + 0.03,
        low - 0.5,
        high + 0.5,
    )
    groups = sorted({point.group for point in points})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_TALL}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDE}" height="{_TALL}" fill="white"/>',
        f'<text x="{_EDGE}" y="20">{escape(title)}</text>',
        *_grid(place, low, high),
        *_levels(place, levels),
        *_dots(place, points, groups),
        *_legend(groups),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _lifted(point: Point, lowest: float) -> Point:
    """A point at the lower edge instead of below it."""
    if point.y >= lowest:
        return point
    return Point(f"{point.name} ({point.y:.1f})", point.x, lowest, point.group)


@dataclass(frozen=True, slots=True)
class _Axes:
    """Decades across and values up, to pixels."""

    left: float
    right: float
    bottom: float
    top: float

    def across(self, x: float) -> float:
        share = (math.log10(x) - self.left) / (self.right - self.left)
        return _EDGE + share * (_WIDE - 2 * _EDGE)

    def down(self, y: float) -> float:
        return _TALL - _EDGE - (y - self.bottom) / (self.top - self.bottom) * (_TALL - 2 * _EDGE)


def _grid(place: _Axes, low: int, high: int) -> list[str]:
    step = max(1, (high - low) // 12)
    lines = []
    for value in range(low, high + 1, step):
        y = place.down(value)
        lines.append(
            f'<line x1="{_EDGE}" x2="{_WIDE - _EDGE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{_EDGE - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
        )
    decades = range(math.floor(place.left), math.ceil(place.right) + 1)
    leads = (1, 2, 5) if place.right - place.left > 1 else (1, 1.5, 2, 2.5, 3, 4, 5, 7)
    for mark in (lead * 10.0**decade for decade in decades for lead in leads):
        if not place.left <= math.log10(mark) <= place.right:
            continue
        x = place.across(mark)
        lines.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_EDGE}" y2="{_TALL - _EDGE}" stroke="#ddd"/>'
            f'<text x="{x:.1f}" y="{_TALL - _EDGE + 18}" text-anchor="middle">{mark:,.0f}</text>'
        )
    return lines


def _levels(place: _Axes, levels: Mapping[str, float]) -> list[str]:
    return [
        f'<line x1="{_EDGE}" x2="{_WIDE - _EDGE}" y1="{place.down(y):.1f}" '
        f'y2="{place.down(y):.1f}" stroke="#666" stroke-dasharray="6 4"/>'
        f'<text x="{_WIDE - _EDGE}" y="{place.down(y) - 4:.1f}" fill="#666" '
        f'text-anchor="end">{escape(name)}</text>'
        for name, y in levels.items()
    ]


def _dots(place: _Axes, points: Sequence[Point], groups: Sequence[str]) -> list[str]:
    parts, labels = [], []
    taken: list[tuple[float, float, float]] = []
    for point in points:
        x, y = place.across(point.x), place.down(point.y)
        color = _COLORS[groups.index(point.group) % len(_COLORS)]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}" fill-opacity="0.75">'
            f"<title>{escape(point.name)}: {point.x:,.0f}, {point.y:.2f}</title></circle>"
        )
        length = 5.2 * len(point.name)
        left, anchor = (x + 6, "start") if x + length < _WIDE - 8 else (x - 6, "end")
        box = (left if anchor == "start" else left - length, y, length)
        if all(_apart(box, other) for other in taken):
            taken.append(box)
            labels.append(
                f'<text x="{left:.1f}" y="{y + 3:.1f}" font-size="9" fill="{color}" '
                f'text-anchor="{anchor}">{escape(point.name)}</text>'
            )
    return [*parts, *labels]


def _apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Whether two labels, each a place and a length, do not cover each other."""
    beside = one[0] + one[2] < other[0] or other[0] + other[2] < one[0]
    return beside or abs(one[1] - other[1]) >= _LINE


def _legend(groups: Sequence[str]) -> list[str]:
    return [
        f'<circle cx="{_EDGE + 118 * number}" cy="{_TALL - 18}" r="4" '
        f'fill="{_COLORS[number % len(_COLORS)]}"/>'
        f'<text x="{_EDGE + 118 * number + 9}" y="{_TALL - 14}">{escape(group)}</text>'
        for number, group in enumerate(groups)
    ]


def _range(lines: Mapping[str, Values]) -> tuple[float, float]:
    low = min(0.0, *(float(y.min()) for y in lines.values()))
    high = max(0.0, *(float(y.max()) for y in lines.values()))
    return low, high if high > low else low + 1.0


def _row(value: float, low: float, high: float, rows: int) -> int:
    return int(round((high - value) / (high - low) * (rows - 1)))
