"""Models trained with tensorflow-model-optimization: the one module that loads tfmot and tf_keras.

tfmot needs Keras 2, which TensorFlow since 2.16 has as the package tf_keras beside Keras 3.
Importing tfmot sets TF_USE_LEGACY_KERAS, and ``tf.keras`` is loaded at its first use: a program
that touches it afterwards finds Keras 2 where Keras 3 was. ``load_tfmot`` therefore settles
``tf.keras`` before and takes the variable back after; models of both kinds live in one process.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyq.errors import DataError, ModelError, TinyqError, ToolMissing
from tinyq.graph import Graph, Tensor
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.importers.tflite import import_tflite
from tinyq.importers.windows_paths import with_slashes
from tinyq.numerics.formats import FORMATS
from tinyq.support.keras_config import (
    check_h5_file,
    check_keras_file,
    check_saved_model,
    limit_weights,
)
from tinyq.support.limits import describe

_N_BIT = "tensorflow_model_optimization.python.core.quantization.keras.experimental.default_n_bit"
_N_BIT_MODULES = ("quantize_registry", "quantize_configs", "quantizers", "transforms")
_LEGACY = "TF_USE_LEGACY_KERAS"
_QUANTIZED = ("QuantizeWrapper", "QuantizeWrapperV2", "QuantizeLayer")
_NORMALIZATION = "BatchNormalization"
_PRUNED, _CLUSTERED = "PruneLowMagnitude", "ClusterWeights"
_NARROW = Conv2D | Dense | DepthwiseConv2D
_CALIBRATION_SAMPLES = 500
_EXACT_BITS = (2, 4, 8)
_ACTIVATION_BITS = 8


def import_tfmot(
    model: Any,
    data: Any = None,
    rounding: str = "half_up",
    name: str | None = None,
    trust: bool = False,
) -> Graph:
    """The integer graph of a tf_keras model, with the ranges that tfmot trained.

    The model passes TensorFlow's converter, which folds BatchNorm and turns the trained ranges into
    scales; with ``rounding="tflite"`` the graph computes the bytes of the converted file.

    Args:
        model: tf_keras model from ``quantize_model`` or ``quantize_apply`` (8-bit or n-bit scheme),
            a pruned, clustered or plain float one, or the path of an ``.h5`` file or SavedModel.
        data: Real inputs, shape (samples, ...), for the ranges of a model without trained ones.
        rounding: ``half_up`` or ``tflite``, as for ``import_tflite``.
        name: Name of the graph; that of the file or the model where left out.
        trust: Whether the author of a SavedModel, which is a program, is trusted.

    Returns:
        A verified graph; weights that need no more are stored in 4 bits.

    Raises:
        ModelError: The model cannot be loaded or converted, has no ranges and there are no data, or
            was trained with bits that the converter does not keep.
        ToolMissing: tfmot is not installed.
    """
    if isinstance(model, str | Path):
        name = name or Path(model).stem
        model = load_tf_keras(Path(model), trust)
    content = convert_tfmot(model, data)
    with tempfile.TemporaryDirectory(prefix="tinyq-tfmot-") as folder:
        path = Path(folder) / f"{name or model.name}.tflite"
        path.write_bytes(content)
        try:
            graph = import_tflite(path, rounding)
        except ModelError as error:
            if "FLOAT32" not in error.message:
                raise
            raise ModelError(
                f"tfmot left a part of the model in floating point: {error.message}",
                where=error.where,
                remedy="take that layer out, or train with tinyq.quantize: tfmot quantizes no "
                "Dense layer that BatchNormalization follows, and no layer that it does not know",
            ) from None
        return store_in_4_bits(graph)


def load_tfmot() -> tuple[Any, Any]:
    """The packages tf_keras and tensorflow_model_optimization, without a change to ``tf.keras``.

    Raises:
        ToolMissing: One is not installed.
    """
    tensorflow = _load("tensorflow")
    wanted = os.environ.get(_LEGACY)
    with _quiet():
        # The first attribute decides which Keras tf.keras is, for the rest of the process.
        _ = tensorflow.keras.__version__
        try:
            return _load("tf_keras"), _load("tensorflow_model_optimization")
        finally:
            os.environ.pop(_LEGACY, None)
            if wanted is not None:
                os.environ[_LEGACY] = wanted


def load_tf_keras(path: Path, trust: bool = False) -> Any:
    """Read an ``.h5`` file or a SavedModel with tf_keras and all names of tfmot.

    Args:
        path: The file or folder.
        trust: Whether the author of a SavedModel, which is a program, is trusted.

    Raises:
        ModelError: It is missing or damaged, names what tinyq does not know, is a SavedModel that
            nobody trusts, or tf_keras cannot read it.
        ToolMissing: tfmot is not installed.
    """
    if not path.exists():
        raise ModelError("there is no such model", where=str(path))
    if path.is_dir():
        check_saved_model(path, trust)
    stored = None
    if not path.is_dir():
        stored = check_keras_file(path) if path.suffix == ".keras" else check_h5_file(path)
    with _quiet():
        tf_keras, tfmot = load_tfmot()
        try:
            with (
                contextlib.nullcontext()
                if stored is None
                else limit_weights(tf_keras.layers.Layer, stored, path),
                tfmot.quantization.keras.quantize_scope(),
                tfmot.sparsity.keras.prune_scope(),
                tfmot.clustering.keras.cluster_scope(),
                tf_keras.utils.custom_object_scope(_n_bit_names()),
                with_slashes(path) as readable,
            ):
                return tf_keras.models.load_model(readable, compile=False)
        except TinyqError:
            raise
        except Exception as error:  # tf_keras raises whatever its file readers raise
            raise ModelError(
                f"tf_keras cannot load the model: {describe(error)}",
                where=str(path),
                remedy="save it with model.save('NAME.h5'), or import the module of its own layers",
            ) from None


def convert_tfmot(model: Any, data: Any = None) -> bytes:
    """The .tflite file that TensorFlow's converter makes of a model.

    Arguments and errors are those of ``import_tfmot``.
    """
    with _quiet():
        model = strip_wrappers(model)
        _require_exact_bits(model)
        _require_quantized_sums(model)
        if not has_trained_ranges(model) and data is None:
            raise ModelError(
                "the model has no trained ranges",
                where=model.name,
                remedy="run `tinyq quantize MODEL --data DATA.npz -o model.keras` first, or train "
                "it with tfmot's quantize_model",
            )
        lite = _load("tensorflow").lite
        try:
            converter = lite.TFLiteConverter.from_keras_model(model)
            converter.optimizations = [lite.Optimize.DEFAULT]
            if not has_trained_ranges(model):
                samples = _samples(data, model)
                converter.representative_dataset = lambda: ([sample] for sample in samples)
                converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]
            return bytes(converter.convert())
        except DataError:
            raise
        except Exception as error:  # the converter raises classes of its own and of MLIR
            raise ModelError(
                f"TensorFlow's converter refuses the model: {describe(error)}",
                where=model.name,
                remedy="convert it yourself and give the .tflite file",
            ) from None


def _require_exact_bits(model: Any) -> None:
    """Check that the converter keeps the grids on which the model was trained.

    Weights of fewer bits go into codes of 4 or 8: 2 bits to -7, 0, 7, and 4 bits to themselves.
    The levels of any other number of bits lie between codes, 7 / 3 apart for 3 bits, and would be
    rounded once more. Activations have 8 bits in a file.
    """
    for layer in model.layers:
        if type(layer).__name__ not in _QUANTIZED:
            continue
        weights, others = _bits_of(layer)
        for bits in weights:
            if bits not in _EXACT_BITS:
                raise ModelError(
                    f"weights trained with {bits} bits lie between the codes of a .tflite file",
                    where=layer.name,
                    remedy=f"train with num_bits_weight = {', '.join(map(str, _EXACT_BITS))}",
                )
        if any(bits != _ACTIVATION_BITS for bits in others):
            raise ModelError(
                f"activations trained with {min(others)} bits have no form in a .tflite file",
                where=layer.name,
                remedy=f"train with num_bits_activation = {_ACTIVATION_BITS}",
            )


def _require_quantized_sums(model: Any) -> None:
    """Check that no BatchNormalization follows a Dense layer: tfmot leaves that sum in float."""
    for layer in model.layers:
        if type(layer).__name__ not in _QUANTIZED or type(_inner(layer)).__name__ != _NORMALIZATION:
            continue
        source = layer.input._keras_history[0]
        if type(_inner(source)).__name__ == "Dense":
            raise ModelError(
                "tfmot does not quantize a Dense layer that a BatchNormalization follows",
                where=layer.name,
                remedy="leave the BatchNormalization out, or give the float model to "
                "`tinyq quantize`, which folds it",
            )


def _inner(layer: Any) -> Any:
    return getattr(layer, "layer", layer)


def _bits_of(layer: Any) -> tuple[set[int], set[int]]:
    """Bits of the weights, and of the activations, that a wrapper of tfmot quantizes."""
    config = getattr(layer, "quantize_config", None)
    if config is None:  # a QuantizeLayer
        return set(), {getattr(getattr(layer, "quantizer", None), "num_bits", _ACTIVATION_BITS)}
    inner = layer.layer
    weights = [quantizer for _, quantizer in config.get_weights_and_quantizers(inner)]
    others = [quantizer for _, quantizer in config.get_activations_and_quantizers(inner)]
    others += config.get_output_quantizers(inner)

    def known(quantizers: list[Any]) -> set[int]:
        return {one.num_bits for one in quantizers if hasattr(one, "num_bits")}

    return known(weights), known(others)


def has_trained_ranges(model: Any) -> bool:
    """Whether tfmot's quantization has wrapped a layer of a model."""
    return any(type(layer).__name__ in _QUANTIZED for layer in model.layers)


def store_in_4_bits(graph: Graph) -> Graph:
    """Keep 8-bit weights whose codes all lie in -8 .. 7 as ``s4``; the arithmetic is the same."""
    tensors = dict(graph.tensors)
    read_as_weights = {node.inputs[1] for node in graph.nodes if isinstance(node.op, _NARROW)}
    elsewhere = {
        name
        for node in graph.nodes
        for position, name in enumerate(node.inputs)
        if position != 1 or not isinstance(node.op, _NARROW)
    }
    s4 = FORMATS["s4"]
    for name in read_as_weights - elsewhere:
        tensor = tensors[name]
        if tensor.codes is None or tensor.type.format.name != "s8":
            continue
        if s4.lo <= tensor.codes.min() and tensor.codes.max() <= s4.hi:
            tensors[name] = Tensor(name, replace(tensor.type, format=s4), tensor.codes)
    narrowed = replace(graph, tensors=tensors)
    narrowed.verify()
    return narrowed


def strip_wrappers(model: Any) -> Any:
    """The model without the wrappers of pruning and clustering."""
    kinds = {type(layer).__name__ for layer in getattr(model, "layers", ())}
    if not kinds & {_PRUNED, _CLUSTERED}:
        return model
    _, tfmot = load_tfmot()
    if _PRUNED in kinds:
        model = tfmot.sparsity.keras.strip_pruning(model)
    if _CLUSTERED in kinds:
        model = tfmot.clustering.keras.strip_clustering(model)
    return model


def _samples(data: Any, model: Any) -> np.ndarray:
    values = np.asarray(data, np.float32)[:_CALIBRATION_SAMPLES]
    shape = tuple(model.input_shape[1:])
    if values.shape[1:] != shape or len(values) == 0:
        raise DataError(
            f"inputs have shape {values.shape[1:]}, the model takes {shape}",
            remedy="reshape the data so that one sample has the model's input shape",
        )
    return values[:, None]


def _n_bit_names() -> dict[str, Any]:
    """Classes of the experimental n-bit scheme, which tfmot's own scope leaves out."""
    found: dict[str, Any] = {}
    for part in _N_BIT_MODULES:
        module = importlib.import_module(f"{_N_BIT}.default_n_bit_{part}")
        found |= {key: value for key, value in vars(module).items() if isinstance(value, type)}
    return found


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolMissing(
            f"{name} cannot be loaded: {describe(error)}",
            remedy="install them: `pip install tensorflow-model-optimization tf_keras`",
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of old packages and the converter's log from the user."""
    loggers = [logging.getLogger(name) for name in ("absl", "tensorflow")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
