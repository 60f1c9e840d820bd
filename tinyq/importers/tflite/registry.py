"""Which function imports which operator: folders are walked, nothing is listed.

An operator that one operation stands for is declared beside it (`tinyq.graph.foreign`), every
other in the folder ``operators``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from tinyq.graph import foreign
from tinyq.support.modules import import_modules

_TOOL = "tflite"


def imports(*names: str) -> Callable[[foreign.Importer], foreign.Importer]:
    """Register a function that adds the nodes of an operator, by the schema's operator names."""
    return foreign.imports(_TOOL, *names)


def find_importers() -> Mapping[str, foreign.Importer]:
    """All importers by operator name."""
    for folder in ("tinyq.graph.ops", "tinyq.importers.tflite.operators"):
        import_modules(folder)
    return MappingProxyType(foreign.list_importers(_TOOL))
