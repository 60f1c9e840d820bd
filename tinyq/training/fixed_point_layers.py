"""QKeras layers, whose weights and activations lie on fixed-point grids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from tinyq.errors import ModelError
from tinyq.quantizers.fixed_point import MOST_BITS, FixedPoint
from tinyq.training.origin import Origin
from tinyq.training.registry import is_preserving
from tinyq.training.tracing import Step, walk

_WEIGHTED: Mapping[str, type[keras.Layer]] = MappingProxyType(
    {
        "QConv2D": keras.layers.Conv2D,
        "QConv1D": keras.layers.Conv1D,
        "QDense": keras.layers.Dense,
        "QDepthwiseConv2D": keras.layers.DepthwiseConv2D,
    }
)
_ACTIVATION, _NORMALIZATION = "QActivation", "QBatchNormalization"
_KNOWN = (*_WEIGHTED, _ACTIVATION, _NORMALIZATION)
_OPTIONS = (
    *("name", "filters", "units", "kernel_size", "strides", "padding", "data_format"),
    *("dilation_rate", "groups", "depth_multiplier", "use_bias"),
)
_NORM_OPTIONS = ("name", "axis", "momentum", "epsilon", "center", "scale")
_SIGNS = "bnn"
_MERGED = ("BatchNormalization", _NORMALIZATION, "ReLU", "Activation")
_AVERAGES = ("AveragePooling1D", "AveragePooling2D")
# QKeras adds x and (y - x) in float32, which is not always y.
_ROUNDING = 1e-3
_AUTO = "auto_po2"


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
    return None, _activation_method(layer, quantizer)


def _read_norm(layer: Any) -> Origin:
    """BatchNorm with the values that its quantizers give."""
    if getattr(layer, "inverse_quantizer_internal", None) is not None:
        raise _refusal(layer, "an inverse_quantizer", "leave inverse_quantizer out")
    weights = []
    for role in ("gamma", "beta", "moving_mean", "moving_variance"):
        variable = getattr(layer, role, None)
        if variable is not None:
            quantizer = getattr(layer, f"{role.removeprefix('moving_')}_quantizer_internal", None)
            weights.append(_numbers(variable if quantizer is None else quantizer(variable)))
    config = layer.get_config()
    plain = {name: config[name] for name in _NORM_OPTIONS if name in config}
    if isinstance(plain.get("axis"), list | tuple):
        (plain["axis"],) = plain["axis"]
    return Origin(keras.layers.BatchNormalization(**plain), weights)


def _read_weighted(layer: Any) -> Origin:
    """A convolution or Dense with weights on the grid of its quantizer."""
    kind = type(layer).__name__
    if getattr(layer, "_mask", None) is not None:
        raise _refusal(layer, "a mask of its kernel", "multiply the kernel by the mask")
    role = "depthwise" if kind == "QDepthwiseConv2D" else "kernel"
    quantizer = getattr(layer, f"{role}_quantizer_internal", None)
    kernel = _numbers(getattr(layer, "depthwise_kernel" if role == "depthwise" else "kernel"))
    method = "int8"
    if quantizer is not None:
        grid = _weight_grid(layer, quantizer)
        kernel, method = _on_grid(layer, quantizer, kernel, grid), grid.name
    weights = [kernel]
    if layer.use_bias:
        bias = getattr(layer, "bias_quantizer_internal", None)
        weights.append(_numbers(layer.bias if bias is None else bias(layer.bias)))
    config = layer.get_config()
    activation, handed_on = _activation(layer)
    plain = {name: config[name] for name in _OPTIONS if name in config}
    if handed_on is not None and handed_on.startswith("u"):
        activation = "relu"
    float_layer = _WEIGHTED[kind](**plain, activation=activation)
    return Origin(float_layer, weights, {"weights": method}, handed_on)


def _on_grid(layer: Any, quantizer: Any, kernel: np.ndarray, grid: FixedPoint) -> np.ndarray:
    """The quantizer's values of a kernel, exactly code times step."""
    values = _numbers(quantizer(kernel)).astype(np.float64)
    step = np.asarray(grid.step)
    if grid.exponent is None:
        unit = 2.0 ** (_integer_bits(quantizer) - grid.bits + 1) if grid.kind == "s" else 1.0
        step = _numbers(quantizer.scale).astype(np.float64) * unit
        if step.size > 1 and step.shape != (1,) * (kernel.ndim - 1) + kernel.shape[-1:]:
            raise _refusal(layer, "scales for groups of weights", "have one scale per channel")
    codes = np.rint(values / step)
    if np.abs(codes - values / step).max(initial=0) > _ROUNDING or codes.max() > grid.hi:
        raise _refusal(layer, "values beside their own grid", "check the quantizer's options")
    return np.asarray(codes * step, np.float32)


def _weight_grid(layer: Any, quantizer: Any) -> FixedPoint:
    config = _plain_config(layer, quantizer)
    shift = _scale_exponent(layer, config.get("alpha"))
    kind = type(quantizer).__name__
    if kind == "binary" and not config.get("use_01"):
        return FixedPoint("b", 1, shift)
    if kind == "ternary":
        return FixedPoint("t", 2, shift)
    if kind != "quantized_bits":
        raise _unknown(layer, quantizer, "quantized_bits, binary or ternary")
    if shift is None and not config.get("keep_negative", True):
        raise _refusal(layer, f"alpha={_AUTO!r} of weights without sign", "give them alpha=1")
    grid = _bits_grid(layer, quantizer, config, shift)
    if not grid.fits_weights:
        raise _refusal(layer, "8-bit weights without sign", "use 7 bits, or keep_negative=True")
    return grid


def _activation_method(layer: Any, quantizer: Any) -> str:
    config = _plain_config(layer, quantizer)
    kind = type(quantizer).__name__
    if kind == "quantized_relu":
        for option in ("use_sigmoid", "negative_slope", "relu_upper_bound"):
            if config.get(option):
                raise _refusal(layer, f"{option} of quantized_relu", f"leave {option} out")
        bits = _bits(layer, config)
        return FixedPoint("u", bits, _integer_bits(quantizer) - bits).name
    alpha = config.get("alpha")
    shift = 0 if alpha is None else _scale_exponent(layer, alpha)
    if shift is None:
        raise _refusal(layer, f"alpha={alpha!r} of activations", "give them alpha=1")
    if kind == "binary" and not config.get("use_01") and shift == 0:
        return _SIGNS
    if kind != "quantized_bits":
        raise _unknown(layer, quantizer, "quantized_relu, quantized_bits or binary(alpha=1)")
    grid = _bits_grid(layer, quantizer, config, shift)
    if grid.kind == "b":
        raise _unknown(layer, quantizer, "binary(alpha=1) for one bit")
    return grid.name


def _bits_grid(
    layer: Any, quantizer: Any, config: Mapping[str, Any], shift: int | None
) -> FixedPoint:
    """Grid of quantized_bits: steps of alpha * 2**(integer - bits without sign)."""
    bits = _bits(layer, config)
    signed = bool(config.get("keep_negative", True))
    if signed and bits == 1:
        return FixedPoint("b", 1, shift)
    if shift is None:  # auto scales are symmetric
        return FixedPoint("s", bits, None)
    kind = "u" if not signed else "s" if config.get("symmetric") else ""
    exponent = _integer_bits(quantizer) - (bits - signed) + shift
    return FixedPoint(kind, bits, exponent)


def _bits(layer: Any, config: Mapping[str, Any]) -> int:
    bits = int(config["bits"])
    if not 1 <= bits <= MOST_BITS:
        raise _refusal(layer, f"codes of {bits} bits", f"use at most {MOST_BITS} bits")
    return bits


def _integer_bits(quantizer: Any) -> int:
    return int(_numbers(quantizer.get_config().get("integer", 0)))


def _plain_config(layer: Any, quantizer: Any) -> Mapping[str, Any]:
    """Options of a quantizer that rounds the same way each time."""
    if not hasattr(quantizer, "get_config"):
        raise _unknown(layer, quantizer, "quantizers of QKeras")
    config: Mapping[str, Any] = quantizer.get_config()
    if config.get("use_stochastic_rounding"):
        raise _refusal(layer, "stochastic rounding", "leave use_stochastic_rounding out")
    if float(_numbers(config.get("qnoise_factor", 1.0))) != 1.0:
        raise _refusal(layer, "a qnoise_factor below 1", "set it to 1 before the export")
    return config


def _scale_exponent(layer: Any, alpha: Any) -> int | None:
    """Binary logarithm of alpha; None where it is one power of two per channel."""
    if isinstance(alpha, str) and alpha == _AUTO:
        return None
    if alpha is None:
        return 0
    if not isinstance(alpha, str):
        number = _numbers(alpha).astype(np.float64)
        if number.size == 1 and float(number) > 0:
            mantissa, exponent = math.frexp(float(number))
            if mantissa == 0.5:
                return exponent - 1
    raise _refusal(layer, f"alpha={alpha!r}", f"use alpha=1, a power of two, or {_AUTO!r}")


def _refusal(layer: Any, what: str, remedy: str) -> ModelError:
    return ModelError(f"{what} cannot be imported from QKeras", where=layer.name, remedy=remedy)


def _unknown(layer: Any, quantizer: Any, known: str) -> ModelError:
    name = getattr(quantizer, "__name__", type(quantizer).__name__)
    return ModelError(
        f"the quantizer {name!r} is not known here", where=layer.name, remedy=f"use {known}"
    )


def _numbers(value: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(value))
