"""All layers of a float model that have no integer form, not only the first one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph
from tinyq.training.lowering.network import import_keras
from tinyq.training.post_training import PostTraining, post_training
from tinyq.training.rewriting import Application, Rewriting, rewrite
from tinyq.training.unrolling import unroll

_SAMPLES = 2


def list_refusals(model: keras.Model) -> tuple[TinyqError, ...]:
    """What `tinyq.quantize` refuses of a float model, in the model's order.

    Args:
        model: Functional or Sequential float model.
    """
    found: list[TinyqError] = []

    class Surveying(Rewriting):
        """A rewriting that notes what is refused and goes on with an input in its place."""

        def rewrite(self, use: Application) -> Any:
            """Outputs of a use of any layer, by plain layers or by an input of that shape."""
            try:
                return super().rewrite(use)
            except TinyqError as error:
                found.append(error)
                return keras.Input(use.shape)

    try:
        rewrite(unroll(model), Surveying)
    except TinyqError as error:
        found.append(error)
    except ValueError:  # of Keras, about a model that no longer hangs together
        if not found:
            raise
    return tuple({(error.where, error.message): error for error in found}.values())


def quantize_roughly(model: keras.Model) -> Graph:
    """A graph with the sizes of the quantized model, from a few made-up inputs.

    Args:
        model: Float model without refusals.

    Raises:
        ModelError: It has no integer form after all.
    """
    rng, values = np.random.default_rng(0), []
    for tensor in model.inputs:
        shape = tuple(tensor.shape[1:])
        if None in shape:
            raise ModelError(
                f"the input has open axes: {shape}",
                where=tensor.name,
                remedy="build the model with a fixed input shape",
            )
        values.append(rng.random((_SAMPLES, *shape), np.float32))
    options = PostTraining(ranges="min_max", bias_correction=False)
    data = values if len(values) > 1 else values[0]
    return import_keras(post_training(model, data, options))
