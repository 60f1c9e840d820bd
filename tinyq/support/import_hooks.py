"""Does something around the first import of a module, which may come at any time or never."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Around = Callable[[ModuleType], AbstractContextManager[None]]


def around_import(name: str, around: Around) -> None:
    """Run a module inside of a context when it is imported; once, and not if it is loaded already.

    Args:
        name: Name of a package or module.
        around: Makes the context from the module, which is empty when the context is entered.
    """
    known = [each for each in sys.meta_path if isinstance(each, _Finder)]
    if name not in sys.modules and not any(
        (each.name, each.around) == (name, around) for each in known
    ):
        sys.meta_path.insert(0, _Finder(name, around))


class _Finder(MetaPathFinder):
    """Waits for the import of a module; others may only ask whether it is there."""

    def __init__(self, name: str, around: Around) -> None:
        self.name = name
        self.around = around
        self._looking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec, with a loader that enters the context."""
        if name != self.name or self._looking:
            return None
        self._looking = True  # the other finders are asked, and this one is among them
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, inside of a context."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, not yet run."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module; the hook is gone afterwards."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        with self._finder.around(module):
            self._loader.exec_module(module)
        sys.meta_path[:] = [each for each in sys.meta_path if each is not self._finder]
