"""Ranges and steps from data without training: quantization after training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyq.training.attributes import setting
from tinyq.training.inputs import check_inputs
from tinyq.training.tracing import pack, structure


def calibrate(model: keras.Model, x: Any, batch_size: int = 64) -> None:
    """Let the activation quantizers of a quantized model see data; no weight changes.

    BatchNorm uses its moving statistics meanwhile, and dropout is off.

    Args:
        model: Quantized model.
        x: Real inputs, shape (samples, ...); of several inputs a mapping by name, or a list.
        batch_size: Samples per step; the moving averages see one range per step.

    Raises:
        DataError: The inputs do not fit the model.
    """
    values, nesting = check_inputs(x, model), structure(model, "inputs")
    layers = list(model._flatten_layers(include_self=False))
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    drops = [layer for layer in layers if hasattr(layer, "rate")]
    changed: list[tuple[Any, str, Any]] = [(norm, "trainable", False) for norm in norms]
    changed += [(layer, "rate", 0.0) for layer in drops]
    with setting(changed):
        for start in range(0, len(values[0]), batch_size):
            parts = [np.asarray(one[start : start + batch_size], np.float32) for one in values]
            model(pack(parts, nesting), training=True)
