"""The model that `tinyq.quantize` returns: its `fit` runs the procedures of its methods."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tinyq.errors import TinyqError
from tinyq.training.overview import describe
from tinyq.training.registry import serializable
from tinyq.training.schedule import MethodSchedule, has_procedure
from tinyq.training.settling import BATCHES, needs_settling, pick, settle, take_inputs

_BATCH_SIZE = 32


@serializable
class QuantizedModel(keras.Model):
    """A functional model of quantized layers.

    ``fit`` adds a ``MethodSchedule`` where a method changes in the course of training and no such
    callback is given, so that schedules, freezing, proximal steps, relaxations and prunings need no
    word of the user's. At its end it settles BatchNorm's averages. A loop of ``train_on_batch``
    calls ``tinyq.training.advance`` and ``tinyq.settle``.
    """

    _compiles_steps = False
    _jit_compile: Any

    def compile(self, *args: Any, jit_compile: Any = "auto", **options: Any) -> None:
        """Prepare for training; arguments are those of ``keras.Model.compile``.

        Args:
            args: Arguments of ``keras.Model.compile``.
            jit_compile: True compiles the steps of training by XLA. Inference never is: a compiler
                that contracts products and sums would round otherwise than the device.
            options: Arguments of ``keras.Model.compile``.
        """
        self._compiles_steps = jit_compile is True
        super().compile(*args, jit_compile=False, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as a saved model was; arguments are those of ``keras.Model.compile``."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force: bool = False) -> Any:
        """The step of training, compiled where ``compile`` was told so."""
        before, self._jit_compile = self._jit_compile, self._compiles_steps
        try:
            return super().make_train_function(force)
        finally:
            self._jit_compile = before

    def train_on_batch(self, *args: Any, **options: Any) -> Any:
        """One step; arguments and result are those of ``keras.Model.train_on_batch``."""
        with _explaining(self._compiles_steps):
            return super().train_on_batch(*args, **options)

    def fit(self, *args: Any, settle: bool = True, **options: Any) -> Any:
        """Train; further arguments and the result are those of ``keras.Model.fit``.

        Args:
            args: Arguments of ``keras.Model.fit``.
            settle: Whether BatchNorm's moving averages are estimated anew at the end, on up to 64
                batches of the training data.
            options: Arguments of ``keras.Model.fit``.
        """
        given = inspect.signature(keras.Model.fit).bind(self, *args, **options).arguments
        del given["self"]
        if has_procedure(self):
            given["callbacks"] = _with_schedule(given.get("callbacks"))
        data = given.get("x")
        if settle and inspect.isgenerator(data):
            data = deque[Any](maxlen=BATCHES)
            given["x"] = _remembering(given["x"], data)
        with _explaining(self._compiles_steps):
            history = super().fit(**given)
        if settle and data is not None and needs_settling(self):
            self._settle(data, given)
        return history

    def summary(self, *args: Any, **options: Any) -> None:
        """Print bits, bytes, work and ranges of each layer; with arguments, what Keras prints.

        Args:
            args: Arguments of ``keras.Model.summary``.
            options: Arguments of ``keras.Model.summary``.
        """
        if args or options:
            super().summary(*args, **options)
            return
        print(describe(self))  # noqa: T201

    def _settle(self, data: Any, given: dict[str, Any]) -> None:
        """Settle on the training part of the data, and say so."""
        share = given.get("validation_split") or 0.0
        if share:
            data = take_inputs(data, len(self.inputs))
            samples = len(keras.tree.flatten(data)[0])
            data = pick(data, slice(int(samples * (1.0 - share))))
        samples = settle(self, data, given.get("batch_size") or _BATCH_SIZE)
        if given.get("verbose", "auto") != 0:
            sys.stdout.write(
                f"BatchNorm's averages settled on {samples:,} samples; fit(..., settle=False) "
                "leaves them as they are\n"
            )


@contextmanager
def _explaining(compiled: bool) -> Iterator[None]:
    """Say which methods no compiler can take.

    Raises:
        TinyqError: A method orders its weights by NumPy, and steps are compiled.
    """
    try:
        yield
    except Exception as error:
        if compiled and "PyFunc" in str(error):
            raise TinyqError(
                "a method of the model orders its weights by NumPy, which XLA cannot compile",
                where="jit_compile",
                remedy="leave jit_compile=True out of compile()",
            ) from None
        raise


def _remembering(batches: Iterator[Any], recent: deque[Any]) -> Iterator[Any]:
    """The same batches; the last ones are kept, for what can be read but once."""
    for batch in batches:
        recent.append(batch)
        yield batch


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
