"""Curves as text and as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from tinyq.support.plot.colors import COLORS

Values = npt.NDArray[np.floating]
_WIDTH, _HEIGHT, _MARGIN = 480, 320, 40


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
        color = COLORS[number % len(COLORS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
        parts.append(
            f'<text x="{_MARGIN + 110 * number}" y="{_HEIGHT - 8}" fill="{color}">'
            f"{escape(name)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _range(lines: Mapping[str, Values]) -> tuple[float, float]:
    low = min(0.0, *(float(y.min()) for y in lines.values()))
    high = max(0.0, *(float(y.max()) for y in lines.values()))
    return low, high if high > low else low + 1.0


def _row(value: float, low: float, high: float, rows: int) -> int:
    return int(round((high - value) / (high - low) * (rows - 1)))
