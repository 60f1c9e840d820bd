"""What a Python program may pass: paths as text, models in memory, arrays, results of before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from tinyq.errors import BoardError, DataError, TinyqError
from tinyq.hardware.boards import Board, find_board
from tinyq.project import Project, open_project
from tinyq.support.datasets import Dataset, load_dataset, make_dataset, split_arrays

Progress = Callable[[int, int], None]
"""Is called with what is done and with all there is to do."""

Show = Callable[[str], AbstractContextManager[Progress]]
"""Opens a progress bar with a title."""

PathLike = str | os.PathLike[str]

Names = Iterable[str] | str | None
"""Names of tensors: a list, or a text with commas between them."""

_PAIR = 2


def as_path(path: PathLike) -> Path:
    """A path, from text too."""
    return Path(os.fspath(path))


def is_path(value: object) -> bool:
    """Whether a value names a file or a folder."""
    return isinstance(value, str | os.PathLike)


def is_keras_model(value: object) -> bool:
    """Whether a value is a model of Keras 3, told without loading Keras."""
    names = [cls.__module__.partition(".")[0] for cls in type(value).__mro__]
    return "keras" in names and hasattr(value, "layers")


def as_board(board: str | Board) -> Board:
    """A board by its name.

    Raises:
        BoardError: There is no board of that name.
    """
    if isinstance(board, Board):
        return board
    if not isinstance(board, str):
        raise BoardError(
            f"a board is a name, not {type(board).__name__}", remedy="take one of tinyq.boards()"
        )
    return find_board(board)


def as_project(folder: object) -> Project:
    """A build folder, by its path or by what `tinyq.build` gave; read anew.

    Raises:
        TinyqError: It is not a build folder.
    """
    place = getattr(folder, "folder", folder)
    if not isinstance(place, str | os.PathLike):
        raise TinyqError(
            f"a build folder is a path, not {type(folder).__name__}",
            remedy="give what tinyq.build returned, or its folder",
        )
    return open_project(as_path(place))


def as_dataset(data: Any, samples: int | None = None, mapped: bool = False) -> Dataset:
    """Samples: an .npz file, a pair of inputs and labels, a mapping of them, or inputs alone.

    Inputs and answers of a model that has several are mappings by their names, or a mapping of all
    with ``x_NAME`` and ``y_NAME``.

    Args:
        data: Path; `Dataset`; tuple (x, y); mapping with x and y, or of inputs; array.
        samples: The first so many, without reading the rest of a file; all when None.
        mapped: Whether large arrays of a file stay in one, for one who reads them part by part.

    Raises:
        DataError: They cannot be used.
    """
    if is_path(data):
        return load_dataset(as_path(data), samples, mapped)
    return _as_dataset(data).take(samples)


def _as_dataset(data: Any) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, Mapping):
        inputs, answers = split_arrays(data)
        if "x" in data or (inputs and len(inputs) + len(answers) == len(data)):
            return make_dataset(_as_arrays(inputs), _as_arrays(answers) or None)
    if isinstance(data, tuple) and len(data) == _PAIR:
        return make_dataset(_as_arrays(data[0]), None if data[1] is None else _as_arrays(data[1]))
    return make_dataset(_as_arrays(data))


def _as_arrays(values: Any) -> Any:
    """An array, or arrays by name."""
    if isinstance(values, Mapping):
        return {str(name): _as_array(array) for name, array in values.items() if array is not None}
    return _as_array(values)


def _as_array(values: Any) -> Any:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.dtype.kind == "O":
        raise DataError(
            f"{type(values).__name__} holds no array of numbers",
            remedy="give the path of an .npz file, inputs as an array, or a pair (x, y)",
        )
    return array
