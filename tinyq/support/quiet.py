"""Importing libraries that write to the terminal while they load."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tinyq.errors import TinyqError
from tinyq.support.import_hooks import around_import

_LIBRARIES = ("keras", "tensorflow", "tf_keras")


def import_quietly(name: str) -> None:
    """Import a module and drop what its libraries write to standard error meanwhile.

    If the import fails, everything written is shown after all.

    Args:
        name: Module, such as ``tinyq.training``.
    """
    if name in sys.modules:
        return
    with _silence():
        importlib.import_module(name)


def hush_imports() -> None:
    """Let Keras and TensorFlow load without a word, whenever that will be.

    TensorFlow's C++ part writes about CPU features and missing GPUs before any setting can keep it
    from doing so.
    """
    for name in _LIBRARIES:
        around_import(name, _quietly)


@contextmanager
def _quietly(module: ModuleType) -> Iterator[None]:
    del module
    with _silence():
        yield


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what is written to file descriptor 2; show it if an error comes that is not tinyq's."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        terminal = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        except TinyqError:
            raise
        except BaseException:
            written.seek(0)
            os.write(terminal, written.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
