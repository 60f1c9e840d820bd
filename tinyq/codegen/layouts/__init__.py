"""Layouts: constants in the order in which a kernel reads them, one module each.

A kernel's template names its layout. One whose constants keep the form of the graph has

    lay_out(layer)                  format and codes of the constants that are replaced

and one for a kernel that is written for each node anew, see `tinyq.codegen.special`,

    refuse(layer) -> str            why these constants do not fit, empty where they do
    arrange(layer) -> Arrangement   tables, and integers that go into the kernel's text

They depend on the layer alone. A layout folds what is known at generation time into its tables:
zero points into biases, scales into weights and shifts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tinyq.kernels.packing.record import Table

__all__ = ["Arrangement", "Table"]


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """Constants of a node in the order of a kernel.

    Attributes:
        tables: In the order of the kernel's parameters.
        numbers: Integers for the kernel's text.
        staged: Whether the output stage's own function finishes the kernel's sums. The kernel
            gets the stage's constants behind the tables.
    """

    tables: tuple[Table, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    staged: bool = False
