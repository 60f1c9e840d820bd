"""What a training in the course of a search lowers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tinyq.exploration.network import Network
from tinyq.training.objectives import choose_objective

_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Data and loss of a training.

    Attributes:
        x: Inputs.
        wanted: Labels, targets, or what the float model answers.
        loss: Loss of Keras.
    """

    x: npt.NDArray[np.float32]
    wanted: npt.NDArray[Any]
    loss: Any


def choose_task(network: Network, model: keras.Model) -> Task:
    """The calibration data with their labels or targets; else with what the float model answers.

    Args:
        network: Float model and data.
        model: Quantized model that trains.
    """
    data = network.calibration
    x = np.asarray(data.x, np.float32)
    if data.y is not None and data.targets is None and model.output_shape[-1] > 1:
        objective = choose_objective(model, data, "classes")
        return Task(x, objective.pick(data), objective.loss)
    answers = data.targets
    if answers is None:
        answers = network.model.predict(x, batch_size=_BATCH, verbose=0)
    wanted = np.asarray(answers, np.float32).reshape((len(x), *model.output_shape[1:]))
    return Task(x, wanted, keras.losses.MeanSquaredError())
