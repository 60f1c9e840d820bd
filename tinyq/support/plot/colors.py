"""Colors of curves and of groups of points."""

COLORS = ("#1f6f8b", "#c0563f", "#5a7d3a", "#7d5a9c", "#b8860b", "#444444", "#c23b8f")
