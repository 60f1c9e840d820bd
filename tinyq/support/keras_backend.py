"""Why Keras does not load, in words that help: its backend, or what it is set to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tinyq.errors import BackendError
from tinyq.support.import_hooks import around_import

VARIABLE = "KERAS_BACKEND"
WANTED = "tensorflow"
_KERAS = "keras"
_WRAPPED = "sklearn"
_REMEDY = f"set {VARIABLE}={WANTED} in the environment, and start anew"
_REINSTALL = "install it anew: pip install --force-reinstall 'keras>=3.12' tensorflow"


def explain_imports() -> None:
    """Let an import of Keras that fails, whenever that will be, say what is set wrongly."""
    around_import(_KERAS, explaining)


@contextmanager
def explaining(module: ModuleType) -> Iterator[None]:
    """Turn what ends the import of Keras into an error that names the setting.

    Raises:
        BackendError: Keras does not load.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if module.__name__ != _KERAS or isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise describe_failure(error) from None


def import_without_wrappers() -> None:
    """Let Keras be imported without its wrappers of scikit-learn, whenever that will be.

    They take 90 MB and two seconds, and a command has no use for them.
    """
    around_import(_KERAS, _hiding_wrapped)


@contextmanager
def _hiding_wrapped(_module: ModuleType) -> Iterator[None]:
    """Hide scikit-learn from Keras, which does without it."""
    before = sys.modules.get(_WRAPPED)
    sys.modules[_WRAPPED] = None  # type: ignore[assignment]  # as importlib has it
    try:
        yield
    finally:
        del sys.modules[_WRAPPED]
        if isinstance(before, ModuleType):
            sys.modules[_WRAPPED] = before


def describe_failure(error: Exception) -> BackendError:
    """The error for what has ended the import of Keras."""
    backend, where = find_backend()
    chosen = f"Keras is to run on the backend {backend!r}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        remedy = f"pip install {missing}" if backend == WANTED else _REMEDY
        return BackendError(
            f"{chosen}, and {missing!r} is not installed", where=where, remedy=remedy
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if backend != WANTED:
        return BackendError(f"{chosen}, which does not load: {reason}", where=where, remedy=_REMEDY)
    settings = [name for name in sorted(os.environ) if name.startswith("KERAS_")]
    return BackendError(
        f"Keras does not load: {reason}",
        where=", ".join([*settings, str(settings_file())]),
        remedy=f"correct what is set there, or {_REINSTALL}",
    )


def refuse(backend: str) -> BackendError:
    """The error for a backend that loads, but on which quantized layers do not compute."""
    _, where = find_backend()
    return BackendError(
        f"Keras runs on the backend {backend!r}, which lacks 64-bit arithmetic",
        where=where,
        remedy=_REMEDY,
    )


def find_backend() -> tuple[str, str]:
    """The backend that Keras is told to take, and where; read without Keras, which has failed."""
    if backend := os.environ.get(VARIABLE):
        return backend, VARIABLE
    file = settings_file()
    try:
        backend = json.loads(file.read_text("utf-8"))["backend"]
    except (OSError, ValueError, LookupError, TypeError):
        return WANTED, VARIABLE
    return str(backend), str(file)


def settings_file() -> Path:
    """Where Keras reads its settings."""
    folder = os.environ.get("KERAS_HOME")
    return (Path(folder) if folder else Path("~/.keras")).expanduser() / "keras.json"
