"""What a file may claim before memory is taken for it, and what reading a damaged one may raise.

All readers of files that users bring share this: sizes are read from headers and refused there, and
whatever a damaged file makes of a library becomes one message that names the file.
"""

from __future__ import annotations

import io
import lzma
import math
import os
import stat
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError, TinyqError
from tinyq.support.mapped import read_mapped

JSON_BYTES = 2**25
"""Of a description, such as graph.json or config.json."""
GRAPH_BYTES = 2**26
"""Of all constants of a .tqg file, four bytes each."""
WEIGHTS_BYTES = 2**30
"""Of all float weights of a Keras model."""
DATA_BYTES = 2**31
"""Of all arrays of a data set."""
MEMBERS = 100_000
"""Of an archive, or objects of an HDF5 file."""
TEXT_BYTES = 2**17
"""Of a recipe, or another text that people write."""

DAMAGE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # and with it RecursionError and NotImplementedError
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
)
"""What zipfile, NumPy, json, h5py and the rest raise on a file that is not what it says."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_REASON_LENGTH = 200


@contextmanager
def reading(
    path: Path, kind: str, error: type[TinyqError] = ModelError, remedy: str | None = None
) -> Iterator[None]:
    """Turn whatever a missing or damaged file makes its reader raise into one message.

    Args:
        path: The file, named in the message.
        kind: What it should be, such as ``graph file``.
        error: Class of the message.
        remedy: What helps against damage.

    Raises:
        TinyqError: The block raised one of ``DAMAGE``; a TinyqError passes, with the file's name
            where it has no place of its own.
    """
    try:
        yield
    except TinyqError as own:
        where = own.where or str(path)
        raise (type(own) if isinstance(own, error) else error)(
            own.message, where=where, remedy=own.remedy
        ) from None
    except DAMAGE as fault:
        raise _explain(fault, path, kind, error, remedy) from None


def _explain(
    fault: Exception, path: Path, kind: str, error: type[TinyqError], remedy: str | None
) -> TinyqError:
    where = str(path)
    if isinstance(fault, FileNotFoundError):
        return error("there is no such file", where=where)
    if isinstance(fault, MemoryError):
        return error(f"the {kind} needs more memory than there is", where=where)
    if isinstance(fault, OSError) and fault.errno is not None:
        return error(f"cannot be read: {os.strerror(fault.errno)}", where=where)
    return error(
        f"the {kind} is damaged or cut off ({describe(fault)})", where=where, remedy=remedy
    )


def describe(fault: BaseException) -> str:
    """The class of an exception and the last line of its text, which says why."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    reason = lines[-1][:_REASON_LENGTH] if lines else ""
    name = type(fault).__name__
    return f"{name}: {reason}" if reason else name


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        ModelError: It is no regular file, or longer than ``most``; within ``reading`` alone, the
            place is added.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise ModelError("is no regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ModelError(
            f"is longer than {most:,} bytes", remedy="look whether it is the right one"
        )
    return content


def check_archive(archive: zipfile.ZipFile, most: int) -> None:
    """Check what an archive claims: its members' sizes, names and packing.

    A member is never unpacked beyond the size that the directory gives, so that the claim is a
    bound.

    Args:
        archive: The open archive.
        most: Unpacked bytes of all members together.

    Raises:
        ModelError: It claims more, a name comes twice, or a member is encrypted or packed in a way
            that is not read.
    """
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise ModelError(f"holds {len(members):,} members, at most {MEMBERS:,} are read")
    if len({member.filename for member in members}) != len(members):
        raise ModelError("holds two members of one name")
    total = sum(member.file_size for member in members)
    if total > most:
        raise ModelError(f"unpacks to {total:,} bytes, at most {most:,} are read")
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise ModelError(
                f"{member.filename} is encrypted", remedy="write it without a password"
            )
        if member.compress_type not in _COMPRESSIONS:
            raise ModelError(
                f"{member.filename} is packed by method {member.compress_type}",
                remedy="pack it with deflate",
            )


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of a member of an archive.

    Raises:
        ModelError: There is no such member, or it claims more than ``most`` bytes.
    """
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise ModelError(f"the archive holds no {name}") from None
    if member.file_size > most:
        raise ModelError(f"{name} unpacks to {member.file_size:,} bytes, at most {most:,} are read")
    return archive.read(member)


def read_header(stream: io.BufferedIOBase) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is written by columns, and type of an array in NumPy's own format.

    Raises:
        ModelError: It holds objects, or is of an unknown version.
        ValueError: It is damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers that Python 2 wrote
        version = np.lib.format.read_magic(stream)
        read_known = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_known is None:
            raise ModelError(f"an array of format version {version}", remedy="write it with NumPy")
        shape, in_columns, dtype = read_known(stream)
    if dtype.hasobject:
        raise ModelError("holds Python objects, which are programs", remedy="save numbers alone")
    if any(length < 0 for length in shape):
        raise ModelError(f"an array of shape {shape}")
    return shape, in_columns, dtype


def read_array(
    content: bytes | io.BufferedIOBase, most: int, rows: int | None = None, mapped: bool = False
) -> npt.NDArray[Any]:
    """An array in NumPy's own format, of numbers or text, never of Python objects.

    Args:
        content: All bytes, or a stream of them.
        most: Bytes that the array may have.
        rows: Read the first so many along axis 0 and leave the rest where it is; where an array is
            written by columns, its rows are everywhere and all of it is read.
        mapped: Keep a large array in a temporary file, see `tinyq.support.mapped`.

    Raises:
        ModelError: It holds objects, or its header claims more than ``most`` bytes.
        ValueError: It is damaged, or ends before its last element.
    """
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    shape, in_columns, dtype = read_header(stream)
    if rows is not None and shape and not in_columns:
        shape = (min(shape[0], rows), *shape[1:])
    size = math.prod(shape) * dtype.itemsize
    if size > most:
        raise ModelError(f"an array of {size:,} bytes, at most {most:,} are read")
    data = read_mapped(stream, size) if mapped else stream.read(size)
    if len(data) != size:
        raise ValueError(f"an array ends after {len(data):,} of {size:,} bytes")
    flat = np.frombuffer(data, dtype) if size else np.empty(0, dtype)
    if not size:
        return np.empty(shape, dtype)
    whole = flat.reshape(shape[::-1]).T if in_columns else flat.reshape(shape)
    return whole if rows is None or not shape else whole[:rows]
