"""The model after some epochs of training with its bits."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tinyq.exploration.network import Network
from tinyq.exploration.proxies.registry import proxy
from tinyq.exploration.space import Assignment, Space
from tinyq.training.objectives import choose_objective

_BATCH = 64
_RATE = 1e-3


@proxy("train", epochs=1)
def train_shortly(
    network: Network, space: Space, assignment: Assignment, epochs: int, seed: int
) -> Any:
    """A few epochs from the float weights; minutes a trial."""
    return train(network, space, assignment, epochs, seed)


@proxy("full", epochs=20)
def train_fully(
    network: Network, space: Space, assignment: Assignment, epochs: int, seed: int
) -> Any:
    """As many epochs as a final model gets."""
    return train(network, space, assignment, epochs, seed)


def train(network: Network, space: Space, assignment: Assignment, epochs: int, seed: int) -> Any:
    """Adam from rate .001 along a cosine to 0, on the calibration data with their answers.

    With labels by cross entropy, with targets by squared difference; without either towards what
    the float model answers.
    """
    keras.utils.set_random_seed(seed)
    model = network.start(space, assignment)
    data = network.calibration
    x = np.asarray(data.x, np.float32)
    steps = epochs * math.ceil(len(x) / _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(_RATE, max(steps, 1))
    if data.y is not None and data.targets is None and model.output_shape[-1] > 1:
        objective = choose_objective(model, data, "classes")
        loss, wanted = objective.loss, objective.pick(data)
    else:
        loss = keras.losses.MeanSquaredError()
        answers = data.targets
        if answers is None:
            answers = network.model.predict(x, batch_size=_BATCH, verbose=0)
        wanted = np.asarray(answers, np.float32).reshape((len(x), *model.output_shape[1:]))
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(x, wanted, batch_size=_BATCH, epochs=epochs, verbose=0)
    return model
