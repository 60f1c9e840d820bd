"""Quantization after training: ranges from a calibration set, no gradient and no label."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from tinyq.errors import DataError, TinyqError
from tinyq.quantizers.activations import RangeQuantizer
from tinyq.training.calibrate import calibrate
from tinyq.training.equalization import equalize
from tinyq.training.finite import require_finite
from tinyq.training.histograms import choose_range, choose_weight_limits, observe
from tinyq.training.patterns import FusedLayer, find_fused_layers
from tinyq.training.quantize import quantize_fused_layers
from tinyq.training.rewriting import rewrite
from tinyq.training.tracing import walk
from tinyq.training.unquantize import unquantize
from tinyq.training.weighted import WeightedLayer

METHODS: Mapping[int, str] = {8: "int8", 4: "int4", 2: "ternary"}
RANGES = ("min_max", "percentile", "mse")
_BATCH = 64

Ranges = Literal["min_max", "percentile", "mse"]


@dataclass(frozen=True, slots=True)
class PostTraining:
    """How a float model is quantized after training.

    Attributes:
        bits: Bits of the weights, 8, 4 or 2 (codes -1, 0, 1).
        end_bits: Bits of the weights of the first and the last layer; as ``bits`` when None.
        ranges: How the range of an activation follows from what it was seen to be: all of it, all
            but the share ``1 - percentile / 100``, or the part with the least squared error.
        percentile: Per cent of the values that the range covers, with ``percentile`` ranges.
        clip_weights: Whether each channel's weights are clipped where that lowers their squared
            error; for 4 bits, where the largest weight alone would make the step coarse.
        bias_correction: Whether the mean error of each channel goes into its bias.
        equalization: Whether scales move between layers so that all channels use the range.
        input_range: Smallest and largest real input; observed where None.
        recipe: Methods of the layers, in the place of ``bits`` and ``end_bits``; learned steps of
            activations start as the data show.
    """

    bits: int = 8
    end_bits: int | None = None
    ranges: Ranges = "mse"
    percentile: float = 99.99
    clip_weights: bool = True
    bias_correction: bool = True
    equalization: bool = False
    input_range: tuple[float, float] | None = None
    recipe: Mapping[str, Any] | None = None


def post_training(
    model: keras.Model, data: Any, options: PostTraining | None = None
) -> keras.Model:
    """A quantized model from a float model and some inputs; no training.

    Activations have 8 bits, with the ranges that the float model shows on ``data``.

    Args:
        model: Functional or Sequential float model with one input and one output, or one with
            layers that ``unquantize`` knows; it is left as it is.
        data: Real inputs, shape (samples, ...); some hundred are enough.
        options: How to do it.

    Returns:
        A model as ``tinyq.quantize`` makes it, ready for ``import_keras``.

    Raises:
        DataError: The data do not fit the model.
        ModelError: A layer is not supported, or a weight is not finite.
        TinyqError: An option is out of range.

    Reference: Nagel et al. 2021, arXiv:2106.08295, section 3.
    """
    options = options or PostTraining()
    _check_options(options)
    known = unquantize(model)
    twin = rewrite(known.model).model
    fused_layers = find_fused_layers(twin)
    values = _check_data(data, fused_layers[0])
    require_finite(known.model)
    if options.equalization and not known.takes_signs:
        equalize(fused_layers)
    recipe = _recipe(options)
    recipe["layers"] = {**recipe.get("layers", {}), **known.rules}
    assembled = quantize_fused_layers(fused_layers, recipe, model.name)
    quantized = assembled.model
    if known.takes_signs:  # the float model computes other values than the signs give
        calibrate(quantized, values, _BATCH)
        return quantized
    if options.recipe is not None:  # quantizers that are no ranges start by what they see
        calibrate(quantized, values[:_BATCH], _BATCH)
    if options.clip_weights:
        _clip_weights(quantized, known.rules)
    _set_ranges(assembled.layers, twin, fused_layers, values, options)
    if options.bias_correction:
        _correct_biases(quantized, twin, fused_layers, values)
    return quantized


def _check_options(options: PostTraining) -> None:
    for name, value in (("bits", options.bits), ("end_bits", options.end_bits or options.bits)):
        if value not in METHODS:
            raise TinyqError(f"{value} bits are not supported", where=name, remedy="use 8, 4 or 2")
    if options.ranges not in RANGES:
        raise TinyqError(
            f"there are no ranges {options.ranges!r}",
            where="ranges",
            remedy=f"use {', '.join(RANGES)}",
        )
    if not 50.0 < options.percentile <= 100.0:
        raise TinyqError(
            f"{options.percentile} is no percentile of a range",
            where="percentile",
            remedy="give a number above 50, at most 100",
        )


def _check_data(data: Any, start: FusedLayer) -> np.ndarray:
    values = np.asarray(data, np.float32)
    shape = tuple(start.layer.batch_shape[1:])
    if values.ndim < 1 or len(values) == 0:
        raise DataError("the calibration set holds no sample", remedy="give some hundred inputs")
    if values.shape[1:] != shape:
        raise DataError(
            f"inputs have shape {values.shape[1:]}, the model takes {shape}",
            remedy="reshape the data so that one sample has the model's input shape",
        )
    if not np.isfinite(values).all():
        raise DataError("an input is NaN or infinite", remedy="clean the data")
    return values


def _recipe(options: PostTraining) -> dict[str, Any]:
    if options.recipe is not None:
        return dict(options.recipe)
    method = METHODS[options.bits]
    end = {"weights": METHODS[options.end_bits or options.bits], "activations": "int8"}
    recipe: dict[str, Any] = {"weights": method, "activations": "int8", "first": end, "last": end}
    if options.input_range is not None:
        recipe["input"] = {"range": list(options.input_range)}
    return recipe


def _weighted(model: keras.Model) -> list[WeightedLayer]:
    """Layers with weights, from input to output."""
    names = [step.name for step in walk(model)]
    layers = [model.get_layer(name) for name in names]
    return [layer for layer in layers if isinstance(layer, WeightedLayer)]


def _clip_weights(model: keras.Model, settled: Container[str]) -> None:
    """Clip the weights of all layers but those whose codes are settled."""
    for layer in _weighted(model):
        parts = layer.weight_quantizer.parts
        if parts.format != "s4" or layer.name in settled:
            continue  # 127 steps need no clipping, and the ternary threshold is no largest weight
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        limit = choose_weight_limits(kernel, layer.shared_axes, parts.levels.hi)
        layer.kernel.assign(np.clip(kernel, -limit, limit))


def _set_ranges(
    layers: Mapping[str, Any],
    twin: keras.Model,
    fused_layers: tuple[FusedLayer, ...],
    values: np.ndarray,
    options: PostTraining,
) -> None:
    """Give every range quantizer the range that its fused layer has in the float model."""
    quantizers: dict[str, RangeQuantizer] = {}
    for fused in fused_layers:
        quantizer = getattr(layers.get(fused.name), "output_quantizer", None)
        if isinstance(quantizer, RangeQuantizer) and quantizer.fixed is None:
            quantizers[fused.end] = quantizer
    if not quantizers:
        return
    ends = [twin.get_layer(name).output for name in quantizers]
    histograms = observe(_probe(twin, ends), values, _BATCH)
    for quantizer, histogram in zip(quantizers.values(), histograms, strict=True):
        low, high = choose_range(histogram, options.ranges, options.percentile)
        quantizer.low.assign(low)
        quantizer.high.assign(high)
        quantizer.seen.assign(1.0)


Probe = Callable[[np.ndarray], list[np.ndarray]]


def _probe(model: keras.Model, tensors: list[Any]) -> Probe:
    """Values of tensors for a batch."""
    probe = keras.Model(model.inputs[0], tensors)

    def run(batch: np.ndarray) -> list[np.ndarray]:
        results = probe(batch, training=False)
        results = results if isinstance(results, list | tuple) else [results]
        return [keras.ops.convert_to_numpy(result) for result in results]

    return run


def _correct_biases(
    model: keras.Model, twin: keras.Model, fused_layers: tuple[FusedLayer, ...], values: np.ndarray
) -> None:
    """Take the mean error that the layers' sums have by now out of each channel, in order.

    bias += E[W x] - E[W_q x_q]

    Reference: Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D.
    """
    layers = _weighted(model)
    if not layers:
        return
    sources = [fused.layer.input for fused in fused_layers if fused.is_weighted]
    own = {layer.name: layer for layer in layers}
    kernels = {
        fused.name: own[fused.name].order_kernel(fused.layer.kernel)
        for fused in fused_layers
        if fused.is_weighted
    }
    wanted = _means_of_sums(_probe(twin, sources), layers, values, kernels)
    for layer, target in zip(layers, wanted, strict=True):
        probe = _probe(model, [layer.input])
        weights = {layer.name: layer.weight_quantizer.quantized(layer.kernel)}
        (found,) = _means_of_sums(probe, [layer], values, weights)
        _shift(layer, target - found)


def _means_of_sums(
    probe: Probe, layers: list[WeightedLayer], values: np.ndarray, kernels: Mapping[str, Any]
) -> list[np.ndarray]:
    """Mean of each channel's sum of products, without bias; one vector per layer."""
    totals: list[Any] = [0.0] * len(layers)
    for start in range(0, len(values), _BATCH):
        batch = values[start : start + _BATCH]
        for index, (layer, inputs) in enumerate(zip(layers, probe(batch), strict=True)):
            sums = keras.ops.convert_to_numpy(layer.accumulate(inputs, kernels[layer.name]))
            rows = sums.reshape(len(batch), -1, sums.shape[-1]).mean(axis=1, dtype=np.float64)
            totals[index] = totals[index] + rows.sum(axis=0)
    return [total / len(values) for total in totals]


def _shift(layer: WeightedLayer, difference: np.ndarray) -> None:
    """Add a constant to each channel's sum where the layer has room for one."""
    if layer.use_bias:
        layer.bias.assign(keras.ops.convert_to_numpy(layer.bias) + difference)
    elif layer.batch_norm is not None:
        mean = layer.batch_norm.moving_mean
        mean.assign(keras.ops.convert_to_numpy(mean) - difference)
