"""The model after some epochs of training with its bits."""

from __future__ import annotations

import math
from typing import Any

import keras

from tinyq.exploration.network import Network
from tinyq.exploration.proxies.registry import proxy
from tinyq.exploration.space import Assignment, Space
from tinyq.exploration.tasks import choose_task

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
    task = choose_task(network, model)
    steps = epochs * math.ceil(len(task.x) / _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(_RATE, max(steps, 1))
    model.compile(keras.optimizers.Adam(rate), task.loss)
    model.fit(task.x, task.wanted, batch_size=_BATCH, epochs=epochs, verbose=0)
    return model
