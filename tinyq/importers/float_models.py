"""Float Keras models from files of all kinds that Keras or tf_keras writes."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

from tinyq.errors import ModelError
from tinyq.importers.old_keras import WRAPPERS, holds_class, load_old_keras, read_config
from tinyq.support.messages import last_line
from tinyq.training.lowering.network import load_keras
from tinyq.training.registry import load_layers

SAVED_MODEL = "saved_model.pb"
_QUANTIZED = ("QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer")


def load_float_model(path: Path) -> keras.Model:
    """A float model of Keras 3; what Keras 2 saved is built anew.

    Args:
        path: ``.keras``, ``.h5``, or the folder of a SavedModel that tf_keras wrote from layers.

    Raises:
        ModelError: The file is missing, damaged, of another kind, or holds something unknown.
    """
    if path.is_dir() and (path / SAVED_MODEL).is_file():
        return load_old_keras(path)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return _load_h5(path)
    if path.suffix.lower() == ".keras":
        return _load_v3(path)
    raise ModelError(
        "is no Keras model", where=str(path), remedy="give a .keras or .h5 file, or a SavedModel"
    )


def trained_with_tfmot(path: Path) -> bool:
    """Whether an ``.h5`` file holds layers that tfmot quantized in training.

    Raises:
        ModelError: The file is missing or damaged.
    """
    return holds_class(_config_of(path), _QUANTIZED)


def _config_of(path: Path) -> object:
    if not path.is_file():
        raise ModelError("there is no such file", where=str(path))
    return read_config(path)


def _load_v3(path: Path) -> keras.Model:
    try:
        return load_keras(path)
    except ModelError:
        if path.is_file() and _is_of_keras_2(path):
            return load_old_keras(path)
        raise


def _is_of_keras_2(path: Path) -> bool:
    """Whether Keras 2 wrote a ``.keras`` file, by the modules of its classes."""
    try:
        config = read_config(path)
    except ModelError:
        return False
    return ".engine." in str(config.get("module")) or _holds_old_options(config)


def _holds_old_options(config: object) -> bool:
    return "batch_input_shape" in str(config)


def _load_h5(path: Path) -> keras.Model:
    config = _config_of(path)
    if holds_class(config, _QUANTIZED):
        raise ModelError(
            "tfmot quantized the model in training",
            where=str(path),
            remedy="build it as it is: `tinyq build MODEL.h5 --board BOARD`",
        )
    if holds_class(config, WRAPPERS):
        return load_old_keras(path)
    load_layers()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the layers' constructors raise
        try:
            return load_old_keras(path)
        except ModelError as second:
            raise ModelError(
                f"Keras cannot load the model: {last_line(error)}; with Keras 2: {second.message}",
                where=second.where or str(path),
                remedy=second.remedy or "save it as .keras with Keras 3",
            ) from None
