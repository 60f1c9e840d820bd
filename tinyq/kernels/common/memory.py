"""Functions in C that move and fill memory."""

from __future__ import annotations

from tinyq.kernels.base import Part


def fill_words() -> Part:
    """``(to, words, value)``: fills words."""
    return Part("common/memory.j2", "fill", "tq_fill", shared=True)


def copy_fours() -> Part:
    """``(to, from, words)``: copies an even number of words."""
    return Part("common/memory.j2", "copy_fours", "tq_copy_fours", shared=True)
