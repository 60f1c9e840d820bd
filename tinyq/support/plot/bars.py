"""Bars made of parts as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_PARTS = (
    *("#1f6f8b", "#5aa9c2", "#c0563f", "#5a7d3a", "#7d5a9c", "#c99a2e", "#3f4f8f", "#a3b18a"),
    *("#8b5e3c", "#9aa4ad", "#d98fa0"),
)
_WIDTH, _LABEL, _NUMBER, _STEP = 960, 210, 90, 20


def draw_bars(title: str, rows: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """Bars made of parts, one below the other, as an SVG image in the colors of its surroundings.

    Args:
        title: Text above the plot.
        rows: Label and parts of each bar; a part has the same color in every bar.
    """
    parts = list(dict.fromkeys(name for _, values in rows for name in values))
    colors = {name: _PARTS[at % len(_PARTS)] for at, name in enumerate(parts)}
    largest = max((sum(values.values()) for _, values in rows), default=0) or 1
    scale = (_WIDTH - _LABEL - _NUMBER) / largest
    height = 52 + _STEP * len(rows)
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
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
        text += _draw_bar(label, values, colors, scale, 44 + _STEP * at)
    return "\n".join([*text, "</svg>", ""])


def _draw_bar(
    label: str, values: Mapping[str, int], colors: Mapping[str, str], scale: float, top: int
) -> list[str]:
    text = [f'<text x="{_LABEL - 8}" y="{top + 11}" text-anchor="end">{escape(label[:34])}</text>']
    left = float(_LABEL)
    for name, value in values.items():
        width = scale * value
        text.append(
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_STEP - 6}" '
            f'fill="{colors[name]}"><title>{escape(f"{label}, {name}: {value:,}")}</title></rect>'
        )
        left += width
    return [*text, f'<text x="{left + 6:.1f}" y="{top + 11}">{sum(values.values()):,}</text>']
