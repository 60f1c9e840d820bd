"""Code generation: an integer graph, its memory plan and its bound kernels become C sources."""

from __future__ import annotations

from tinyq.codegen.calls import mark_layers, marked_nodes
from tinyq.codegen.emit import SourceTree, Variant, emit

__all__ = ["SourceTree", "Variant", "emit", "mark_layers", "marked_nodes"]
