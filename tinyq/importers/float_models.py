"""Float Keras models from files of all kinds that Keras or tf_keras writes."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

from tinyq.errors import ModelError, TinyqError
from tinyq.importers.old_keras import load_old_keras
from tinyq.importers.tflite.rebuilding import rebuild_keras
from tinyq.support.keras_config import (
    SAVED_MODEL,
    check_h5_file,
    class_names,
    limit_weights,
    read_h5_config,
)
from tinyq.support.limits import describe
from tinyq.training.lowering.network import load_keras
from tinyq.training.registry import load_layers
from tinyq.training.sign_layers import CLASSES

_QUANTIZED = {"QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer"}
_WRAPPED = {"PruneLowMagnitude", "ClusterWeights"}


def load_float_model(path: Path, trust: bool = False) -> keras.Model:
    """A float model of Keras 3; what Keras 2 saved is built anew.

    Args:
        path: ``.keras``, ``.h5``, ``.onnx``, a float ``.tflite``, or the folder of a SavedModel
            that tf_keras wrote from layers.
        trust: Whether the author of a SavedModel, which is a program, is trusted.

    Raises:
        ModelError: The file is missing, damaged, of another kind, or holds something unknown.
    """
    if path.is_dir() and (path / SAVED_MODEL).is_file():
        return load_old_keras(path, trust)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return _load_h5(path)
    if path.suffix.lower() == ".keras":
        return _load_v3(path)
    if path.suffix.lower() in (".tflite", ".tfl", ".lite"):
        return rebuild_keras(path)
    if path.suffix.lower() == ".onnx":
        from tinyq.importers.onnx.floats import load_float_onnx

        return load_float_onnx(path)
    raise ModelError(
        "is no float model",
        where=str(path),
        remedy="give a .keras, .h5 or .onnx file, a float .tflite file, or a SavedModel",
    )


def trained_with_tfmot(path: Path) -> bool:
    """Whether an ``.h5`` file holds layers that tfmot quantized in training.

    Raises:
        ModelError: The file is missing or damaged.
    """
    return bool(class_names(read_h5_config(path)) & _QUANTIZED)


def _load_v3(path: Path) -> keras.Model:
    try:
        return load_keras(path)
    except ModelError as error:
        if error.__cause__ is None and "Keras cannot load" in error.message:
            return _load_old(path, error)
        raise


def _load_h5(path: Path) -> keras.Model:
    names = class_names(read_h5_config(path))
    if names & _QUANTIZED:
        raise ModelError(
            "tfmot quantized the model in training",
            where=str(path),
            remedy="build it as it is: `tinyq build MODEL.h5 --board BOARD`",
        )
    if names & _WRAPPED:
        return load_old_keras(path)
    stored = check_h5_file(path)
    load_layers()
    try:
        with (
            warnings.catch_warnings(),
            limit_weights(keras.Layer, stored, path),
            keras.saving.custom_object_scope(dict(CLASSES)),
        ):
            warnings.simplefilter("ignore")
            return keras.saving.load_model(path, compile=False)
    except TinyqError:
        raise
    except Exception as error:  # Keras raises whatever the layers' constructors raise
        return _load_old(path, ModelError(f"Keras cannot load the model: {describe(error)}"))


def _load_old(path: Path, first: ModelError) -> keras.Model:
    """The model by way of Keras 2, where Keras 3 has refused it."""
    try:
        return load_old_keras(path)
    except ModelError as second:
        raise ModelError(
            f"{first.message}; with Keras 2: {second.message}",
            where=second.where or str(path),
            remedy=second.remedy or "save it as .keras with Keras 3",
        ) from None
