"""The importance of a layer by the steps that training finds for it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyq.errors import TinyqError
from tinyq.exploration.network import Network
from tinyq.exploration.sensitivities.gradients import add_activations
from tinyq.exploration.sensitivities.registry import empty_losses, sensitivity
from tinyq.exploration.table import Losses, Survey
from tinyq.quantizers import find_weights
from tinyq.training.course import Course
from tinyq.training.joint import train_jointly

_EPOCHS, _RATE = 2, 1e-3


@sensitivity("steps")
def measure_steps(network: Network, found: Survey, seed: int) -> Losses:
    """The trained step of each layer's weights and width, as one training of all widths gives it.

    loss[l, c] = s_l,c: the more important a layer, the larger the step that training gives it

    All widths share their kernels, and every layer has a step for each of them. Weights whose
    method trains no step cost nothing, such as those of the base.

    Raises:
        TinyqError: No pair has weights with a trained step.

    Reference: Tang et al. 2022, Mixed-precision neural network quantization via learned layer-wise
    importance, section 3.2 and 3.3.
    """
    methods = sorted(
        {
            pair.weights
            for pairs in found.space.layers.values()
            for pair in pairs
            if find_weights(pair.weights).learned is not None
        }
    )
    if not methods:
        raise TinyqError(
            "no method of the space trains a step",
            where="--sensitivity steps",
            remedy="give a --space with lsq4, lsq3 or lsq2 for the weights",
        )
    said: dict[str, Any] = {"activations": "int8", "first": None, "last": None}
    said["input"] = {"range": [float(end) for end in network.input_range]}
    recipes = [{**said, "weights": name} for name in ("int8", *methods)]
    course = Course(_EPOCHS, _RATE, seed=seed)
    models = train_jointly(network.model, recipes, network.calibration, course)
    by_method = dict(zip(methods, models[1:], strict=True))
    losses = empty_losses(found)
    for layer, (name, pairs) in enumerate(found.space.layers.items()):
        for place, pair in enumerate(pairs):
            if pair.weights in by_method and place:
                quantizer = by_method[pair.weights].get_layer(name).weight_quantizer
                step = keras.ops.convert_to_numpy(quantizer.unit.value())
                losses[layer, place] = float(np.mean(step))
    return add_activations(network, found, losses)
