"""Lets Keras find the layers of tinyq, without loading either of them before it is needed.

`import tinyq` is enough for ``keras.saving.load_model`` of what tinyq saved, in any order of the
imports: Keras' dictionary of registered classes becomes one that imports `tinyq.training` when
somebody asks it for a name of this package.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PREFIX = "tinyq>"
_KERAS = "keras"
_LAYERS = "tinyq.training"


class LazyClasses(dict[str, Any]):
    """Registered classes by name; those of tinyq are imported on first use."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self._find(name) is not None

    def __getitem__(self, name: str) -> Any:
        found = self._find(name)
        return super().__getitem__(name) if found is None else found

    def get(self, name: str, default: Any = None) -> Any:
        """The class of a name, or ``default``."""
        return self[name] if name in self else default

    def _find(self, name: object) -> Any:
        if not isinstance(name, str) or not name.startswith(PREFIX):
            return None
        if super().__contains__(name):
            return super().__getitem__(name)
        importlib.import_module(_LAYERS)
        registry = importlib.import_module(f"{_LAYERS}.registry")
        return registry.find_classes().get(name.removeprefix(PREFIX))


class _AfterKeras(MetaPathFinder):
    """Waits for the import of Keras; others may only ask whether it is there."""

    def __init__(self) -> None:
        self._looking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec of Keras, with a loader that prepares it."""
        if name != _KERAS or self._looking:
            return None
        self._looking = True  # the other finders are asked, and this one is among them
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Preparing(spec.loader)
        return spec


class _Preparing(Loader):
    """Loads a module as its own loader does, then makes the dictionary lazy."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, not yet run."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _AfterKeras)]
        prepare(module)


def prepare(keras: Any) -> None:
    """Make the dictionary of registered classes of a loaded Keras lazy.

    Every module-level name that Keras has for it is replaced.
    """
    known = keras.saving.get_custom_objects()
    if isinstance(known, LazyClasses):
        return
    lazy = LazyClasses(known)
    owner = sys.modules[keras.saving.get_custom_objects.__module__]
    for name, value in list(vars(owner).items()):
        if value is known:
            setattr(owner, name, lazy)


def install() -> None:
    """Prepare Keras now if it is loaded, else when it is."""
    keras = sys.modules.get(_KERAS)
    if keras is not None and hasattr(keras, "saving"):
        prepare(keras)
    elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras())
