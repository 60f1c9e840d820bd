"""Everything in a model file that is refused, of each kind of file as much as can be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.graph.cutting import WHOLE, Cut

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What became of a model.

    Attributes:
        graph: The integer graph, or one of the same sizes where the model is float; None where
            something is refused.
        refusals: What is refused, in the model's order.
        is_float: Whether the model must be quantized before it is built.
    """

    graph: Graph | None
    refusals: tuple[TinyqError, ...]
    is_float: bool = False


def survey_file(
    path: Path,
    rounding: str,
    load: Callable[[Path], Graph],
    trust: bool = False,
    cut: Cut = WHOLE,
) -> Survey:
    """What is refused of a model file.

    Args:
        path: The file, or the folder of a SavedModel.
        rounding: ``half_up`` or ``tflite``.
        load: Reads an integer model of any kind, or raises.
        trust: Whether a SavedModel is loaded although it is a program.
        cut: The part that is looked at, which ``load`` reads, too.
    """
    special = _SURVEYS.get(path.suffix.lower())
    if special is not None and path.is_file():
        found = special(path, rounding, cut)
        if found is not None:
            return found
    try:
        return Survey(load(path), ())
    except TinyqError as error:
        if path.suffix.lower() in _KERAS and path.is_file():
            return _survey_float_file(path, error, trust)
        return Survey(None, (error,))


def survey_keras(model: keras.Model) -> Survey:
    """What `tinyq quantize` would refuse of a float Keras model, and integers of the same sizes.

    Its ranges are those of made-up inputs: they change no size.
    """
    from tinyq.training.survey import list_refusals, quantize_roughly

    refusals = list_refusals(model)
    if refusals:
        return Survey(None, refusals, is_float=True)
    try:
        return Survey(quantize_roughly(model), (), is_float=True)
    except TinyqError as error:
        return Survey(None, (error,), is_float=True)


def _survey_tflite(path: Path, rounding: str, cut: Cut) -> Survey | None:
    from tinyq.graph.passes import simplify
    from tinyq.importers.tflite.convert import computes_floats
    from tinyq.importers.tflite.reader import read_model
    from tinyq.importers.tflite.survey import survey_tflite

    graph, refusals = survey_tflite(path, rounding, cut)
    if graph is not None:
        return Survey(simplify(graph), ())
    try:
        is_float = computes_floats(read_model(path, cut))
    except TinyqError:
        is_float = False
    if is_float:
        return _survey_float_file(path, refusals[0], trust=False)
    return Survey(None, tuple(refusals))


def _survey_float_file(path: Path, first: TinyqError, trust: bool) -> Survey:
    """A float model by what `tinyq quantize` would say; else what was said of it first."""
    from tinyq.importers.float_models import load_float_model

    try:
        model = load_float_model(path, trust)
    except TinyqError as error:
        return Survey(None, (error,), is_float=True)
    found = survey_keras(model)
    already = "quantized already"
    if any(already in refusal.message for refusal in found.refusals):
        return Survey(None, (first,))
    return found


_KERAS = (".keras", ".h5", ".hdf5")
_SURVEYS: Mapping[str, Callable[[Path, str, Cut], Survey | None]] = MappingProxyType(
    {".tflite": _survey_tflite}
)
