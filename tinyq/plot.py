"""Small plots: curves as text and as SVG, stacked bars as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]
_COLORS = ("#1f6f8b", "#c0563f", "#5a7d3a", "#7d5a9c")
_WIDTH, _HEIGHT, _MARGIN = 480, 320, 40
_PARTS = (
    *("#1f6f8b", "#5aa9c2", "#c0563f", "#5a7d3a", "#7d5a9c", "#c99a2e", "#3f4f8f", "#a3b18a"),
    *("#8b5e3c", "#9aa4ad", "#d98fa0"),
)
_BAR_WIDTH, _BAR_LABEL, _BAR_NUMBER, _BAR_STEP = 960, 210, 90, 20


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
    """Curves as an SVG image.

    Args:
        title: Text above the plot.
        x: Ascending values, shape (n,).
        lines: Values by name, each of shape (n,).
    """
    low, high = _range(lines)
    across = _MARGIN + (x - x[0]) / (x[-1] - x[0]) * (_WIDTH - 2 * _MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_MARGIN}" y="20">{escape(title)}</text>',
    ]
    for value in (low, 0.0, high):
        height = _HEIGHT - _MARGIN - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)
        parts.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{height:.1f}" y2="{height:.1f}" '
            'stroke="#ccc"/>'
        )
        parts.append(f'<text x="4" y="{height + 4:.1f}">{value:.3g}</text>')
    for number, (name, y) in enumerate(lines.items()):
        down = _HEIGHT - _MARGIN - (y - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)
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
    for at, (name, color) in enumerate(colors.items()):
        left = _BAR_WIDTH / max(len(colors), 6) * at
        text.append(f'<rect x="{left:.0f}" y="24" width="9" height="9" fill="{color}"/>')
        text.append(f'<text x="{left + 13:.0f}" y="32">{escape(name)}</text>')
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


def _range(lines: Mapping[str, Values]) -> tuple[float, float]:
    low = min(0.0, *(float(y.min()) for y in lines.values()))
    high = max(0.0, *(float(y.max()) for y in lines.values()))
    return low, high if high > low else low + 1.0


def _row(value: float, low: float, high: float, rows: int) -> int:
    return int(round((high - value) / (high - low) * (rows - 1)))
