"""Samples, with labels or target values, for a measurement."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError, ModelError
from tinyq.support.limits import DATA_BYTES, check_archive, read_array, reading

_MOST_BYTES = DATA_BYTES // 2  # of one array: its codes take as much again
_SUM_ERROR = 1e-3  # of probabilities, which may have been rounded
_REMEDY = "write it with numpy.savez(path, x=..., y=...), without objects"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples and what the model should say of them.

    Attributes:
        x: Real inputs or codes of the model's input, shape (samples, *input shape).
        y: Class indexes, int64, shape (samples,), or None.
        targets: Real outputs, float64, shape (samples, ...), or None.
        name: Where the data come from, for reports.
    """

    x: npt.NDArray[np.generic]
    y: npt.NDArray[np.int64] | None
    targets: npt.NDArray[np.float64] | None = None
    name: str | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.x)

    def take(self, count: int | None) -> Dataset:
        """The first ``count`` samples; all when None."""
        labels = None if self.y is None else self.y[:count]
        targets = None if self.targets is None else self.targets[:count]
        return Dataset(self.x[:count], labels, targets, self.name)

    def skip(self, count: int) -> Dataset:
        """All but the first ``count`` samples."""
        labels = None if self.y is None else self.y[count:]
        targets = None if self.targets is None else self.targets[count:]
        return Dataset(self.x[count:], labels, targets, self.name)


def load_dataset(path: Path) -> Dataset:
    """Read an .npz file with the arrays ``x`` and, where there are labels or targets, ``y``.

    Raises:
        DataError: The file is missing, damaged or too large, has no ``x``, or ``y`` does not fit.
    """
    try:
        with reading(path, ".npz file", DataError, _REMEDY), zipfile.ZipFile(path) as archive:
            arrays = _read_arrays(archive)
    except ModelError as error:  # of the readers that all files share
        raise DataError(
            f"is not a readable .npz file: {error.message}",
            where=error.where,
            remedy=error.remedy or _REMEDY,
        ) from None
    if "x" not in arrays:
        raise DataError(
            "has no array `x`", where=str(path), remedy="name the inputs x and the labels y"
        )
    return make_dataset(arrays["x"], arrays.get("y"), where=str(path))


def _read_arrays(archive: zipfile.ZipFile) -> dict[str, npt.NDArray[np.generic]]:
    names = {name: f"{name}.npy" for name in ("x", "y")}
    wanted = {key: name for key, name in names.items() if name in archive.namelist()}
    check_archive(archive, sum(member.file_size for member in archive.infolist()))
    arrays = {}
    for key, name in wanted.items():
        with archive.open(name) as stream:
            arrays[key] = read_array(cast(io.BufferedIOBase, stream), _MOST_BYTES)
            if stream.read(1):
                raise ValueError(f"{name} goes on after its last element")
    return arrays


def make_dataset(
    x: npt.ArrayLike, y: npt.ArrayLike | None = None, where: str | None = None
) -> Dataset:
    """Check inputs and what belongs to them; one-hot labels become class indexes.

    ``y`` holds labels where it has whole numbers, one for each input, or rows of probabilities
    (one-hot, or any that add up to 1); it holds targets where it has real numbers. Whole numbers
    of a floating type may be either: both are kept, and the model tells.

    Raises:
        DataError: The lengths differ, there is no sample, or ``y`` holds something else.
    """
    inputs = np.asarray(x)
    if inputs.ndim < 1 or len(inputs) == 0:
        raise DataError("holds no sample", where=where)
    if y is None:
        return Dataset(inputs, None, name=where)
    answers = np.asarray(y)
    _check_answers(answers, len(inputs), where)
    if answers.ndim > 1 and answers[0].size > 1:
        if _are_probabilities(answers):
            return Dataset(inputs, answers.argmax(axis=1), name=where)
        return Dataset(inputs, None, answers.astype(np.float64), where)
    column = answers.reshape(len(answers))
    targets = column.astype(np.float64) if answers.dtype.kind == "f" else None
    if not np.equal(column, np.floor(column)).all():
        return Dataset(inputs, None, targets, where)
    return Dataset(inputs, _make_labels(column, targets is None, where), targets, where)


def _check_answers(answers: npt.NDArray[np.generic], samples: int, where: str | None) -> None:
    if answers.dtype.kind not in "buif":
        raise DataError(
            f"`y` holds {answers.dtype}, not numbers",
            where=where,
            remedy="give the index of each class, such as numpy.unique(y, return_inverse=True)[1]",
        )
    if answers.ndim == 0 or len(answers) != samples or answers[:1].size == 0:
        raise DataError(
            f"labels have shape {answers.shape} for {samples} inputs",
            where=where,
            remedy="give one class index per input",
        )
    if not np.isfinite(answers).all():
        raise DataError("`y` holds NaN or infinite numbers", where=where, remedy="clean the data")


def _are_probabilities(answers: npt.NDArray[np.generic]) -> bool:
    if answers.ndim != 2:
        return False
    rows = answers.astype(np.float64)
    return bool((rows >= 0).all() and (abs(rows.sum(axis=1) - 1) < _SUM_ERROR).all())


def _make_labels(
    column: npt.NDArray[np.generic], must_be: bool, where: str | None
) -> npt.NDArray[np.int64] | None:
    """Class indexes; None where numbers that may be targets are none."""
    wrong = (column < 0) | (column >= 2**31)  # type: ignore[operator]  # kinds are checked
    if not wrong.any():
        return column.astype(np.int64)
    if not must_be:
        return None
    raise DataError(
        f"label {column[wrong][0]} is no class index",
        where=where,
        remedy="number the classes from 0",
    )
