"""Float Keras models from files of all kinds that Keras or tf_keras writes."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras

from tinyq.errors import ModelError
from tinyq.importers.tfmot import load_tf_keras
from tinyq.training.lowering.network import load_keras

SAVED_MODEL = "saved_model.pb"


def load_float_model(path: Path) -> keras.Model:
    """A float model of Keras 3.

    Args:
        path: ``.keras``, ``.h5``, or the folder of a SavedModel that tf_keras wrote from layers.

    Raises:
        ModelError: The file is missing, damaged, of another kind, or holds something unknown.
    """
    if path.is_dir() and (path / SAVED_MODEL).is_file():
        return _load_saved_model(path)
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
    return any(name in _config_of(path) for name in ('"QuantizeWrapper', '"PruneLowMagnitude'))


def _config_of(path: Path) -> str:
    """JSON of the layers in an ``.h5`` file."""
    import h5py

    if not path.is_file():
        raise ModelError("there is no such file", where=str(path))
    try:
        with h5py.File(path) as file:
            config = file.attrs.get("model_config", "")
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the .h5 file is damaged ({reason})", where=str(path)) from None
    if not config:
        raise ModelError(
            "the .h5 file holds weights but no layers",
            where=str(path),
            remedy="save the model with model.save(...)",
        )
    return config.decode("utf-8") if isinstance(config, bytes) else str(config)


def _load_h5(path: Path, where: str) -> keras.Model:
    _config_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the layers' constructors raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"Keras cannot load the model: {reason}",
            where=where,
            remedy="import the module that defines its custom layers first, or save it as .keras",
        ) from None


def _load_saved_model(folder: Path) -> keras.Model:
    """Keras 3 reads no layers out of a SavedModel; tf_keras does, and writes what Keras 3 reads."""
    model: Any = load_tf_keras(folder)
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
