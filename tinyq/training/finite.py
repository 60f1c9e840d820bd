"""Checks the weights of a model."""

from __future__ import annotations

import keras
import numpy as np

from tinyq.errors import ModelError


def require_finite(model: keras.Model) -> None:
    """Check the weights of all layers.

    Raises:
        ModelError: One is NaN or infinite; the message names layer and variable.
    """
    for layer in model._flatten_layers(include_self=False):
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            values = keras.ops.convert_to_numpy(variable.value)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ModelError(
                    f"weight {variable.name!r} is NaN or infinite",
                    where=layer.name,
                    remedy="train again with a smaller learning rate",
                )
