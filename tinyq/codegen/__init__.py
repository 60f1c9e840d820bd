"""Code generation: an integer graph and its memory plan become C sources.

Knows no operation by name: kernels and output stages are found by the names of their files.
"""

from __future__ import annotations

from tinyq.codegen.budget import fit_flash
from tinyq.codegen.calls import marked_nodes
from tinyq.codegen.emit import SourceTree, emit
from tinyq.codegen.kernels import Kernel, Stage, load_kernels, load_stages
from tinyq.codegen.variants import GENERIC, measure_scratch, plan_kernels, prefer_isas

__all__ = [
    "GENERIC",
    "Kernel",
    "SourceTree",
    "Stage",
    "emit",
    "fit_flash",
    "load_kernels",
    "load_stages",
    "marked_nodes",
    "measure_scratch",
    "plan_kernels",
    "prefer_isas",
]
