"""The model that `tinyq.quantize` returns: its `fit` runs the procedures of its methods."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tinyq.training.registry import serializable
from tinyq.training.schedule import MethodSchedule, has_procedure


@serializable
class QuantizedModel(keras.Model):
    """A functional model of quantized layers.

    ``fit`` adds a ``MethodSchedule`` where a method changes in the course of training and no such
    callback is given, so that schedules, freezing, proximal steps, relaxations and prunings need no
    word of the user's. A loop of ``train_on_batch`` calls ``tinyq.training.advance``.
    """

    def fit(self, *args: Any, **options: Any) -> Any:
        """Train; arguments and result are those of ``keras.Model.fit``."""
        given = inspect.signature(keras.Model.fit).bind(self, *args, **options).arguments
        del given["self"]
        if has_procedure(self):
            given["callbacks"] = _with_schedule(given.get("callbacks"))
        return super().fit(**given)


def _with_schedule(callbacks: Any) -> Any:
    """Callbacks with a schedule of the methods, which is told of a batch before the others."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        if not any(isinstance(one, MethodSchedule) for one in callbacks.callbacks):
            callbacks.append(MethodSchedule())
        return callbacks
    listed = list(keras.tree.flatten(callbacks)) if callbacks is not None else []
    if any(isinstance(one, MethodSchedule) for one in listed):
        return callbacks
    return [MethodSchedule(), *listed]
