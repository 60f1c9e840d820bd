"""Labelled points over a logarithmic axis as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tinyq.support.plot.colors import COLORS

_WIDTH, _HEIGHT, _EDGE = 900, 620, 60
_LINE = 11  # height of a label
_FEWEST_MARKS = 3  # across


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
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
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
        return _EDGE + share * (_WIDTH - 2 * _EDGE)

    def down(self, y: float) -> float:
        return (
            _HEIGHT - _EDGE - (y - self.bottom) / (self.top - self.bottom) * (_HEIGHT - 2 * _EDGE)
        )


def _grid(place: _Axes, low: int, high: int) -> list[str]:
    step = max(1, (high - low) // 12)
    lines = []
    for value in range(low, high + 1, step):
        y = place.down(value)
        lines.append(
            f'<line x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{_EDGE - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
        )
    for mark in _list_marks(place):
        x = place.across(mark)
        lines.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_EDGE}" y2="{_HEIGHT - _EDGE}" stroke="#ddd"/>'
            f'<text x="{x:.1f}" y="{_HEIGHT - _EDGE + 18}" text-anchor="middle">{mark:,.0f}</text>'
        )
    return lines


def _list_marks(place: _Axes) -> list[float]:
    """Round values across; where decades have too few of them in between, even steps."""
    decades = range(math.floor(place.left), math.ceil(place.right) + 1)
    leads = (1, 2, 5) if place.right - place.left > 1 else (1, 1.5, 2, 2.5, 3, 4, 5, 7)
    marks = [lead * 10.0**decade for decade in decades for lead in leads]
    marks = [mark for mark in marks if place.left <= math.log10(mark) <= place.right]
    if len(marks) >= _FEWEST_MARKS:
        return marks
    low, high = 10.0**place.left, 10.0**place.right
    unit = 10.0 ** math.floor(math.log10((high - low) / _FEWEST_MARKS))
    step = next(it for it in (5 * unit, 2 * unit, unit) if (high - low) / it >= _FEWEST_MARKS)
    return [at * step for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _levels(place: _Axes, levels: Mapping[str, float]) -> list[str]:
    return [
        f'<line x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{place.down(y):.1f}" '
        f'y2="{place.down(y):.1f}" stroke="#666" stroke-dasharray="6 4"/>'
        f'<text x="{_WIDTH - _EDGE}" y="{place.down(y) - 4:.1f}" fill="#666" '
        f'text-anchor="end">{escape(name)}</text>'
        for name, y in levels.items()
    ]


def _dots(place: _Axes, points: Sequence[Point], groups: Sequence[str]) -> list[str]:
    parts, labels = [], []
    taken: list[tuple[float, float, float]] = []
    for point in points:
        x, y = place.across(point.x), place.down(point.y)
        color = COLORS[groups.index(point.group) % len(COLORS)]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}" fill-opacity="0.75">'
            f"<title>{escape(point.name)}: {point.x:,.0f}, {point.y:.2f}</title></circle>"
        )
        length = 5.2 * len(point.name)
        left, anchor = (x + 6, "start") if x + length < _WIDTH - 8 else (x - 6, "end")
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
        f'<circle cx="{_EDGE + 118 * number}" cy="{_HEIGHT - 18}" r="4" '
        f'fill="{COLORS[number % len(COLORS)]}"/>'
        f'<text x="{_EDGE + 118 * number + 9}" y="{_HEIGHT - 14}">{escape(group)}</text>'
        for number, group in enumerate(groups)
    ]
