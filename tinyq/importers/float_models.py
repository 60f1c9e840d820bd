"""Float Keras models from files of all kinds that Keras or tf_keras writes."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras

from tinyq.errors import ModelError, TinyqError
from tinyq.importers.tfmot import load_tf_keras
from tinyq.support.keras_config import (
    SAVED_MODEL,
    check_h5_file,
    class_names,
    limit_weights,
    read_h5_config,
)
from tinyq.support.limits import describe
from tinyq.training.lowering.network import load_keras

_WRAPPERS = {"QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer", "PruneLowMagnitude"}


def load_float_model(path: Path, trust: bool = False) -> keras.Model:
    """A float model of Keras 3.

    Args:
        path: ``.keras``, ``.h5``, or the folder of a SavedModel that tf_keras wrote from layers.
        trust: Whether the author of a SavedModel, which is a program, is trusted.

    Raises:
        ModelError: The file is missing, damaged, of another kind, or holds something unknown.
    """
    if path.is_dir() and (path / SAVED_MODEL).is_file():
        return _load_saved_model(path, trust)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return _load_h5(path, str(path))
    if path.suffix.lower() == ".keras":
        return load_keras(path)
    raise ModelError(
        "is no Keras model", where=str(path), remedy="give a .keras or .h5 file, or a SavedModel"
    )


def trained_with_tfmot(path: Path) -> bool:
    """Whether an ``.h5`` file holds layers that tfmot wrapped.

    Raises:
        ModelError: The file is missing or damaged.
    """
    return bool(class_names(read_h5_config(path)) & _WRAPPERS)


def _load_h5(path: Path, where: str) -> keras.Model:
    stored = check_h5_file(path)
    try:
        with warnings.catch_warnings(), limit_weights(keras.Layer, stored, path):
            warnings.simplefilter("ignore")
            return keras.saving.load_model(path, compile=False)
    except TinyqError:
        raise
    except Exception as error:  # Keras raises whatever the layers' constructors raise
        raise ModelError(
            f"Keras cannot load the model: {describe(error)}",
            where=where,
            remedy="save it as .keras",
        ) from None


def _load_saved_model(folder: Path, trust: bool) -> keras.Model:
    """Keras 3 reads no layers out of a SavedModel; tf_keras does, and writes what Keras 3 reads."""
    model: Any = load_tf_keras(folder, trust)
    with tempfile.TemporaryDirectory(prefix="tinyq-saved-model-") as scratch:
        path = Path(scratch) / "model.h5"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.save(path)
        except Exception:  # a bare tf.Module has no save, a model without layers cannot
            raise ModelError(
                "the SavedModel holds functions but no Keras layers",
                where=str(folder),
                remedy="convert it to an int8 .tflite file, or save the model as .keras",
            ) from None
        return _load_h5(path, str(folder))
