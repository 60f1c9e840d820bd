"""Labelled samples: what is accepted, and what the messages say."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.peak_memory import measure_growth
from tinyq.errors import DataError
from tinyq.support import mapped
from tinyq.support.datasets import load_dataset, make_dataset


def test_arrays_come_back(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.arange(12.0).reshape(3, 4), y=[2, 0, 1])
    data = load_dataset(path)
    assert len(data) == 3
    assert data.y is not None
    assert data.y.tolist() == [2, 0, 1]
    assert len(data.take(2)) == 2
    assert len(data.take(None)) == 3


def test_labels_may_be_missing_or_one_hot() -> None:
    assert make_dataset(np.zeros((2, 3))).y is None
    one_hot = make_dataset(np.zeros((3, 1)), np.eye(3)[[1, 0, 2]]).y
    assert one_hot is not None
    assert one_hot.tolist() == [1, 0, 2]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_dataset(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not an archive", b"\x93NUMPY"])
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"\.npz"):
        load_dataset(path)


def test_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.array([{}, {}], dtype=object))
    with pytest.raises(DataError, match=r"\.npz"):
        load_dataset(path)


def test_inputs_must_be_named_x(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.zeros(3))
    with pytest.raises(DataError, match="no array `x`"):
        load_dataset(path)


@pytest.mark.parametrize("labels", [[0, 1], [[0, 1, 0]], 3, np.zeros((3, 0))])
def test_labels_must_fit_the_inputs(labels: list[float]) -> None:
    with pytest.raises(DataError, match="labels have shape"):
        make_dataset(np.zeros((3, 2)), labels)


NOT_NUMBERS = {
    "text": ["cat", "dog", "cow"],
    "bytes": [b"a", b"b", b"c"],
    "complex": np.zeros(3, np.complex64),
    "dates": np.zeros(3, "M8[s]"),
    "durations": np.zeros(3, "m8[s]"),
    "records": np.zeros(3, [("a", "i4")]),
    "void": np.zeros(3, "V4"),
}
BAD_NUMBERS = {
    "infinite": ([0, np.inf, 1], "infinite"),
    "not a number": ([0, np.nan, 1], "NaN"),
    "negative": ([0, -1, 1], "label -1 is no class index"),
    "huge": (np.array([0, 2**64 - 1, 1], np.uint64), "label 18446744073709551615"),
}


@pytest.mark.parametrize("kind", NOT_NUMBERS)
def test_labels_must_be_numbers(kind: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 2)), y=NOT_NUMBERS[kind])
    with pytest.raises(DataError, match="not numbers") as caught:
        load_dataset(tmp_path / "data.npz")
    assert caught.value.where == str(tmp_path / "data.npz")


@pytest.mark.parametrize("kind", BAD_NUMBERS)
def test_labels_must_be_class_indexes(kind: str) -> None:
    labels, words = BAD_NUMBERS[kind]
    with pytest.raises(DataError, match=words):
        make_dataset(np.zeros((3, 2)), labels)


def test_real_numbers_are_targets() -> None:
    for values in ([0.5, 1.0, 2.0], [[0.5], [1.0], [2.0]]):
        data = make_dataset(np.zeros((3, 2)), values)
        assert data.y is None
        assert data.targets is not None
        assert data.targets.tolist() == [0.5, 1.0, 2.0]
    images = make_dataset(np.zeros((3, 2)), np.full((3, 4, 4), 2.0))
    assert images.targets is not None
    assert images.targets.shape == (3, 4, 4)
    both = make_dataset(np.zeros((3, 2)), [0.0, 2.0, 1.0])  # of classes, or of a regression
    assert both.y is not None
    assert both.targets is not None
    assert make_dataset(np.zeros((3, 2)), [-1.0, 2.0, 1.0]).y is None
    assert make_dataset(np.zeros((3, 2)), [0, 2, 1]).targets is None


def test_probabilities_are_labels() -> None:
    soft = make_dataset(np.zeros((2, 3)), [[0.2, 0.8], [0.7001, 0.3]])
    assert soft.y is not None
    assert soft.y.tolist() == [1, 0]


def spoil(path: Path, kind: str) -> None:
    """Write a data set that something has happened to."""
    arrays = {"x": np.arange(4000.0).reshape(4, 1000), "y": np.arange(4)}
    if kind == "flipped byte":
        np.savez_compressed(path, **arrays)
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)
    elif kind == "flipped byte of numbers":
        np.savez(path, **arrays)
        content = bytearray(path.read_bytes())
        content[5000] ^= 0x55
        path.write_bytes(content)
    elif kind == "encrypted":
        np.savez(path, **arrays)
        content = bytearray(path.read_bytes())
        start = content.index(b"PK\x01\x02")
        content[start + 8] |= 1
        content[6] |= 1
        path.write_bytes(content)
    elif kind == "unknown compression":
        np.savez(path, **arrays)
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 10] = 99
        content[8] = 99
        path.write_bytes(content)
    else:
        header, data = HEADERS[kind]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            text = header.encode() + b"\n"
            magic = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
            archive.writestr("x.npy", magic + text + data)


HEADERS = {
    "header is no Python": ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,", b"\0" * 16),
    "header is a program": ("__import__('os').getpid()", b""),
    "huge shape": (
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1073741824, 1048576)}",
        b"\0" * 64,
    ),
    "huge and there": (
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,)}",
        b"\0" * 64,
    ),
    "negative shape": ("{'descr': '<f8', 'fortran_order': False, 'shape': (-2, 4)}", b"\0" * 64),
    "shape of words": ("{'descr': '<f8', 'fortran_order': False, 'shape': ('a',)}", b"\0" * 64),
    "objects": ("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", b"\x80\x04N."),
    "cut off": ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4)}", b"\0" * 63),
    "too long": ("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4)}", b"\0" * 65),
    "not a type": ("{'descr': 'nonsense', 'fortran_order': False, 'shape': (2,)}", b"\0" * 16),
    "no sample": ("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", b"\0" * 8),
}
KINDS = [
    *("flipped byte", "flipped byte of numbers", "encrypted", "unknown compression"),
    *HEADERS,
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_file_is_one_message(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    spoil(path, kind)
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    assert caught.value.where == str(path)


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    """A few kilobytes that unpack to gigabytes are refused by their header."""
    path = tmp_path / "bomb.npz"
    spoil(path, "huge and there")

    def load() -> None:
        with pytest.raises(DataError, match="8,000,000,000 bytes"):
            load_dataset(path)

    assert measure_growth(load) < 100_000_000


def test_no_sample_is_an_error() -> None:
    with pytest.raises(DataError, match="no sample"):
        make_dataset(np.zeros((0, 2)))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_first_samples_are_read_alone(tmp_path: Path, save, order: str) -> None:
    path = tmp_path / "data.npz"
    x = np.arange(60, dtype=np.float32).reshape(10, 3, 2)
    save(path, x=np.asarray(x, order=order), y=np.arange(10) % 4)
    for count in (1, 3, 10, 12):
        data = load_dataset(path, count)
        np.testing.assert_array_equal(data.x, x[:count])
        assert data.y is not None
        np.testing.assert_array_equal(data.y, np.arange(10)[:count] % 4)


def write_claim(path: Path, shape: tuple[int, ...], content: bytes) -> None:
    """An array of that shape whose file ends early, as if it went on for gigabytes."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        head = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
        archive.writestr("x.npy", head + content)


def test_a_file_above_the_limit_gives_its_first_samples(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    rows = np.arange(300, dtype="<f4").reshape(3, 100)
    write_claim(path, (2**24, 100), rows.tobytes())
    with pytest.raises(DataError, match="6,710,886,400 bytes") as caught:
        load_dataset(path)
    assert "--samples" in str(caught.value.remedy)
    assert measure_growth(lambda: load_dataset(path, 3)) < 2**24
    np.testing.assert_array_equal(load_dataset(path, 3).x, rows)
    with pytest.raises(DataError, match="ends after 1,200 of 1,600 bytes"):
        load_dataset(path, 4)
    with pytest.raises(DataError, match=r"at most 1,073,741,824 are read") as caught:
        load_dataset(path, 2**23)
    assert "--samples" not in str(caught.value.remedy)


def test_labels_of_a_part_must_be_as_many(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((5, 2)), y=np.arange(3))
    with pytest.raises(DataError, match="labels have shape"):
        load_dataset(tmp_path / "data.npz")
    for count in (2, 4):
        with pytest.raises(DataError, match="`x` has 5 samples and `y` 3"):
            load_dataset(tmp_path / "data.npz", count)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_large_arrays_may_stay_in_a_file(tmp_path: Path, monkeypatch, write) -> None:
    monkeypatch.setattr(mapped, "LEAST_BYTES", 2**10)
    rows = np.random.default_rng(0).normal(size=(2000, 1000)).astype(np.float32)
    write(tmp_path / "data.npz", x=rows, y=np.arange(2000))
    data = load_dataset(tmp_path / "data.npz", 1500, mapped=True)
    assert data.y is not None
    np.testing.assert_array_equal(data.x, rows[:1500])
    mapped.forget(data.x)
    np.testing.assert_array_equal(data.x[::-1], rows[1499::-1])
    mapped.forget(rows)  # nothing is lost of an array in memory
    assert rows.any()


def test_a_large_array_that_ends_early_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(mapped, "LEAST_BYTES", 2**10)
    path = tmp_path / "data.npz"
    write_claim(path, (3, 1000), bytes(8000))
    with pytest.raises(DataError, match="ends after 8,000 of 12,000 bytes"):
        load_dataset(path, 3, mapped=True)
