"""Folders that a command writes: replaced whole or not at all, and never something else's.

A folder is made beside its place and changes places with the old one in a single step. Where that
cannot be, because somebody stands in the folder or its parent may not be written, the new files
are moved into it one by one; a process that is killed meanwhile leaves all that the next one needs
to finish (`finish_replacing`). docs/decisions/0022-whole-outputs.md
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from tinyq.errors import FileError, TinyqError, explain_system_error
from tinyq.support.locks import lock_folder, try_lock

_MARK = "-tinyq-"  # in the name of a folder that is being made
_LOCK, _NEW, _OLD, _COMMITTED, _NAMES = "lock", "new", "old", "committed", "names"


def check_replaceable(folder: Path, stamp: str, kind: str) -> None:
    """Check that a folder may be replaced: it is missing, empty, or an earlier one of its kind.

    Args:
        folder: What is to be written.
        stamp: File by which an earlier one is known.
        kind: What such a folder is called, with its article.

    Raises:
        TinyqError: It holds something else, or cannot be looked into.
    """
    with _explaining(folder):
        finish_replacing(folder)
        if not folder.is_file():
            check_writable(folder)
        if not folder.exists() or (folder / stamp).is_file():
            return
        if not folder.is_dir() or any(_MARK not in path.name for path in folder.iterdir()):
            raise TinyqError(
                f"exists and is not {kind}, so it is not replaced",
                where=str(folder),
                remedy="choose another folder with -o",
            )


def check_writable(folder: Path) -> None:
    """Check that a folder can be filled, or made; for what takes long before it is written.

    Raises:
        FileError: There is a file in its way, or it may not be written.
    """
    place = Path(os.path.realpath(folder))
    with _explaining(folder):
        there = next(path for path in (place, *place.parents) if os.path.lexists(path))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
        if not os.access(there, os.W_OK) and not os.access(there.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


@contextmanager
def stage(folder: Path) -> Iterator[Path]:
    """A path beside a folder; what the block makes there takes the folder's place at its end.

    A link to a folder is followed and stays a link. A folder that a process of this machine stands
    in stays the same folder with other files.

    Raises:
        TinyqError: The place cannot be written; the folder is as it was.
    """
    place = Path(os.path.realpath(folder))
    with _explaining(folder):
        staging, descriptor = _open_staging(place)
    try:
        with _explaining(folder, staging / _NEW):
            yield staging / _NEW
            with lock_folder(staging.parent):
                _put(staging, place)
    finally:
        if not (staging / _COMMITTED).exists():
            shutil.rmtree(staging, ignore_errors=True)
        os.close(descriptor)


def finish_replacing(folder: Path) -> None:
    """Finish what a killed process has left half done in or beside a folder, and sweep the rest."""
    place = Path(os.path.realpath(folder))
    for home in (place, place.parent):
        for staging in _list_stagings(home, place.name):
            with lock_folder(home):
                _sweep(staging, place)


def _list_stagings(home: Path, name: str) -> list[Path]:
    prefix = f".{name}{_MARK}"
    try:
        return sorted(path for path in home.iterdir() if path.name.startswith(prefix))
    except OSError:
        return []


def _open_staging(place: Path) -> tuple[Path, int]:
    """A locked folder in which to make what takes a place; the open lock goes with it."""
    finish_replacing(place)
    inside = place.is_dir() and (_has_visitors(place) or place.is_mount())
    if not inside:
        place.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _make_staging(place if inside else place.parent, place.name)
    except PermissionError:
        if inside or not place.is_dir():
            raise
        return _make_staging(place, place.name)


def _make_staging(home: Path, name: str) -> tuple[Path, int]:
    with lock_folder(home):
        staging = Path(tempfile.mkdtemp(prefix=f".{name}{_MARK}", dir=home))
        descriptor = os.open(staging / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try_lock(descriptor)
    return staging, descriptor


def _has_visitors(place: Path) -> bool:
    """Whether this process, or another one that can be seen, has its working folder there."""
    links = [Path(f"/proc/{name}/cwd") for name in _list_processes()]
    folders = []
    with suppress(OSError):
        folders.append(Path.cwd())
    for link in links:
        with suppress(OSError):
            folders.append(link.readlink())
    return any(place == folder or place in folder.parents for folder in folders)


def _list_processes() -> list[str]:
    try:
        return [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]
    except OSError:  # not Linux
        return []


def _put(staging: Path, place: Path) -> None:
    if staging.parent == place:
        _merge_staged(staging, place)
    elif not place.exists():
        (staging / _NEW).rename(place)
    elif not exchange(staging / _NEW, place):
        place.rename(staging / _OLD)
        try:
            (staging / _NEW).rename(place)
        except OSError:
            (staging / _OLD).rename(place)
            raise


def _merge_staged(staging: Path, place: Path) -> None:
    """Move what was made into the folder that it was made in; once more where that fails once."""
    new = staging / _NEW
    files = [path for path in new.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = [path.relative_to(new).as_posix() for path in files]
    (staging / _NAMES).write_bytes(os.fsencode("\0".join(names)))  # no name holds a zero
    new.rename(staging / _COMMITTED)  # from here on there is only forward
    try:
        _merge(staging, place)
    except OSError:
        _merge(staging, place)


def _merge(staging: Path, place: Path) -> None:
    """Move committed files to their places and remove all others; may be repeated at any point."""
    committed = staging / _COMMITTED
    listed = os.fsdecode((staging / _NAMES).read_bytes())
    names = {PurePath(name) for name in listed.split("\0") if name}
    for name in sorted(names):
        source, target = committed / name, place / name
        if not os.path.lexists(source):
            continue  # moved before
        for parent in reversed(name.parents):
            if not (place / parent).is_dir():
                (place / parent).unlink(missing_ok=True)
                (place / parent).mkdir()
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        source.replace(target)
    _remove_others(place, names)
    shutil.rmtree(committed)


def _remove_others(place: Path, names: set[PurePath]) -> None:
    folders = {parent for name in names for parent in name.parents}
    for path in sorted(place.rglob("*"), reverse=True):
        name = path.relative_to(place)
        if name in names or name in folders or _MARK in name.parts[0]:
            continue
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


def _sweep(staging: Path, place: Path) -> None:
    """Finish or remove a folder whose maker is gone; the folder that holds it is locked."""
    try:
        descriptor = os.open(staging / _LOCK, os.O_RDWR)
    except FileNotFoundError:  # killed before it had a lock, or while it removed the folder
        shutil.rmtree(staging, ignore_errors=True)
        return
    try:
        if not try_lock(descriptor):
            return
        if (staging / _COMMITTED).is_dir():
            _merge(staging, place)
        elif (staging / _OLD).is_dir() and not os.path.lexists(place):
            (staging / _OLD).rename(place)
        shutil.rmtree(staging, ignore_errors=True)
    finally:
        os.close(descriptor)


def exchange(first: Path, second: Path) -> bool:
    """Let two folders change places in one step; False where the system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(first), os.fsencode(second)
    if sys.platform == "darwin":
        failed = library.renamex_np(*paths, ctypes.c_uint(2))  # RENAME_SWAP
    elif sys.platform == "linux" and hasattr(library, "renameat2"):
        here = ctypes.c_int(-100)  # AT_FDCWD
        failed = library.renameat2(here, paths[0], here, paths[1], ctypes.c_uint(2))
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(second))


@contextmanager
def _explaining(folder: Path, made: Path | None = None) -> Iterator[None]:
    """Name the folder that the user knows, not the one that is made beside it."""
    try:
        yield
    except FileError as error:
        error.where = _find_place(error.where, folder, made)
        raise
    except (OSError, MemoryError) as error:
        filename = getattr(error, "filename", None)
        raise explain_system_error(error, _find_place(filename, folder, made)) from error


def _find_place(filename: object, folder: Path, made: Path | None) -> str:
    if made is not None and isinstance(filename, (str, os.PathLike)):
        path = PurePath(filename)
        if path.is_relative_to(made):
            return str(folder / path.relative_to(made))
    return str(folder)
