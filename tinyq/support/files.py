"""Files that a command writes: replaced whole or left as they were."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tinyq.errors import FileError, TinyqError, explain_system_error
from tinyq.support.locks import open_alone

_PARTIAL = ".partial"


def write_file(path: Path, content: str | bytes) -> None:
    """Replace one file, see `write_files`."""
    write_files({path: content})


def write_files(contents: Mapping[Path, str | bytes]) -> None:
    """Replace files that belong together: all are written beside their places, then renamed.

    A link is followed and stays a link.

    Args:
        contents: Text, which is written as UTF-8, or bytes of each file.

    Raises:
        FileError: One cannot be written; unless a rename fails after another, all are as before.
    """
    with ExitStack() as opened:
        partials = {path: opened.enter_context(replace_file(path)) for path in contents}
        for path, content in contents.items():
            with _explaining(path):
                data = content.encode() if isinstance(content, str) else content
                partials[path].write_bytes(data)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A path beside a file, with the same suffix; what the block writes there takes its place.

    Raises:
        FileError: The place cannot be written, or another process is writing it.
    """
    place = Path(os.path.realpath(path))
    with _explaining(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and not place.is_file():
            _refuse_folder(place)
            yield place  # a device or a pipe: there is nothing to replace
            return
    partial = place.with_name(f".{place.stem}{_PARTIAL}{place.suffix}")
    with _explaining(path):
        descriptor = open_alone(partial, _busy(place))
    try:
        with _explaining(path):
            yield partial
            _settle(partial, place)
            partial.replace(place)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _refuse_folder(place: Path) -> None:
    if place.is_dir():
        raise FileError("is a folder", where=str(place), remedy="choose the name of a file")


def _busy(place: Path) -> FileError:
    return FileError(
        "is being written by another process",
        where=str(place),
        remedy="wait until that one has ended",
    )


def _settle(partial: Path, place: Path) -> None:
    """Let the content reach the disk before the name does, with the old file's permissions."""
    with partial.open("rb") as file, suppress(OSError):
        os.fsync(file.fileno())
    with suppress(OSError):
        partial.chmod(stat.S_IMODE(place.stat().st_mode))


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except TinyqError:
        raise
    except (OSError, MemoryError) as error:
        raise explain_system_error(error, path) from error
