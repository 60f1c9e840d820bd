"""Labelled samples for a measurement."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples and labels.

    Attributes:
        x: Real inputs, shape (samples, *input shape).
        y: Class indexes, int64, shape (samples,), or None.
    """

    x: npt.NDArray[np.generic]
    y: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.x)

    def take(self, count: int | None) -> Dataset:
        """The first ``count`` samples; all when None."""
        return Dataset(self.x[:count], None if self.y is None else self.y[:count])


def load_dataset(path: Path) -> Dataset:
    """Read an .npz file with the arrays ``x`` and, where there are labels, ``y``.

    Raises:
        DataError: The file is missing or damaged, has no ``x``, or the lengths differ.
    """
    try:
        content = io.BytesIO(path.read_bytes())
        with np.load(content, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("x", "y") if name in archive}
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path)) from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"is not a readable .npz file ({error})",
            where=str(path),
            remedy="write it with numpy.savez(path, x=..., y=...), without objects",
        ) from None
    if "x" not in arrays:
        raise DataError(
            "has no array `x`", where=str(path), remedy="name the inputs x and the labels y"
        )
    return make_dataset(arrays["x"], arrays.get("y"), where=str(path))


def make_dataset(
    x: npt.ArrayLike, y: npt.ArrayLike | None = None, where: str | None = None
) -> Dataset:
    """Check inputs and labels; one-hot labels become class indexes.

    Raises:
        DataError: The lengths differ, there is no sample, or a label is no class index.
    """
    inputs = np.asarray(x)
    if inputs.ndim < 1 or len(inputs) == 0:
        raise DataError("holds no sample", where=where)
    if y is None:
        return Dataset(inputs, None)
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    labels = labels.reshape(len(labels), -1)
    if labels.shape != (len(inputs), 1) or not np.equal(labels, np.floor(labels)).all():
        raise DataError(
            f"labels have shape {np.shape(y)} for {len(inputs)} inputs",
            where=where,
            remedy="give one class index per input",
        )
    return Dataset(inputs, labels[:, 0].astype(np.int64))
