"""Code generation: an integer graph and its memory plan become C sources.

Knows no operation by name: kernels and output stages are found by the names of their files.
"""

from __future__ import annotations

from tinyq.codegen.calls import marked_nodes
from tinyq.codegen.choice import (
    EXPLANATIONS,
    OBJECTIVES,
    Budget,
    Candidate,
    Candidates,
    Choice,
    LayerChoice,
    check_objective,
    choose_kernels,
    gather_candidates,
)
from tinyq.codegen.emit import SourceTree, emit
from tinyq.codegen.kernels import Kernel, Stage, load_kernels, load_stages
from tinyq.codegen.variants import GENERIC, measure_scratch, plan_kernels, prefer_isas

__all__ = [
    "EXPLANATIONS",
    "GENERIC",
    "OBJECTIVES",
    "Budget",
    "Candidate",
    "Candidates",
    "Choice",
    "Kernel",
    "LayerChoice",
    "SourceTree",
    "Stage",
    "check_objective",
    "choose_kernels",
    "emit",
    "gather_candidates",
    "load_kernels",
    "load_stages",
    "marked_nodes",
    "measure_scratch",
    "plan_kernels",
    "prefer_isas",
]
