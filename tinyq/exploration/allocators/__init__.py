"""Allocators: which methods all layers get, each a file found by its decorator."""

from __future__ import annotations

from tinyq.exploration.allocators import (
    actor,
    evolution,
    grid,
    ilp,
    learned,
    predictor,
    rank,
    tpe,
)
from tinyq.exploration.allocators.registry import ALLOCATORS, Allocator, find_allocator

__all__ = [
    "ALLOCATORS",
    "Allocator",
    "actor",
    "evolution",
    "find_allocator",
    "grid",
    "ilp",
    "learned",
    "predictor",
    "rank",
    "tpe",
]
