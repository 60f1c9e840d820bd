"""Objectives: the loss and the score that labels and the model's output ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from tinyq.errors import DataError
from tinyq.support.datasets import Dataset
from tinyq.training.tracing import walk

AUTO = "auto"
_PROBABILITIES = ("QuantizedSoftmax", "Softmax")


@dataclass(frozen=True, slots=True)
class Objective:
    """What training lowers.

    Attributes:
        name: Key of ``OBJECTIVES``.
        loss: Loss of Keras.
        metrics: Metrics of Keras in training; the first one is the score's.
        answers: Index of a class from outputs, or None where there are no classes.
    """

    name: str
    loss: Any
    metrics: tuple[str, ...] = ()
    answers: Callable[[np.ndarray], np.ndarray] | None = None

    def weighted(self, factor: float) -> Callable[[Any, Any], Any]:
        """The loss times a factor."""
        return lambda wanted, outputs: factor * self.loss(wanted, outputs)

    def pick(self, data: Dataset) -> np.ndarray:
        """Labels or targets, as the loss wants them.

        Raises:
            DataError: There are none.
        """
        found = data.y if self.answers is not None else data.targets
        if found is None:
            raise DataError(
                f"training for {self.name} needs {'labels' if self.answers else 'targets'}",
                where=data.name,
                remedy="add the array y",
            )
        return found.astype(np.int32 if self.answers is not None else np.float32)


def _classify(from_logits: bool) -> Objective:
    return Objective(
        "classes",
        keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits),
        ("sparse_categorical_accuracy",),
        lambda outputs: outputs.reshape(len(outputs), -1).argmax(axis=-1),
    )


def _decide(from_logits: bool) -> Objective:
    border = 0.0 if from_logits else 0.5
    return Objective(
        "binary",
        keras.losses.BinaryCrossentropy(from_logits=from_logits),
        (),
        lambda outputs: (outputs.reshape(len(outputs)) > border).astype(np.int64),
    )


OBJECTIVES: Mapping[str, Callable[[bool], Objective]] = MappingProxyType(
    {
        "classes": _classify,
        "binary": _decide,
        "values": lambda from_logits: Objective("values", keras.losses.MeanSquaredError()),
    }
)


def choose_objective(model: keras.Model, data: Dataset, name: str = AUTO) -> Objective:
    """The objective of a name, or the one that the data and the model's output ask for.

    Labels of a model with one output are yes or no, of one with several they are classes; targets
    are values. An output of a softmax or sigmoid is a probability, any other a logit.

    Raises:
        DataError: There are neither labels nor targets, or a label has no output.
    """
    last = walk(model)[-1]
    width = int(np.prod(model.outputs[0].shape[1:]))
    if name == AUTO:
        if data.y is None and data.targets is None:
            raise DataError("training needs labels", where=data.name, remedy="add the array y")
        name = "values" if data.y is None else "binary" if width == 1 else "classes"
    sigmoid = getattr(last.layer, "function", "") == "sigmoid"
    logits = type(last.layer).__name__ not in _PROBABILITIES and not sigmoid
    objective = OBJECTIVES[name](logits)
    outputs = {"classes": width, "binary": 2}.get(name)
    if outputs is not None and data.y is not None and int(data.y.max()) >= outputs:
        raise DataError(
            f"there is a label {int(data.y.max())}, and the model tells {outputs} classes",
            where=data.name,
            remedy="give labels from 0 on, one for each output",
        )
    return objective
