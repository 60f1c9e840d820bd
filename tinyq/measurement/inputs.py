"""What a user gives as inputs, as codes of the model's input: real values, or codes already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError
from tinyq.graph import Graph, TensorType, reference
from tinyq.graph.interface import label_ports
from tinyq.numerics.formats import Codes
from tinyq.support.datasets import Dataset

_FEWEST_BITS = 4  # of a format whose ends are rare
_OUTSIDE = 0.05  # of the range: a value this far beyond its end is not there by rounding
_MANY, _NEARLY_ALL = 0.5, 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Codes of the model's input.

    Attributes:
        codes: int32, shape (samples, *input shape).
        notes: What a reader should know about them.
    """

    codes: Codes
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NamedInputs:
    """Codes of all inputs of a model.

    Attributes:
        codes: int32, shape (samples, *input shape), by the names of the inputs, in their order.
        notes: What a reader should know about them.
    """

    codes: Mapping[str, Codes]
    notes: tuple[str, ...]

    @property
    def samples(self) -> int:
        """How many there are of each."""
        return len(next(iter(self.codes.values())))


def encode_inputs(values: npt.ArrayLike, target: TensorType, *, strict: bool = False) -> Inputs:
    """Codes of the graph's input.

    An array of the very integers that the input's format is stored in (int8 for s8, uint8 for u8,
    int16 for s16) holds codes; all others hold real values. Samples of the model's shape with the
    channels first are turned, and a note says so.

    Args:
        values: Shape (samples, *input shape).
        target: Type of the graph's input.
        strict: Refuse values of which nearly all saturate.

    Raises:
        DataError: Shape or type do not fit, a value is not finite, or nearly all saturate.
    """
    array, moved = _channels_last(np.asarray(values), target)
    if _holds_codes(array, target):
        return Inputs(_take_codes(array, target), (*moved, *_describe_codes(array, target)))
    codes = reference.quantize_input(array, target)
    return Inputs(codes, (*moved, *_note_saturation(array, target, strict), *_note_equal(codes)))


def _channels_last(
    array: npt.NDArray[np.generic], target: TensorType
) -> tuple[npt.NDArray[np.generic], tuple[str, ...]]:
    """Images and sequences with channels first, as PyTorch has them, as the model takes them."""
    shape, wanted = array.shape[1:], target.shape
    if len(wanted) not in (2, 3) or shape == wanted or shape != (wanted[-1], *wanted[:-1]):
        return array, ()
    note = f"x has channels first, {shape}; the model takes {wanted}: the axes were changed"
    return np.moveaxis(array, 1, -1), (note,)


def encode_all(data: Dataset, graph: Graph, *, strict: bool = False) -> NamedInputs:
    """Codes of every input of a graph, see `encode_inputs`.

    Raises:
        DataError: An input is missing or one too many, or the samples of one do not fit it.
    """
    labels = label_ports(graph)
    given = data.match_inputs({name: labels[name] for name in graph.inputs})
    codes: dict[str, Codes] = {}
    notes: list[str] = []
    for name, values in given.items():
        alone = len(graph.inputs) == 1
        try:
            found = encode_inputs(values, graph.tensors[name].type, strict=strict)
        except DataError as error:
            if alone:
                raise
            raise DataError(error.message, where=f"input {name!r}", remedy=error.remedy) from None
        codes[name] = found.codes
        notes += found.notes if alone else [f"input {name}: {note}" for note in found.notes]
    return NamedInputs(codes, tuple(notes))


def _holds_codes(array: npt.NDArray[np.generic], target: TensorType) -> bool:
    form = target.format
    return form.bits in (8, 16) and array.dtype == np.dtype(form.c_type.removesuffix("_t"))


def _take_codes(array: npt.NDArray[np.generic], target: TensorType) -> Codes:
    if array.shape[1:] != target.shape:
        raise DataError(
            f"inputs have shape {array.shape[1:]}, the model takes {target.shape}",
            remedy="reshape the data so that one sample has the model's input shape",
        )
    codes = array.astype(np.int32)
    wrong = (codes < target.format.lo) | (codes > target.format.hi)
    if wrong.any():
        raise DataError(
            f"code {codes[wrong][0]} is outside {target.format.lo} .. {target.format.hi}",
            remedy="give real values as floating-point numbers",
        )
    return codes


def _describe_codes(array: npt.NDArray[np.generic], target: TensorType) -> tuple[str, ...]:
    scale, zero_point = target.scale or 1.0, target.zero_point
    if (scale, zero_point) == (1.0, 0):
        return ()  # codes and real values are the same
    return (
        f"x holds {array.dtype}, so it was taken as codes of the input (value = {scale:.7g} * "
        f"(code - {zero_point})); give real values as floating-point numbers",
    )


def _note_saturation(
    array: npt.NDArray[np.generic], target: TensorType, strict: bool
) -> tuple[str, ...]:
    form = target.format
    if form.bits < _FEWEST_BITS:
        return ()
    real = array.astype(np.float32)
    scaled = real / np.float32(target.scale or 1.0) + np.float32(target.zero_point)
    margin = max(1.0, _OUTSIDE * (form.hi - form.lo))
    counted = real != 0  # a black background says nothing
    outside = counted & ((scaled < form.lo - margin) | (scaled > form.hi + margin))
    share = float(outside.sum()) / max(int(counted.sum()), 1)
    if share <= _MANY:
        return ()
    lowest, highest = (
        (target.scale or 1.0) * (code - target.zero_point) for code in (form.lo, form.hi)
    )
    text = (
        f"{share:.0%} of the inputs that are not 0 are outside the range of the model's input, "
        f"{lowest:.4g} .. {highest:.4g}"
    )
    if strict and share >= _NEARLY_ALL:
        raise DataError(
            text,
            remedy=f"scale the data as in training; codes of the input are given as "
            f"{form.c_type.removesuffix('_t')}",
        )
    return (f"{text}: is the data scaled as in training?",)


def _note_equal(codes: Codes) -> tuple[str, ...]:
    if len(codes) > 1 and (codes == codes[:1]).all():
        return ("all samples are equal",)
    return ()
