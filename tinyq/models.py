"""Model files of any kind as integer graphs; Keras is loaded only for the files that need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph, storage
from tinyq.graph.cutting import WHOLE, Cut, cut_graph
from tinyq.support.keras_config import SAVED_MODEL

HALF_UP, TFLITE, ONNX = ROUNDINGS = ("half_up", "tflite", "onnx")

Reader = Callable[[Path, str], Graph]


def _load_graph(path: Path, rounding: str) -> Graph:
    _refuse_rounding(path, rounding)
    return storage.load_graph(path)


def _load_keras(path: Path, rounding: str) -> Graph:
    _refuse_rounding(path, rounding)
    from tinyq.training.lowering.network import import_keras

    return import_keras(path)


def _load_h5(path: Path, rounding: str) -> Graph:
    from tinyq.importers.float_models import trained_with_tfmot

    if trained_with_tfmot(path):
        return _load_tfmot(path, rounding)
    raise ModelError(
        "the model is not quantized",
        where=str(path),
        remedy="run `tinyq quantize MODEL --data DATA.npz -o model.keras` first",
    )


def _load_tfmot(path: Path, rounding: str, trust: bool = False) -> Graph:
    from tinyq.graph.passes import simplify
    from tinyq.importers.tfmot import import_tfmot

    return simplify(import_tfmot(path, rounding=rounding, trust=trust))


def _load_tflite(path: Path, rounding: str) -> Graph:
    from tinyq.graph.passes import simplify
    from tinyq.importers.tflite import import_tflite

    return simplify(import_tflite(path, rounding))


def _load_onnx(path: Path, rounding: str) -> Graph:
    from tinyq.graph.passes import simplify
    from tinyq.importers.onnx import import_onnx

    return simplify(import_onnx(path, rounding))


READERS: Mapping[str, Reader] = {
    storage.SUFFIX: _load_graph,
    ".keras": _load_keras,
    ".tflite": _load_tflite,
    ".h5": _load_h5,
    ".onnx": _load_onnx,
}


def _cut_tflite(path: Path, rounding: str, cut: Cut) -> Graph:
    from tinyq.graph.passes import simplify
    from tinyq.importers.tflite import import_tflite

    return simplify(import_tflite(path, rounding, cut))


def _cut_keras(path: Path, rounding: str, cut: Cut) -> Graph:
    _refuse_rounding(path, rounding)
    from tinyq.training.lowering.network import import_keras

    return import_keras(path, cut=cut)


def _cut_onnx(path: Path, rounding: str, cut: Cut) -> Graph:
    from tinyq.graph.passes import simplify
    from tinyq.importers.onnx import import_onnx

    return simplify(import_onnx(path, rounding, cut))


# Of the kinds whose names are gone in the graph that their reader gives, or that read a part alone.
_CUTTERS: Mapping[str, Callable[[Path, str, Cut], Graph]] = {
    ".keras": _cut_keras,
    ".onnx": _cut_onnx,
    ".tflite": _cut_tflite,
}


def load_model(path: Path, rounding: str = HALF_UP, trust: bool = False, cut: Cut = WHOLE) -> Graph:
    """Read a model file by its suffix, or the folder of a SavedModel that tfmot trained.

    Args:
        path: The file or folder.
        rounding: ``half_up``, ``tflite`` for the bytes of TFLite's reference kernels, or ``onnx``
            for those of onnxruntime; a matter of .tflite and .onnx files and of what passes
            TensorFlow's converter.
        trust: Whether the author of a SavedModel, which is a program, is trusted; files are data.
        cut: Between which tensors the part lies that is read.

    Raises:
        ModelError: The file is missing, damaged, of an unknown kind, or brings code along.
        TinyqError: There is no such rounding rule, or the file leaves no choice.
    """
    if rounding not in ROUNDINGS:
        raise TinyqError(
            f"there is no rounding rule {rounding!r}",
            where="--rounding",
            remedy=f"use {' or '.join(ROUNDINGS)}",
        )
    if rounding == ONNX and path.suffix.lower() != ".onnx":
        raise TinyqError(
            "the rounding rule onnx is for .onnx files alone",
            where=str(path),
            remedy=f"use {HALF_UP} or {TFLITE}",
        )
    if path.is_dir() and (path / SAVED_MODEL).is_file():
        return cut_graph(_load_tfmot(path, rounding, trust), cut)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ModelError(
            f"files of kind {path.suffix or path.name!r} are not read",
            where=str(path),
            remedy=f"give a file ending in {' or '.join(READERS)}",
        )
    if not path.is_file():
        raise ModelError("there is no such file", where=str(path))
    cutter = _CUTTERS.get(path.suffix.lower())
    if cut and cutter is not None:
        return cutter(path, rounding, cut)
    return cut_graph(reader(path, rounding), cut)


def _refuse_rounding(path: Path, rounding: str) -> None:
    if rounding != HALF_UP:
        raise TinyqError(
            "the rounding rule of this model is fixed",
            where=str(path),
            remedy="leave --rounding out: it is a choice for .tflite and .onnx files",
        )
