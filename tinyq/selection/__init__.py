"""The choice of kernels: which of those that fit computes each node, by a stated objective.

Takes a graph and instruction sets; gives a `Bound` kernel for each node, and the memory plan with
room for what they need. Knows no operation by name.
"""

from __future__ import annotations

from tinyq.selection.budget import Budget
from tinyq.selection.candidates import (
    GENERIC,
    Bounds,
    Candidates,
    find_output,
    force_kernels,
    gather_candidates,
    list_bound,
    list_rivals,
    plan_kernels,
    prefer_isas,
    select_kernel,
    select_kernels,
)
from tinyq.selection.choice import (
    EXPLANATIONS,
    OBJECTIVES,
    Choice,
    check_objective,
    choose_kernels,
)
from tinyq.selection.fusion import Fusion, fuse_layers, gather_chained

__all__ = [
    "EXPLANATIONS",
    "GENERIC",
    "OBJECTIVES",
    "Bounds",
    "Budget",
    "Candidates",
    "Choice",
    "Fusion",
    "check_objective",
    "choose_kernels",
    "find_output",
    "force_kernels",
    "fuse_layers",
    "gather_candidates",
    "gather_chained",
    "list_bound",
    "list_rivals",
    "plan_kernels",
    "prefer_isas",
    "select_kernel",
    "select_kernels",
]
