"""Which of several points nothing else beats."""

from __future__ import annotations

from collections.abc import Sequence


def mark_unbeaten(points: Sequence[Sequence[float]]) -> list[bool]:
    """Whether each point is on the front: none is at least as small everywhere and smaller once.

    Args:
        points: Coordinates, as many of each, of which less is better.
    """
    return [
        not any(_beats(other, it) for other in points if tuple(other) != tuple(it)) for it in points
    ]


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(mine <= its for mine, its in zip(one, other, strict=True))
