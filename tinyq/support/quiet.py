"""Importing libraries that write to the terminal while they load."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile


def import_quietly(name: str) -> None:
    """Import a module and drop what its libraries write to standard error meanwhile.

    TensorFlow's C++ part writes about CPU features and missing GPUs before any setting can keep it
    from doing so. If the import fails, everything written is shown after all.

    Args:
        name: Module, such as ``tinyq.training``.
    """
    if name in sys.modules:
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        terminal = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            importlib.import_module(name)
        except BaseException:
            written.seek(0)
            os.write(terminal, written.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
