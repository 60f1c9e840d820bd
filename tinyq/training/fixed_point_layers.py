"""QKeras layers, whose weights and activations lie on fixed-point grids."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError
from tinyq.training.fixed_point_quantizers import (
    activation_method,
    numbers_of,
    quantized_weights,
    refusal,
)
from tinyq.training.origin import Origin
from tinyq.training.registry import is_preserving
from tinyq.training.tracing import Step, walk

_WEIGHTED: Mapping[str, type[keras.Layer]] = MappingProxyType(
    {
        "QConv2D": keras.layers.Conv2D,
        "QConv1D": keras.layers.Conv1D,
        "QDense": keras.layers.Dense,
        "QDepthwiseConv2D": keras.layers.DepthwiseConv2D,
        "QSeparableConv1D": keras.layers.SeparableConv1D,
        "QSeparableConv2D": keras.layers.SeparableConv2D,
        "QConv2DBatchnorm": keras.layers.Conv2D,
        "QDepthwiseConv2DBatchnorm": keras.layers.DepthwiseConv2D,
    }
)
_FOLDED = ("QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm")
_FOLDING_MODES = ("ema_stats_folding", "batch_stats_folding")
# Names of the quantizers, and of the kernels before `_kernel`, by class.
_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("QDepthwiseConv2D", "QDepthwiseConv2DBatchnorm"), ("depthwise",)),
        **dict.fromkeys(("QSeparableConv1D", "QSeparableConv2D"), ("depthwise", "pointwise")),
    }
)
_ACTIVATION, _NORMALIZATION = "QActivation", "QBatchNormalization"
_KNOWN = (*_WEIGHTED, _ACTIVATION, _NORMALIZATION)
_OPTIONS = (
    *("name", "filters", "units", "kernel_size", "strides", "padding", "data_format"),
    *("dilation_rate", "groups", "depth_multiplier", "use_bias"),
)
_NORM_OPTIONS = ("name", "axis", "momentum", "epsilon", "center", "scale")
_MERGED = ("BatchNormalization", _NORMALIZATION, "ReLU", "Activation")
_AVERAGES = ("AveragePooling1D", "AveragePooling2D")


def is_fixed_point_layer(layer: Any) -> bool:
    """Whether a layer is one of QKeras, by its class or its package."""
    name = type(layer).__name__
    package = type(layer).__module__.partition(".")[0]
    return name in _KNOWN or (package == "qkeras" and name != "InputLayer")


def read_fixed_point_layer(layer: Any) -> Origin:
    """The float layer with weights on the grid that a layer of QKeras stands for.

    Raises:
        ModelError: The class, or an option of a quantizer, has no integer form here.
    """
    kind = type(layer).__name__
    if kind not in _KNOWN:
        raise ModelError(
            f"QKeras layers of class {kind} are not supported",
            where=layer.name,
            remedy=f"use {', '.join(_KNOWN)}",
        )
    if kind == _ACTIVATION:
        return _read_activation(layer)
    return _read_norm(layer) if kind == _NORMALIZATION else _read_weighted(layer)


def find_input_grids(model: keras.Model, grids: Mapping[str, str]) -> dict[str, str]:
    """Methods of the inputs of the layers that read fixed-point activations.

    Args:
        model: The model with layers of QKeras.
        grids: Method of the output by the name of each layer that hands on codes of a grid.

    Returns:
        A method by name of each layer that reads codes, past layers that hand them on.

    Raises:
        ModelError: Codes meet values that are not on their grid, or nothing reads them.
    """
    if not grids:
        return {}
    steps = {step.name: step for step in walk(model)}
    readers: dict[str, list[Step]] = {name: [] for name in steps}
    for step in steps.values():
        for name in step.inputs:
            readers[name].append(step)
    found: dict[str, str] = {}
    for name, method in grids.items():
        if type(steps[name].layer).__name__ == _ACTIVATION:
            _require_single_reader(steps, readers, grids, name)
        elif not method.startswith("u"):
            _require_last(steps[name], readers[name])
        for reader in _end_readers(readers, name):
            _require_grid(steps, grids, reader, method)
            found[reader.name] = method
    return found


def _require_single_reader(
    steps: Mapping[str, Step],
    readers: Mapping[str, list[Step]],
    grids: Mapping[str, str],
    name: str,
) -> None:
    """Check that nothing but the activation reads the real values before it."""
    (source,) = steps[name].inputs
    while True:
        if len(readers[source]) != 1:
            raise ModelError(
                f"the real values of {source!r} have other readers besides",
                where=name,
                remedy="let every layer read the output of the QActivation",
            )
        if source in grids:
            raise ModelError(
                f"the values of {source!r} are on a grid already",
                where=name,
                remedy="leave one of the two quantizers out",
            )
        if not is_preserving(steps[source].layer):
            return
        (source,) = steps[source].inputs


def _require_last(step: Step, readers: list[Step]) -> None:
    """Check that no layer follows that tinyq would put before the quantizer of ``step``."""
    for reader in readers:
        softmax = getattr(reader.layer, "activation", None) is keras.activations.softmax
        if type(reader.layer).__name__ in _MERGED and not softmax:
            raise ModelError(
                f"{reader.name!r} follows the quantizer of the layer's activation",
                where=step.name,
                remedy="take the quantizer out of the layer and put it behind as a QActivation",
            )


def _end_readers(readers: Mapping[str, list[Step]], name: str) -> list[Step]:
    """Layers that compute with the codes of a layer."""
    if not readers[name]:
        raise ModelError(
            "the model ends in codes of a fixed-point grid",
            where=name,
            remedy="end it with the layer before this quantizer; tinyq gives the output 8 bits",
        )
    found: list[Step] = []
    for reader in readers[name]:
        found += _end_readers(readers, reader.name) if is_preserving(reader.layer) else [reader]
    return found


def _require_grid(
    steps: Mapping[str, Step], grids: Mapping[str, str], reader: Step, method: str
) -> None:
    """Check that all inputs of a reader are codes of the same grid."""
    kind = type(reader.layer).__name__
    if kind in _AVERAGES:
        raise ModelError(
            f"{kind} leaves the fixed-point grid of its input",
            where=reader.name,
            remedy="use GlobalAveragePooling2D or MaxPooling2D",
        )
    if kind == _ACTIVATION:
        return  # refused there, with the name of the layer that comes first
    for source in reader.inputs:
        while source not in grids and is_preserving(steps[source].layer):
            (source,) = steps[source].inputs
        if grids.get(source) != method:
            raise ModelError(
                f"reads values of {source!r} that are not on the same fixed-point grid",
                where=reader.name,
                remedy="put one QActivation with the same quantizer before each input",
            )


def _read_activation(layer: Any) -> Origin:
    activation, grid = _activation(layer)
    if grid is None:
        kept = keras.layers.Activation(activation, name=layer.name)
        return Origin(kept, [])
    return Origin(keras.layers.Activation("linear", name=layer.name), [], grid=grid)


def _activation(layer: Any) -> tuple[Any, str | None]:
    """The Keras activation of a layer, and the method where it is a quantizer.

    A ReLU is part of the unsigned grids.
    """
    quantizer = layer.activation
    if quantizer is None or not hasattr(quantizer, "get_config"):
        return quantizer, None
    return None, activation_method(layer, quantizer)


def _read_norm(layer: Any) -> Origin:
    """BatchNorm with the values that its quantizers give."""
    if getattr(layer, "inverse_quantizer_internal", None) is not None:
        raise refusal(layer, "an inverse_quantizer", "leave inverse_quantizer out")
    weights = []
    for role in ("gamma", "beta", "moving_mean", "moving_variance"):
        variable = getattr(layer, role, None)
        if variable is not None:
            quantizer = getattr(layer, f"{role.removeprefix('moving_')}_quantizer_internal", None)
            weights.append(numbers_of(variable if quantizer is None else quantizer(variable)))
    config = layer.get_config()
    plain = {name: config[name] for name in _NORM_OPTIONS if name in config}
    if isinstance(plain.get("axis"), list | tuple):
        (plain["axis"],) = plain["axis"]
    return Origin(keras.layers.BatchNormalization(**plain), weights)


def _read_weighted(layer: Any) -> Origin:
    """A convolution or Dense with weights on the grid of its quantizer."""
    kind = type(layer).__name__
    if getattr(layer, "_mask", None) is not None:
        raise refusal(layer, "a mask of its kernel", "multiply the kernel by the mask")
    folds = kind in _FOLDED
    roles = _ROLES.get(kind, ("kernel",))
    kernels = [_kernel_of(layer, role) for role in roles]
    bias = numbers_of(layer.bias) if layer.use_bias else None
    if folds:
        kernels[0], bias = _fold(layer, kernels[0], bias)
    methods = []
    for index, role in enumerate(roles):
        quantizer = getattr(layer, f"{role}_quantizer_internal", None)
        kernels[index], method = quantized_weights(layer, quantizer, kernels[index])
        methods.append(method)
    weights = kernels
    if bias is not None:
        quantizer = getattr(layer, "bias_quantizer_internal", None)
        weights.append(numbers_of(bias if quantizer is None else quantizer(bias)))
    config = layer.get_config()
    activation, handed_on = _activation(layer)
    plain = {name: config[name] for name in _OPTIONS if name in config}
    plain["use_bias"] = bias is not None
    if handed_on is not None and handed_on.startswith("u"):
        activation = "relu"
    float_layer = _WEIGHTED[kind](**plain, activation=activation)
    parts = {f"{layer.name}_{roles[0]}": {"weights": methods[0]}} if len(roles) > 1 else {}
    return Origin(float_layer, weights, {"weights": methods[-1]}, handed_on, parts)


def _kernel_of(layer: Any, role: str) -> np.ndarray:
    name = "kernel" if role == "kernel" else f"{role}_kernel"
    return numbers_of(getattr(layer, name))


def _fold(layer: Any, kernel: np.ndarray, bias: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias with the BatchNormalization inside of the layer, as they are quantized.

    w' = w * r,  b' = (b - mean) * r + beta,  r = gamma / sqrt(variance + epsilon)
    """
    if getattr(layer, "folding_mode", "ema_stats_folding") not in _FOLDING_MODES:
        raise refusal(layer, f"the folding mode {layer.folding_mode!r}", "use ema_stats_folding")
    norm = layer.batchnorm
    ratio = 1.0 / np.sqrt(numbers_of(norm.moving_variance) + np.float32(norm.epsilon))
    if norm.gamma is not None:
        ratio = ratio * numbers_of(norm.gamma)
    offset = -numbers_of(norm.moving_mean) if bias is None else bias - numbers_of(norm.moving_mean)
    folded = offset * ratio
    if norm.beta is not None:
        folded = folded + numbers_of(norm.beta)
    depthwise = type(layer).__name__ == "QDepthwiseConv2DBatchnorm"
    shape = kernel.shape[-2:] if depthwise else kernel.shape[-1:]
    return (kernel * ratio.reshape(shape)).astype(np.float32), folded.astype(np.float32)
