"""Labelled samples: what is accepted, and what the messages say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinyq.errors import DataError
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


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not an archive"])
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


@pytest.mark.parametrize("labels", [[0, 1], [0.5, 1, 2], [[0, 1, 0]]])
def test_labels_must_fit_the_inputs(labels: list[float]) -> None:
    with pytest.raises(DataError, match="labels have shape"):
        make_dataset(np.zeros((3, 2)), labels)


def test_no_sample_is_an_error() -> None:
    with pytest.raises(DataError, match="no sample"):
        make_dataset(np.zeros((0, 2)))
