"""Several builds, reports and searches side by side: one row each, and which of them are best."""

from __future__ import annotations

from tinyq.measurement.comparison.entries import Entry, Judge, mark_best
from tinyq.measurement.comparison.page import draw_page, draw_plots
from tinyq.measurement.comparison.reading import read_places

__all__ = ["Entry", "Judge", "draw_page", "draw_plots", "mark_best", "read_places"]
