"""One number of bits for all layers, and as many channels as the bits of the weights allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tinyq.errors import TinyqError
from tinyq.exploration.gates import count_bits
from tinyq.support.datasets import Dataset
from tinyq.training.course import Course, train
from tinyq.training.objectives import choose_objective
from tinyq.training.quantize import quantize
from tinyq.training.recipe import Recipe
from tinyq.training.structures import widen
from tinyq.training.weighted import WeightedLayer


@dataclass(frozen=True, slots=True, eq=False)
class Width:
    """A network of one number of bits.

    Attributes:
        method: Method of all weights.
        factor: Channels in parts of the model's.
        weight_bits: Bits of all weights.
        score: Of the validation data, by the deployed integers; higher is better.
        model: The trained quantized model.
    """

    method: str
    factor: float
    weight_bits: int
    score: float | None
    model: keras.Model


def compare_widths(
    model: keras.Model,
    methods: Sequence[str],
    data: Dataset,
    validation: Dataset,
    course: Course | None = None,
) -> tuple[Width, ...]:
    """Train a network for each method with so many channels that all have as many bits of weights.

        r = sqrt(k_0 / k),  k_0 the bits of the first method

    Each is trained in floating point from new weights first, the one of factor 1 too.

    Args:
        model: Float model, whose form is taken.
        methods: Methods of weights, the first one for the model's own channels.
        data: Inputs with labels or targets.
        validation: The same that judges.
        course: Of both trainings.

    Returns:
        What became of each method, best score first.

    Raises:
        TinyqError: There is no method.

    Reference: Chin et al. 2020, arXiv:2008.09916, section 3.
    """
    if not methods:
        raise TinyqError("there is no method", where="methods", remedy="give such as int8 and int4")
    course, base = course or Course(), count_bits(methods[0])
    found = []
    for method in methods:
        factor = float(np.sqrt(base / count_bits(method)))
        keras.utils.set_random_seed(course.seed)
        wide = widen(model, factor)
        _train_float(wide, data, course)
        ends = {"weights": method, "activations": "int8"}
        recipe = {"weights": method, "first": ends, "last": ends}
        outcome = train(wide, recipe, data, validation, course)
        bits = count_weight_bits(outcome.model)
        found.append(Width(method, factor, bits, outcome.best.score, outcome.model))
    return tuple(sorted(found, key=lambda it: -(it.score or 0.0)))


def count_weight_bits(model: keras.Model) -> int:
    """Bits of all weights of a quantized model."""
    layers = [layer for layer in model.layers if isinstance(layer, WeightedLayer)]
    return sum(layer.weight_format().bits * int(np.prod(layer.kernel.shape)) for layer in layers)


def _train_float(model: keras.Model, data: Dataset, course: Course) -> None:
    (phase,) = course.list_phases(Recipe())
    objective = choose_objective(quantize(model, Recipe()), data, course.objective)
    model.compile(keras.optimizers.Adam(phase.rate), objective.loss)
    model.fit(
        np.asarray(data.x, np.float32),
        objective.pick(data),
        batch_size=course.batch_size,
        epochs=phase.epochs,
        verbose=0,
    )
