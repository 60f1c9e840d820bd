"""Folders that a command writes: replaced whole or not at all, and never something else's."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyq.errors import TinyqError


def check_replaceable(folder: Path, stamp: str, kind: str) -> None:
    """Check that a folder may be replaced: it is missing, empty, or an earlier one of its kind.

    Args:
        folder: What is to be written.
        stamp: File by which an earlier one is known.
        kind: What such a folder is called, with its article.

    Raises:
        TinyqError: It holds something else.
    """
    if not folder.exists() or (folder / stamp).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise TinyqError(
            f"exists and is not {kind}, so it is not replaced",
            where=str(folder),
            remedy="choose another folder with -o",
        )


@contextmanager
def stage(folder: Path) -> Iterator[Path]:
    """A path beside a folder; what the block makes there takes the folder's place at its end.

    Raises:
        TinyqError: The place cannot be written.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise TinyqError(
            f"cannot be written: {error.strerror}",
            where=str(folder),
            remedy="choose another folder",
        ) from error
    try:
        content = staging / "new"
        yield content
        if folder.exists():
            folder.rename(staging / "old")
        content.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
