"""Small plots as text and as SVG: curves, stacked bars, labelled points."""
