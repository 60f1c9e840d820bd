"""Lets Keras find the layers of tinyq, without loading either of them before it is needed.

`import tinyq` is enough for ``keras.saving.load_model`` of what tinyq saved, in any order of the
imports: Keras' dictionary of registered classes becomes one that imports `tinyq.training` when
somebody asks it for a name of this package.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinyq.support.import_hooks import around_import
from tinyq.support.keras_backend import explain_imports

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
        found = self._find(name)
        return super().get(name, default) if found is None else found

    def _find(self, name: object) -> Any:
        if not isinstance(name, str) or not name.startswith(PREFIX):
            return None
        if super().__contains__(name):
            return super().__getitem__(name)
        importlib.import_module(_LAYERS)
        registry = importlib.import_module(f"{_LAYERS}.registry")
        return registry.find_classes().get(name.removeprefix(PREFIX))


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
    """Prepare Keras now if it is loaded, else when it is; an import that fails is explained."""
    keras = sys.modules.get(_KERAS)
    if keras is not None and hasattr(keras, "saving"):
        prepare(keras)
    else:
        around_import(_KERAS, _prepared)
        explain_imports()


@contextmanager
def _prepared(keras: Any) -> Iterator[None]:
    yield
    prepare(keras)
