"""Samples, with labels or target values, for a measurement."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError, ModelError
from tinyq.support.limits import DATA_BYTES, check_archive, read_array, read_header, reading

_MOST_BYTES = DATA_BYTES // 2  # of all inputs: their codes take as much again
_SUM_ERROR = 1e-3  # of probabilities, which may have been rounded
_REMEDY = "write it with numpy.savez(path, x=..., y=...), without objects"


Array = npt.NDArray[np.generic]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the model should say of each sample at one of its outputs.

    Attributes:
        y: Class indexes, int64, shape (samples,), or None.
        targets: Real outputs, float64, shape (samples, ...), or None.
        given: The array that they were made of, or None.
    """

    y: npt.NDArray[np.int64] | None = None
    targets: npt.NDArray[np.float64] | None = None
    given: Array | None = None

    def take(self, count: int | None) -> Answers:
        """Those of the first ``count`` samples; all when None."""
        parts = (None if it is None else it[:count] for it in (self.y, self.targets, self.given))
        return Answers(*parts)  # type: ignore[arg-type]  # in the order of the fields


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Dataset:
    """Samples and what the model should say of them.

    Of a model with one input and one output they are ``x``, ``y`` and ``targets``; of others they
    have the names of the inputs and outputs.

    Attributes:
        inputs: Real inputs or codes, shape (samples, *input shape), by the names of the inputs;
            the one input without a name is ``""``.
        answers: What the outputs should say, by their names; the one without a name is ``""``.
        name: Where the data come from, for reports.
    """

    inputs: Mapping[str, Array]
    answers: Mapping[str, Answers]
    name: str | None

    def __init__(
        self,
        x: Array | Mapping[str, Array],
        y: npt.NDArray[np.int64] | Mapping[str, Answers] | None = None,
        targets: npt.NDArray[np.float64] | None = None,
        name: str | None = None,
    ) -> None:
        """Take samples that are checked already, see `make_dataset`."""
        inputs = x if isinstance(x, Mapping) else {"": x}
        answers = y if isinstance(y, Mapping) else {"": Answers(y, targets)}
        object.__setattr__(self, "inputs", MappingProxyType(dict(inputs)))
        object.__setattr__(self, "answers", MappingProxyType(dict(answers)))
        object.__setattr__(self, "name", name)

    @property
    def x(self) -> Array:
        """The inputs of a model with one input.

        Raises:
            DataError: The data hold several.
        """
        return _only(self.inputs, "x", self.name)

    @property
    def y(self) -> npt.NDArray[np.int64] | None:
        """The class indexes of a model with one output, or None.

        Raises:
            DataError: The data hold answers of several.
        """
        return _only(self.answers, "y", self.name).y if self.answers else None

    @property
    def targets(self) -> npt.NDArray[np.float64] | None:
        """The real outputs of a model with one output, or None.

        Raises:
            DataError: The data hold answers of several.
        """
        return _only(self.answers, "y", self.name).targets if self.answers else None

    def __len__(self) -> int:
        """Number of samples."""
        return len(next(iter(self.inputs.values())))

    def take(self, count: int | None) -> Dataset:
        """The first ``count`` samples; all when None."""
        return Dataset(
            {name: values[:count] for name, values in self.inputs.items()},
            {name: answers.take(count) for name, answers in self.answers.items()},
            name=self.name,
        )

    def match_inputs(self, labels: Mapping[str, str]) -> dict[str, Array]:
        """Inputs by the names of a model's inputs, in its order.

        Args:
            labels: Names of the model's inputs, each with another name that stands for it.

        Raises:
            DataError: One is missing, or there is one that the model does not have.
        """
        found = _match(self.inputs, labels, "x", self.name)
        missing = [name for name in labels if name not in found]
        if missing:
            raise DataError(
                f"input {missing[0]!r} is missing",
                where=self.name,
                remedy=f"name the arrays {_list_keys('x', labels)}",
            )
        return {name: found[name] for name in labels}

    def match_answers(self, labels: Mapping[str, str]) -> dict[str, Answers]:
        """Answers by the names of a model's outputs; outputs without any are left out.

        Args:
            labels: Names of the model's outputs, each with another name that stands for it.

        Raises:
            DataError: There are answers for an output that the model does not have.
        """
        given = {
            name: answers
            for name, answers in self.answers.items()
            if answers.y is not None or answers.targets is not None
        }
        found = _match(given, labels, "y", self.name)
        return {name: found[name] for name in labels if name in found}


def _only(values: Mapping[str, Value], key: str, where: str | None) -> Value:
    if len(values) != 1:
        names = ", ".join(f"{key}_{name}" for name in values)
        raise DataError(
            f"the data hold {names}, and one {key!r} is needed here",
            where=where,
            remedy=f"give data of a model with one {'input' if key == 'x' else 'output'}",
        )
    return next(iter(values.values()))


def _match(
    given: Mapping[str, Value], labels: Mapping[str, str], key: str, where: str | None
) -> dict[str, Value]:
    """Values by the names of a model's inputs or outputs."""
    if [*given] == [""]:
        if len(labels) == 1:
            return {next(iter(labels)): given[""]}
        raise DataError(
            f"`{key}` does not say which of {', '.join(labels)} it is",
            where=where,
            remedy=f"name the arrays {_list_keys(key, labels)}",
        )
    names = {**{label: name for name, label in labels.items()}, **{name: name for name in labels}}
    found: dict[str, Value] = {}
    for name, value in given.items():
        if name not in names:
            raise DataError(
                f"`{key}_{name}` is of none of the model's: {', '.join(labels)}",
                where=where,
                remedy=f"name the arrays {_list_keys(key, labels)}",
            )
        if names[name] in found:
            raise DataError(f"`{key}_{name}` is there under two names", where=where)
        found[names[name]] = value
    return found


def _list_keys(key: str, labels: Mapping[str, str]) -> str:
    if len(labels) == 1:
        return key
    return ", ".join(f"{key}_{label}" for label in labels.values())


def load_dataset(path: Path, samples: int | None = None, mapped: bool = False) -> Dataset:
    """Read an .npz file.

    It holds ``x`` and, where there are labels or targets, ``y``; for a model of several inputs or
    outputs ``x_NAME`` and ``y_NAME`` for each that has any.

    Args:
        path: The file.
        samples: Read the first so many alone: the file may then be larger than the memory.
        mapped: Keep large arrays in a temporary file, for one who reads them part by part.

    Raises:
        DataError: The file is missing, damaged or too large, has no ``x``, or ``y`` does not fit.
    """
    try:
        with reading(path, ".npz file", DataError, _REMEDY), zipfile.ZipFile(path) as archive:
            arrays = _read_arrays(archive, samples, mapped)
    except ModelError as error:  # of the readers that all files share
        raise DataError(
            f"is not a readable .npz file: {error.message}",
            where=error.where,
            remedy=error.remedy or _REMEDY,
        ) from None
    inputs, answers = split_arrays(arrays)
    if not inputs:
        raise DataError(
            "has no array `x`", where=str(path), remedy="name the inputs x and the labels y"
        )
    return make_dataset(inputs, answers or None, where=str(path))


def split_arrays(arrays: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
    """What of arrays named ``x``, ``x_NAME``, ``y`` and ``y_NAME`` is input, and what answer."""
    sides: tuple[dict[str, Value], dict[str, Value]] = ({}, {})
    for name, values in arrays.items():
        for side, key in zip(sides, "xy", strict=True):
            if name == key or (name.startswith(f"{key}_") and len(name) > len("x_")):
                side[name[2:]] = values
    return sides


def _read_arrays(archive: zipfile.ZipFile, samples: int | None, mapped: bool) -> dict[str, Array]:
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    kept = [name for name in names if any(split_arrays({name: name}))]
    check_archive(archive, sum(member.file_size for member in archive.infolist()))
    arrays: dict[str, Array] = {}
    left = dict.fromkeys("xy", _MOST_BYTES)
    if samples is not None:
        _check_lengths(archive, kept)
    for key in kept:
        with archive.open(f"{key}.npy") as stream:
            source = cast(io.BufferedIOBase, stream)
            arrays[key] = _read_array(source, left[key[0]], samples, mapped)
            left[key[0]] -= arrays[key].nbytes
            if samples is None and stream.read(1):
                raise ValueError(f"{key}.npy goes on after its last element")
    return arrays


def _check_lengths(archive: zipfile.ZipFile, keys: list[str]) -> None:
    """Check that all arrays have as many samples, also where only the first are read."""
    lengths = {}
    for key in keys:
        with archive.open(f"{key}.npy") as stream:
            shape, _, _ = read_header(cast(io.BufferedIOBase, stream))
        lengths[key] = shape[0] if shape else None
    for key, length in lengths.items():
        if length != lengths[keys[0]]:
            raise DataError(
                f"`{keys[0]}` has {lengths[keys[0]]} samples and `{key}` {length}",
                remedy="give one label or target for each input",
            )


def _read_array(stream: io.BufferedIOBase, most: int, samples: int | None, mapped: bool) -> Array:
    try:
        return read_array(stream, most, samples, mapped)
    except ModelError as error:
        if samples is None and error.remedy is None and "bytes, at most" in error.message:
            error.remedy = "read the first samples alone: --samples N"
        raise


def make_dataset(
    x: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    y: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    where: str | None = None,
) -> Dataset:
    """Check inputs and what belongs to them; one-hot labels become class indexes.

    ``y`` holds labels where it has whole numbers, one for each input, or rows of probabilities
    (one-hot, or any that add up to 1); it holds targets where it has real numbers. Whole numbers
    of a floating type may be either: both are kept, and the model tells.

    Args:
        x: Inputs, or inputs by the names of the model's inputs.
        y: Labels or targets, by the names of the model's outputs where there are several.
        where: Where they come from, for messages and reports.

    Raises:
        DataError: The lengths differ, there is no sample, or ``y`` holds something else.
    """
    named = x if isinstance(x, Mapping) else {"": x}
    inputs = {name: np.asarray(values) for name, values in named.items()}
    if not inputs:
        raise DataError("holds no inputs", where=where)
    if len(inputs) > 1 and "" in inputs:
        raise DataError(
            "`x` stands beside named inputs", where=where, remedy="name it x_NAME as the others"
        )
    for array in inputs.values():
        if array.ndim < 1 or len(array) == 0:
            raise DataError("holds no sample", where=where)
    samples = len(next(iter(inputs.values())))
    for name, array in inputs.items():
        if len(array) != samples:
            raise DataError(
                f"`x_{name}` holds {len(array)} samples, `x_{next(iter(inputs))}` {samples}",
                where=where,
                remedy="give as many samples of each input",
            )
    if y is None:
        return Dataset(inputs, {}, name=where)
    answers = y if isinstance(y, Mapping) else {"": y}
    if len(answers) > 1 and "" in answers:
        raise DataError(
            "`y` stands beside named answers", where=where, remedy="name it y_NAME as the others"
        )
    made = {name: make_answers(values, samples, where) for name, values in answers.items()}
    return Dataset(inputs, made, name=where)


def make_answers(y: npt.ArrayLike, samples: int, where: str | None = None) -> Answers:
    """Labels or targets of one output, see `make_dataset`.

    Raises:
        DataError: They are none, or there are not as many as samples.
    """
    answers = np.asarray(y)
    _check_answers(answers, samples, where)
    if answers.ndim > 1 and answers[0].size > 1:
        if _are_probabilities(answers):
            return Answers(np.asarray(answers.argmax(axis=1), np.int64), None, answers)
        return Answers(None, answers.astype(np.float64), answers)
    column = answers.reshape(len(answers))
    targets = column.astype(np.float64) if answers.dtype.kind == "f" else None
    if not np.equal(column, np.floor(column)).all():
        return Answers(None, targets, answers)
    return Answers(_make_labels(column, targets is None, where), targets, answers)


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
