"""Sizes are refused before memory is taken; whatever a damaged file raises becomes one message."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from tinyq.errors import DataError, ModelError, TinyqError
from tinyq.support import limits
from tinyq.support.limits import check_archive, read_array, read_file, read_member, reading


@pytest.mark.parametrize(
    "fault",
    [
        *(ValueError("a\nb"), KeyError("x"), IndexError(), TypeError("no"), EOFError()),
        *(MemoryError(), ArithmeticError(), AssertionError()),
        *(OverflowError("big"), RecursionError("deep"), NotImplementedError("packed")),
        *(zlib.error("-3"), zipfile.BadZipFile("no zip"), SyntaxError("header"), ImportError("x")),
        *(FileNotFoundError(2, "gone"), PermissionError(13, "mine"), OSError("no errno")),
        *(UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), AttributeError("y"), RuntimeError("enc")),
    ],
    ids=repr,
)  # fmt: skip
def test_every_fault_is_one_message_with_the_name_of_the_file(fault, tmp_path):
    with pytest.raises(DataError) as caught, reading(tmp_path / "x.npz", "data set", DataError):
        raise fault
    assert caught.value.where == str(tmp_path / "x.npz")
    assert "\n" not in caught.value.message
    assert "tinyq failed" not in caught.value.message


def test_an_error_of_ones_own_keeps_its_place_and_class(tmp_path):
    with pytest.raises(ModelError) as caught, reading(tmp_path, "graph file"):
        raise ModelError("odd", where="layer", remedy="mend")
    assert str(caught.value) == "layer: odd (mend)"
    with pytest.raises(ModelError) as caught, reading(tmp_path, "graph file"):
        raise TinyqError("odd")
    assert caught.value.where == str(tmp_path)


def test_an_interruption_is_no_damage(tmp_path):
    with pytest.raises(KeyboardInterrupt), reading(tmp_path, "graph file"):
        raise KeyboardInterrupt


def header(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("shape", ["(1099511627776,)", "(65536, 65536, 9)", "(131073,)", "(-5,)"])
def test_a_header_of_lies_takes_no_memory(shape):
    tracemalloc.start()
    with pytest.raises(ModelError, match=r"at most 1,048,576|of shape"):
        read_array(header(shape), 2**20)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="<i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(7, np.int8),
        np.zeros((0, 4), np.float32),
        np.array(["ab", "c"]),
    ],
    ids=["plain", "columns first", "one number", "empty", "text"],
)
def test_an_array_comes_back(array):
    content = io.BytesIO()
    np.save(content, array)
    for source in (content.getvalue(), io.BytesIO(content.getvalue())):
        found = read_array(source, 10**6)
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)


def test_objects_and_cut_arrays_are_refused():
    content = io.BytesIO()
    np.save(content, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ModelError, match="objects"):
        read_array(content.getvalue(), 10**6)
    with pytest.raises(ValueError, match="ends after"):
        read_array(header("(9,)") + bytes(8), 10**6)


def archive_of(**members: bytes) -> zipfile.ZipFile:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return zipfile.ZipFile(content)


def test_archives_claim_what_they_unpack_to():
    archive = archive_of(a=bytes(600), b=bytes(500))
    check_archive(archive, 1100)
    with pytest.raises(ModelError, match=r"1,100 bytes, at most 1,099"):
        check_archive(archive, 1099)
    assert read_member(archive, "b", 500) == bytes(500)
    with pytest.raises(ModelError, match="at most 499"):
        read_member(archive, "b", 499)
    with pytest.raises(ModelError, match="holds no c"):
        read_member(archive, "c", 1)


def test_odd_archives(monkeypatch):
    archive = archive_of(a=b"x")
    archive.getinfo("a").flag_bits |= 1
    with pytest.raises(ModelError, match="encrypted"):
        check_archive(archive, 100)
    archive = archive_of(a=b"x")
    archive.getinfo("a").compress_type = 97
    with pytest.raises(ModelError, match="method 97"):
        check_archive(archive, 100)
    archive = archive_of(a=b"x", b=b"y")
    archive.infolist()[1].filename = "a"
    with pytest.raises(ModelError, match="two members"):
        check_archive(archive, 100)
    monkeypatch.setattr(limits, "MEMBERS", 1)
    with pytest.raises(ModelError, match="2 members"):
        check_archive(archive_of(a=b"", b=b""), 100)


def test_files_have_a_longest_length(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(bytes(100))
    assert read_file(path, 100) == bytes(100)
    with pytest.raises(ModelError, match="longer than 99"):
        read_file(path, 99)
