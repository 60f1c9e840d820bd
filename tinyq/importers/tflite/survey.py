"""All that keeps a .tflite file from being imported, not only the first of it.

The steps are those of `convert`. What is refused is noted, and what it would have computed stands
as a tensor of its type without a value, so that the operators behind it are looked at, too. An
operator that reads what has no integer type, because an operator before it was refused, is left
alone: its error would be that of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph
from tinyq.graph.cutting import WHOLE, Cut
from tinyq.importers.tflite.constants import fold_constants
from tinyq.importers.tflite.convert import (
    begin_conversion,
    convert_operator,
    import_tflite,
    require_integers,
    without_start,
)
from tinyq.importers.tflite.dilations import fold_dilations
from tinyq.importers.tflite.islands import settle_islands
from tinyq.importers.tflite.layer import Conversion, Layer
from tinyq.importers.tflite.lookups import fold_lookups
from tinyq.importers.tflite.reader import FileOperator, read_model
from tinyq.importers.tflite.registry import find_importers
from tinyq.importers.tflite.unsigned import relabel_unsigned
from tinyq.selection import GENERIC, list_rivals

_REMEDY = (
    "convert the model up to this operator, and compute it and what follows in the application; "
    "or build it of others (docs/decisions/0021 lists them)"
)


def survey_tflite(
    path: Path, rounding: str = "half_up", cut: Cut = WHOLE
) -> tuple[Graph | None, list[TinyqError]]:
    """The graph of a file, or everything in it that is refused.

    Args:
        path: The file.
        rounding: As of `import_tflite`.
        cut: As of `import_tflite`.

    Returns:
        The graph and nothing, or None and at least one error, in the file's order; each names its
        operator.

    Raises:
        TinyqError: There is no such rounding rule.
    """
    try:
        return import_tflite(path, rounding, cut), []
    except ModelError as error:
        first = error
    found: list[TinyqError] = []
    try:
        _look_at_all(path, rounding, cut, found.append)
    except TinyqError as error:  # a step that takes the file as a whole
        found.append(error)
    return None, _without_twins(found or [first])


def _without_twins(errors: list[TinyqError]) -> list[TinyqError]:
    seen: dict[tuple[str | None, str], TinyqError] = {}
    for error in errors:
        seen.setdefault((error.where, error.message), error)
    return list(seen.values())


def _look_at_all(path: Path, rounding: str, cut: Cut, note: Callable[[TinyqError], None]) -> None:
    model = relabel_unsigned(read_model(path, cut))
    require_integers(model)
    operators, starts = without_start(model)
    model, operators = fold_constants(model, operators)
    model, operators = fold_dilations(model, operators)
    operators = fold_lookups(model, operators)
    settled = settle_islands(model, operators, note)
    conversion = begin_conversion(settled.model, starts, rounding, "survey")
    left = {index for operator in settled.operators for index in operator.outputs}
    refused = {index for operator in operators for index in operator.outputs} - left
    unknown = {
        index for index in refused - settled.curves.keys() if not _stand_in(conversion, index)
    }
    for operator in settled.operators:
        _look_at(operator, conversion, unknown, note)
    for node in conversion.builder.nodes:
        try:
            list_rivals(conversion.builder.draft(), node, GENERIC)
        except TinyqError as error:
            note(ModelError(error.message, where=f"{path}, {node.name}", remedy=error.remedy))


def _look_at(
    operator: FileOperator,
    conversion: Conversion,
    unknown: set[int],
    note: Callable[[TinyqError], None],
) -> None:
    importer = find_importers().get(operator.name)
    if importer is None:
        place = f"{conversion.model.path}, {operator}"
        note(ModelError("the operator is not supported", where=place, remedy=_REMEDY))
    elif not unknown.intersection(operator.inputs):
        try:
            convert_operator(importer, Layer(operator, conversion))
        except TinyqError as error:
            note(error)
    unknown.update(index for index in operator.outputs if not _stand_in(conversion, index))


def _stand_in(conversion: Conversion, index: int) -> bool:
    """Whether a tensor is known, if need be as one of the type that the file states."""
    tensor = conversion.model.tensors[index]
    if index in conversion.names:
        return True
    try:
        meaning = conversion.type_of(tensor)
    except ModelError:
        return False
    codes = np.broadcast_to(np.int32(0), meaning.shape)
    conversion.names[index] = conversion.builder.constant(
        f"unknown_{index}", codes, meaning.format, meaning.scale, meaning.zero_point
    )
    return True
