"""One kernel trained at several widths: each is a model of its own on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import TinyqError
from tinyq.support.datasets import Dataset
from tinyq.training.attributes import setting
from tinyq.training.course import Course
from tinyq.training.objectives import choose_objective
from tinyq.training.quantize import quantize
from tinyq.training.recipe import Recipe
from tinyq.training.schedule import has_procedure
from tinyq.training.settling import settle
from tinyq.training.weighted import WeightedLayer


class _Joint(keras.Model):
    """Quantized models whose kernels are those of the first.

    The loss is the sum of theirs; each has BatchNorms, biases and ranges of its own.
    """

    def __init__(self, models: Sequence[keras.Model], objective: Any) -> None:
        super().__init__(name="joint", dtype="float32")
        self.models = list(models)
        self.objective = objective
        self.built = True

    @property
    def trainable_weights(self) -> list[Any]:
        """Those of all models, but the kernels of the first alone."""
        shared = {id(layer.kernel) for model in self.models[1:] for layer in _weighted(model)}
        listed = [weight for model in self.models for weight in model.trainable_weights]
        return [weight for weight in listed if id(weight) not in shared]

    trainable_variables = trainable_weights

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Outputs of the first model; in training those of the others become losses."""
        first, *self._others = (model(inputs, training=training) for model in self.models)
        return first

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Sum of the losses of all models."""
        total = super().compute_loss(x, y, y_pred, sample_weight, training)
        return total + sum(self.objective(y, ops.cast(out, "float32")) for out in self._others)


def train_jointly(
    model: keras.Model,
    recipes: Sequence[Recipe | Mapping[str, Any]],
    data: Dataset,
    course: Course | None = None,
) -> tuple[keras.Model, ...]:
    """Train the kernels of one float model for several recipes at once.

        L = sum over recipes of the loss of their model, all of which quantize the same kernels

    Args:
        model: Float model; it is left as it is.
        recipes: Such as ``{"weights": "adabits6"}`` and ``{"weights": "adabits4"}``, the widest
            first; their methods change nothing in the course of training.
        data: Inputs with labels or targets.
        course: Epochs, rate, batch, objective, seed; the rate falls to 0 along a cosine.

    Returns:
        A quantized model for each recipe, with the same kernels.

    Raises:
        DataError: There are neither labels nor targets.
        TinyqError: A method has a schedule, or there is but one recipe.

    Reference: Jin et al. 2020, arXiv:1912.09666, section 3.4.
    """
    course = course or Course()
    (phase,) = course.list_phases(Recipe())
    if len(recipes) < 2:  # noqa: PLR2004
        raise TinyqError(
            "one recipe has nothing to train jointly with",
            where="train_jointly",
            remedy="give two or more, or use tinyq.train",
        )
    models = [quantize(model, recipe) for recipe in recipes]
    for place, one in enumerate(models):
        if has_procedure(one):
            raise TinyqError(
                "a method of the recipe changes in the course of training",
                where=f"recipes[{place}]",
                remedy="take methods without phases, such as adabits4 or lsq4",
            )
    keras.utils.set_random_seed(course.seed)
    objective = choose_objective(models[0], data, course.objective)
    joint = _Joint(models, objective.loss)
    steps = phase.epochs * -(-len(data) // course.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(phase.rate, steps)
    joint.compile(keras.optimizers.Adam(schedule), loss=objective.loss)
    x, y = np.asarray(data.x, np.float32), objective.pick(data)
    with setting(list(_share(models))):
        joint.fit(x, y, batch_size=course.batch_size, epochs=phase.epochs, verbose=0)
    for one in models:
        for layer, first in zip(_weighted(one), _weighted(models[0]), strict=True):
            layer.kernel.assign(first.kernel)
        settle(one, x, course.batch_size)
    return tuple(models)


def _weighted(model: keras.Model) -> list[WeightedLayer]:
    return [layer for layer in model.layers if isinstance(layer, WeightedLayer)]


def _share(models: Sequence[keras.Model]) -> list[tuple[Any, str, Any]]:
    """What makes the layers of all but the first model compute with the kernels of the first."""

    def borrow(layer: WeightedLayer, owner: WeightedLayer) -> Any:
        return lambda: layer.weight_quantizer(owner.kernel)

    return [
        (layer, "rounding", borrow(layer, owner))
        for model in models[1:]
        for layer, owner in zip(_weighted(model), _weighted(models[0]), strict=True)
    ]
