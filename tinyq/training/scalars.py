"""Scalars of a training as TensorBoard reads them; TensorBoard itself need not be installed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.framework.summary_pb2 import Summary
from tensorflow.core.util.event_pb2 import Event

_NAME = "events.out.tfevents"


class Scalars(keras.callbacks.Callback):
    """Callback that writes what Keras knows at the end of each epoch.

    Args:
        folder: Folder that TensorBoard is given.
        before: Epochs that came before those of ``fit``.
    """

    def __init__(self, folder: Path, before: int = 0) -> None:
        super().__init__()
        self._folder, self._before = folder, before
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin a file."""
        del logs
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{_NAME}.{time.time_ns()}"
        self._writer = tf.io.TFRecordWriter(str(path))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """A scalar for each value."""
        values = [
            Summary.Value(tag=f"epoch_{name}", simple_value=float(value))
            for name, value in (logs or {}).items()
        ]
        summary = Summary(value=values)
        self._write(Event(wall_time=time.time(), step=self._before + epoch, summary=summary))

    def on_train_end(self, logs: Any = None) -> None:
        """End the file."""
        del logs
        self._writer.close()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()
