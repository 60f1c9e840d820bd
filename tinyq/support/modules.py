"""Folders whose modules are found by walking them, so that nothing is listed twice."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def list_modules(package: str) -> tuple[str, ...]:
    """Names of the modules and packages inside a package, sorted."""
    path = importlib.import_module(package).__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(path)))


def import_modules(package: str) -> tuple[ModuleType, ...]:
    """Import every module and package inside a package, by name, and with it what it registers."""
    names = list_modules(package)
    return tuple(importlib.import_module(f"{package}.{name}") for name in names)
