"""Which function imports which operator: the folder ``operators`` is walked, nothing is listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from tinyq.support.modules import import_modules

if TYPE_CHECKING:
    from tinyq.importers.onnx.layer import Layer

    Importer = Callable[[Layer], None]

_FOUND: dict[str, Importer] = {}


def imports(*names: str) -> Callable[[Importer], Importer]:
    """Register a function that imports operators, by their names, those of com.microsoft too."""

    def register(function: Importer) -> Importer:
        for name in names:
            _FOUND[name] = function
        return function

    return register


def find_importers() -> Mapping[str, Importer]:
    """All importers by operator name."""
    import_modules("tinyq.importers.onnx.operators")
    return MappingProxyType(_FOUND)
