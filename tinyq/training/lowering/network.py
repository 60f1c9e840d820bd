"""Keras models as integer graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph
from tinyq.graph.cutting import WHOLE, Cut, cut_graph
from tinyq.graph.interface import own_outputs
from tinyq.graph.passes import simplify
from tinyq.graph.passes.rewrite import name_outputs
from tinyq.support.keras_config import check_keras_file, limit_weights
from tinyq.support.limits import describe
from tinyq.training.finite import require_finite
from tinyq.training.lowering.emission import Lowering, Value, identifier, identifiers
from tinyq.training.registry import (
    find_lowerings,
    find_quantizations,
    find_refusals,
    find_rewriters,
    is_preserving,
    kind_of,
    load_layers,
)
from tinyq.training.schedule import warn_of_unfinished
from tinyq.training.sign_layers import CLASSES
from tinyq.training.tracing import Step, names_of, walk

INPUT = "InputLayer"


def import_keras(
    model: keras.Model | str | Path, name: str | None = None, cut: Cut = WHOLE
) -> Graph:
    """The integer graph that a quantized Keras model computes in inference, simplified.

    A method whose procedure is not finished brings a ``TinyqWarning``.

    Args:
        model: Model from ``tinyq.quantize``, or the path of its ``.keras`` file.
        name: Name of the graph; that of the file or the model where left out.
        cut: Between which layers' outputs the part lies that is taken.

    Raises:
        ModelError: A layer is not supported, not quantized or not trained, a weight is not finite,
            or the file is damaged.
    """
    if isinstance(model, str | Path):
        name = name or Path(model).stem
        model = load_keras(Path(model))
    graph = cut_graph(lower_keras(model, name), cut)
    if not cut.outputs:
        graph = name_outputs(graph, _label_outputs(model))
    warn_of_unfinished(model)
    return simplify(graph)


def lower_keras(model: keras.Model | str | Path, name: str | None = None) -> Graph:
    """The integer graph before any pass: one tensor, called after its layer, for every layer.

    Arguments and errors are those of ``import_keras``.
    """
    if isinstance(model, str | Path):
        name = name or Path(model).stem
        model = load_keras(Path(model))
    steps = walk(model)
    names = identifiers(steps)
    lowering = Lowering(identifier(name or model.name), names, len(model.inputs) == 1)
    for step in steps:
        _require_convertible(step)
    require_finite(model)
    values: dict[str, Value] = {}
    for step in _inputs_first(steps, model):
        if kind_of(step.layer) == INPUT:
            values[step.name] = Value(step.name)
            continue
        inputs = tuple(values[source] for source in step.inputs)
        values[step.name] = _convert(lowering, step, inputs)
    outputs = [values[end].name for end in names_of(model.outputs)]
    return lowering.graph.build(*own_outputs(lowering.graph, outputs))


def _inputs_first(steps: tuple[Step, ...], model: keras.Model) -> list[Step]:
    """Steps with those that quantize the inputs at the front, in the order of the inputs.

    Raises:
        ModelError: An input is read by no layer, or by one that does not quantize it.
    """
    readers: dict[str, Step] = {}
    for step in steps:
        for source in step.inputs:
            readers.setdefault(source, step)
    quantized = []
    for name in names_of(model.inputs):
        if len(model.inputs) > 1 and name not in readers:
            raise ModelError(
                "no layer reads this input", where=name, remedy="build the model without it"
            )
        quantized += [readers[name]] if name in readers else []
    starts = [step for step in steps if kind_of(step.layer) == INPUT]
    front = [*starts, *quantized]
    return [*front, *(step for step in steps if step not in front)]


def _label_outputs(model: keras.Model) -> list[str]:
    """The keys of a model whose outputs are a dictionary, as data and losses name them."""
    struct = getattr(model, "_outputs_struct", None)
    if not isinstance(struct, dict) or len(model.outputs) == 1:
        return [""] * len(model.outputs)
    ends = [path[-1] for path, _ in keras.tree.flatten_with_path(struct)]
    return [identifier(end) if isinstance(end, str) else "" for end in ends]


def load_keras(path: str | Path) -> keras.Model:
    """Read a ``.keras`` file.

    Raises:
        ModelError: The file is missing, damaged, or holds something unknown.
    """
    path = Path(path)
    stored = check_keras_file(path)
    try:
        load_layers()
        with (
            limit_weights(keras.Layer, stored, path),
            keras.saving.custom_object_scope(dict(CLASSES)),
        ):
            return keras.saving.load_model(path, compile=False)
    except TinyqError:
        raise
    except Exception as error:  # Keras and TensorFlow raise whatever a layer's constructor raises
        if (own := _find_own(error)) is not None:
            raise ModelError(own.message, where=str(path), remedy=own.remedy) from None
        raise ModelError(
            f"Keras cannot load the model: {describe(error)}",
            where=str(path),
            remedy="save the model again with model.save(...)",
        ) from None


def _find_own(error: BaseException | None) -> TinyqError | None:
    """The error of tinyq behind one of Keras, which shows the classes it was in the middle of."""
    while error is not None:
        if isinstance(error, TinyqError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _convert(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    try:
        return find_lowerings()[kind_of(step.layer)].convert(lowering, step, inputs)
    except ModelError as error:
        if error.where == step.name:
            raise
        raise ModelError(error.message, where=step.name, remedy=error.remedy) from None


def _require_convertible(step: Step) -> None:
    layer: Any = step.layer
    kind = kind_of(layer)
    if kind == INPUT or hasattr(layer, "encoding") or is_preserving(layer):
        if not getattr(layer, "ready", lambda: True)():
            raise ModelError(
                "the range of the output is not known: the layer has seen no data",
                where=step.name,
                remedy="train the model with fit, or call tinyq.training.calibrate",
            )
        return
    if kind in find_quantizations() or kind in find_rewriters():
        raise ModelError(
            f"the {kind} layer is not quantized",
            where=step.name,
            remedy="quantize the model with tinyq.quantize first",
        )
    raise ModelError(
        f"layers of class {kind} are not supported",
        where=step.name,
        remedy=find_refusals().get(kind, "build the model from layers that tinyq.quantize takes"),
    )
