"""`.keras` files that Keras 2 wrote on Windows: backslashes in the names of groups of weights."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyq.support import limits
from tinyq.support.keras_config import WEIGHTS


@contextmanager
def with_slashes(path: Path) -> Iterator[Path]:
    r"""A file that every system reads: itself, or a copy where ``layers\conv`` is ``layers/conv``.

    Args:
        path: A checked ``.keras`` file; any other file is given as it is.
    """
    mended = _mend(path) if path.is_file() and path.suffix == ".keras" else None
    if mended is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as written:
            for name in archive.namelist():
                content = limits.read_member(archive, name, limits.WEIGHTS_BYTES)
                written.writestr(name, mended if name == WEIGHTS else content)
        yield copy


def _mend(path: Path) -> bytes | None:
    """The file of weights with slashes; None where it has them."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        content = limits.read_member(archive, WEIGHTS, limits.WEIGHTS_BYTES)
    names: list[str] = []
    with h5py.File(io.BytesIO(content), "r") as old:
        old.visit(names.append)
        if not any("\\" in name for name in names):
            return None
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as new:
            for name in names:
                plain = name.replace("\\", "/")
                if isinstance(old[name], h5py.Dataset):
                    new.create_dataset(plain, data=old[name][()])
                else:
                    new.require_group(plain)
    return buffer.getvalue()
