"""Models that Keras 2 saved, read by tf_keras and built anew with the layers of Keras 3."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError
from tinyq.importers.tensorflow_functions import FUNCTIONS
from tinyq.importers.tfmot import load_tf_keras, strip_wrappers
from tinyq.support.limits import describe

_OPERATION, _SLICE = "TFOpLambda", "SlicingOpLambda"
_TOLERANCE = 1e-4


# Options of Keras 2 that Keras 3 has no word for; any other one is kept or refused.
_LEFT_OUT = (
    *("dtype", "batch_input_shape", "batch_shape", "time_major", "implementation", "dynamic"),
    *(
        "sparse",
        "ragged",
        "fused",
        "autocast",
        "build_config",
        "registered_name",
        "module",
        "layer",
    ),
)
# Options that have another name in Keras 3.
_RENAMED: Mapping[tuple[str, str], str] = MappingProxyType(
    {("LeakyReLU", "alpha"): "negative_slope"}
)
# Values with which an option says nothing: groups=1, renorm=False.
_NOTHING: tuple[Any, ...] = (None, False, 0, 1, [], (), {})


def load_old_keras(path: Path, trust: bool = False) -> keras.Model:
    """A model of Keras 3 from a file that Keras 2 wrote.

    Wrappers of tfmot's pruning and clustering are taken off. Both models compute the same, which is
    checked with random inputs.

    Args:
        path: ``.h5``, ``.keras``, or the folder of a SavedModel.
        trust: Whether the author of a SavedModel, which is a program, is trusted.

    Raises:
        ModelError: The file names what tinyq does not know, tf_keras cannot read it, or a layer has
            no counterpart.
    """
    old = strip_wrappers(load_tf_keras(path, trust))
    if not getattr(old, "layers", None) or not hasattr(old, "inputs"):
        raise ModelError(
            "the SavedModel holds functions but no Keras layers",
            where=str(path),
            remedy="convert it to an int8 .tflite file, or save the model as .keras",
        )
    try:
        inputs = [
            keras.Input(tuple(tensor.shape[1:]), name=_name(tensor.name)) for tensor in old.inputs
        ]
        new = keras.Model(inputs, _follow(old, inputs), name=_name(old.name))
    except ModelError as error:
        raise ModelError(
            error.message, where=f"{path}, {error.where}", remedy=error.remedy
        ) from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"a layer of Keras 2 cannot be built with Keras 3: {describe(error)}",
            where=str(path),
            remedy="save the model as .keras with Keras 3",
        ) from None
    _require_same(old, new, path)
    return new


def _follow(model: Any, inputs: list[Any]) -> list[Any]:
    """Outputs of a model of Keras 2, applied to tensors of Keras 3."""
    known = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    twins: dict[int, Any] = {}

    def new_of(tensor: Any) -> Any:
        if id(tensor) not in known:
            layer, node_index, _ = tensor._keras_history
            node = layer._inbound_nodes[node_index]
            for source in node.keras_inputs:
                new_of(source)
            outputs = _apply(layer, node, known, twins)
            for old, new in zip(_listed(node.outputs), outputs, strict=True):
                known[id(old)] = new
        return known[id(tensor)]

    for tensor in _in_order(model):
        new_of(tensor)
    return [new_of(tensor) for tensor in model.outputs]


def _in_order(model: Any) -> list[Any]:
    """Tensors of a model, those first that others read, so that no recursion is deep."""
    nodes = [model._nodes_by_depth[depth] for depth in sorted(model._nodes_by_depth, reverse=True)]
    return [
        tensor
        for level in nodes
        for node in level
        if not node.is_input
        for tensor in _listed(node.outputs)
    ]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _only(values: list[Any]) -> Any:
    return values if len(values) > 1 else values[0]


def _apply(layer: Any, node: Any, known: dict[int, Any], twins: dict[int, Any]) -> list[Any]:
    def renew(value: Any) -> Any:
        if id(value) in known:
            return known[id(value)]
        return value.numpy() if hasattr(value, "numpy") else value

    args, kwargs = keras.tree.map_structure(
        renew, (tuple(node.call_args), dict(node.call_kwargs)), none_is_leaf=True
    )
    kind = type(layer).__name__
    if kind in (_OPERATION, _SLICE):
        return _listed(_operate(layer, args, kwargs))
    if hasattr(layer, "_nodes_by_depth"):
        read = [known[id(source)] for source in node.keras_inputs]
        return _follow(layer, read)
    if id(layer) in twins:
        return _listed(twins[id(layer)](*args))
    twin = twins[id(layer)] = _twin(layer)
    output = twin(*args)
    twin.set_weights(layer.get_weights())
    return _listed(output)


def _operate(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    config = layer.get_config()
    function = FUNCTIONS.get(config.get("function", ""))
    if function is None:
        raise ModelError(
            f"the function {config.get('function')!r} has no layer here",
            where=layer.name,
            remedy=f"use one of {', '.join(FUNCTIONS)}",
        )
    return function(*args, **kwargs)


def _twin(layer: Any) -> Any:
    """The layer of Keras 3 with the options of one of Keras 2."""
    kind = type(layer).__name__
    cls = getattr(keras.layers, kind, None)
    if cls is None:
        raise ModelError(
            f"{kind} is no layer of Keras 3", where=layer.name, remedy="replace this layer"
        )
    config = {_RENAMED.get((kind, key), key): value for key, value in layer.get_config().items()}
    inner = getattr(layer, "layer", None)
    known = _options_of(cls)
    options = {
        key: value
        for key, value in config.items()
        if key in known and key not in _LEFT_OUT and not key.endswith("_initializer")
    }
    for key in config.keys() - known - set(_LEFT_OUT):
        if config[key] not in _NOTHING and not key.endswith("_initializer"):
            raise ModelError(
                f"{kind} of Keras 2 has the option {key}={config[key]!r}",
                where=layer.name,
                remedy=f"leave {key} out, which Keras 3 does not have",
            )
    options["name"] = _name(layer.name)
    if isinstance(options.get("axis"), list | tuple) and len(options["axis"]) == 1:
        (options["axis"],) = options["axis"]
    if inner is not None:
        options["layer"] = _twin(inner)
    try:
        return cls.from_config(options) if inner is None else cls(**options)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{kind} of Keras 2 has options that Keras 3 does not know: {describe(error)}",
            where=layer.name,
            remedy="save the model as .keras with Keras 3",
        ) from None


def _options_of(cls: type) -> set[str]:
    """Names that the constructors of a class and its bases take."""
    found: set[str] = set()
    for base in cls.__mro__:
        if "__init__" in vars(base):
            found |= set(inspect.signature(base.__init__).parameters)  # type: ignore[misc]
    return found


def _name(name: str) -> str:
    return name.partition(":")[0].replace("/", "_")


def _require_same(old: Any, new: keras.Model, path: Path) -> None:
    """Check that both models compute the same for random inputs."""
    rng = np.random.default_rng(0)
    shapes = [tuple(length or 8 for length in tensor.shape[1:]) for tensor in new.inputs]
    inputs = [rng.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]
    wanted = _listed(old(_only(inputs), training=False))
    found = _listed(new(_only(inputs), training=False))
    for first, second in zip(wanted, found, strict=True):
        expected = np.asarray(first)
        reach = max(1.0, float(np.abs(expected).max()))
        if np.abs(expected - ops.convert_to_numpy(second)).max() > _TOLERANCE * reach:
            raise ModelError(
                "the model computes something else with Keras 3 than with Keras 2",
                where=str(path),
                remedy="save the model as .keras with Keras 3",
            )
