"""Quantization after training: ranges from a calibration set, no gradient and no label."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from tinyq.errors import TinyqError
from tinyq.quantizers.activations import RangeQuantizer
from tinyq.quantizers.parts.levels import Uniform
from tinyq.support.heap import trim_heap
from tinyq.training.assembly import Assembled
from tinyq.training.calibrate import calibrate
from tinyq.training.equalization import equalize
from tinyq.training.finite import require_finite
from tinyq.training.forward import Arrays, follow, settle_in_order
from tinyq.training.histograms import Histogram, choose_range, choose_weight_limits
from tinyq.training.inputs import check_inputs
from tinyq.training.patterns import FusedLayer, find_fused_layers
from tinyq.training.predicted_ranges import fit_ranges
from tinyq.training.quantize import quantize_fused_layers
from tinyq.training.reconstruction import Progress, Reconstruction, reconstruct
from tinyq.training.rewriting import rewrite
from tinyq.training.unquantize import unquantize
from tinyq.training.unrolling import unroll
from tinyq.training.weighted import WeightedLayer

METHODS: Mapping[int, str] = {
    8: "int8",
    7: "int7",
    6: "int6",
    5: "int5",
    4: "int4",
    3: "int3",
    2: "ternary",
}
RANGES = ("min_max", "percentile", "mse", "prediction")
_BATCH = 64
_MOST_CORRECTING = 128  # samples
_FINE = 127  # codes on either side that need no clipping

Ranges = Literal["min_max", "percentile", "mse", "prediction"]


@dataclass(frozen=True, slots=True)
class PostTraining:
    """How a float model is quantized after training.

    Attributes:
        bits: Bits of the weights, 2 (codes -1, 0, 1) to 8.
        end_bits: Bits of the weights of the first and the last layer; as ``bits`` when None.
        ranges: How the range of an activation follows from what it was seen to be: all of it, all
            but the share ``1 - percentile / 100``, the part with the least squared error, or the
            part with which the network's answers change least.
        percentile: Per cent of the values that the range covers, with ``percentile`` ranges.
        clip_weights: Whether each channel's weights are clipped where that lowers their squared
            error; for 4 bits, where the largest weight alone would make the step coarse.
        bias_correction: Whether the mean error of each channel goes into its bias.
        equalization: Whether scales move between layers so that all channels use the range.
        input_range: Smallest and largest real input; observed where None.
        recipe: Methods of the layers, in the place of ``bits`` and ``end_bits``; learned steps of
            activations start as the data show.
        reconstruction: How weights are rounded by the outputs that they give; to the nearest code
            where None.
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
    reconstruction: Reconstruction | None = None


def post_training(
    model: keras.Model,
    data: Any,
    options: PostTraining | None = None,
    progress: Progress | None = None,
) -> keras.Model:
    """A quantized model from a float model and some inputs; no training.

    Activations have 8 bits, with the ranges that the float model shows on ``data``.

    Args:
        model: Functional or Sequential float model, or one with layers that ``unquantize`` knows;
            it is left as it is.
        data: Real inputs, shape (samples, ...), some hundred are enough; of several inputs a
            mapping by their names, or a list in their order.
        options: How to do it.
        progress: Called with regions done, regions in all and what became of the last one, where
            there is a reconstruction.

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
    known = unquantize(unroll(model))
    twin = rewrite(known.model).model
    fused_layers = find_fused_layers(twin)
    values = check_inputs(data, twin)
    require_finite(known.model)
    if options.equalization and not known.takes_signs:
        equalize(fused_layers)
    recipe = _recipe(options)
    recipe["layers"] = {**recipe.get("layers", {}), **known.rules}
    assembled = quantize_fused_layers(fused_layers, recipe, twin)
    quantized = assembled.model
    if known.takes_signs:  # the float model computes other values than the signs give
        calibrate(quantized, values if len(values) > 1 else values[0], _BATCH)
        return quantized
    if options.recipe is not None:  # quantizers that are no ranges start by what they see
        first = [part[:_BATCH] for part in values]
        calibrate(quantized, first if len(first) > 1 else first[0], _BATCH)
    if options.clip_weights:
        _clip_weights(assembled.layers, known.rules)
    summing = tuple(
        fused
        for fused in fused_layers
        if fused.is_weighted and assembled.layers[fused.name].sums_inputs
    )
    ranges = _find_ranges(assembled.layers, fused_layers)
    means = _observe(twin, ranges, summing, values, options)
    if options.ranges == "prediction":
        fit_ranges(quantized, ranges, values, _answer(twin, values))
    if options.reconstruction is not None:
        ends = {fused.name: fused.end for fused in fused_layers if fused.name in assembled.layers}

        def wanted(name: str) -> Callable[[np.ndarray], np.ndarray] | None:
            return _find_output(twin, ends.get(name))

        samples = _only_input(values)
        reconstruct(quantized, wanted, samples, options.reconstruction, known.rules, progress)
    if options.bias_correction:
        _correct_biases(assembled, summing, means, values)
    return quantized


def _answer(twin: keras.Model, values: Arrays) -> np.ndarray:
    """What the float model says, shape (samples, numbers).

    Raises:
        TinyqError: It has several outputs.
    """
    if len(twin.outputs) > 1:
        raise TinyqError(
            f"the model has {len(twin.outputs)} outputs, and ranges by prediction know one",
            where="ranges",
            remedy="choose mse, percentile or min_max",
        )
    found = twin.predict(values[0] if len(values) == 1 else list(values), verbose=0)
    return np.asarray(found, np.float64).reshape(len(values[0]), -1)


def _check_options(options: PostTraining) -> None:
    for name, value in (("bits", options.bits), ("end_bits", options.end_bits or options.bits)):
        if value not in METHODS:
            raise TinyqError(f"{value} bits are not supported", where=name, remedy="use 2 to 8")
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


def _recipe(options: PostTraining) -> dict[str, Any]:
    if options.recipe is not None:
        return dict(options.recipe)
    method = METHODS[options.bits]
    end = {"weights": METHODS[options.end_bits or options.bits], "activations": "int8"}
    # The threshold of ternary weights is no step that they could be rounded by.
    methods = METHODS if options.reconstruction is None else {**METHODS, 2: "int2"}
    method = methods[options.bits]
    end = {"weights": methods[options.end_bits or options.bits], "activations": "int8"}
    recipe: dict[str, Any] = {"weights": method, "activations": "int8", "first": end, "last": end}
    if options.input_range is not None:
        recipe["input"] = {"range": list(options.input_range)}
    return recipe


def _weighted(layers: Mapping[str, Any]) -> dict[str, WeightedLayer]:
    """Layers with weights by the names of their fused_layers, from input to output."""
    return {name: layer for name, layer in layers.items() if isinstance(layer, WeightedLayer)}


def _clip_weights(layers: Mapping[str, Any], settled: Container[str]) -> None:
    """Clip the weights of all layers but those whose codes are settled."""
    for name, layer in _weighted(layers).items():
        parts = layer.weight_quantizer.parts
        if not _is_clipped(parts) or name in settled:
            continue  # 127 steps need no clipping, and the ternary threshold is no largest weight
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        limit = choose_weight_limits(kernel, layer.shared_axes, parts.levels.hi)
        layer.kernel.assign(np.clip(kernel, -limit, limit))


def _is_clipped(parts: Any) -> bool:
    """Whether the step follows from the largest weight, and is coarse."""
    return isinstance(parts.levels, Uniform) and parts.projection and parts.levels.hi < _FINE


def _only_input(values: Arrays) -> np.ndarray:
    """The inputs of a model that has one.

    Raises:
        TinyqError: It has several.
    """
    if len(values) == 1:
        return values[0]
    raise TinyqError(
        f"the model has {len(values)} inputs, and reconstruction knows one",
        where="--reconstruct",
        remedy="quantize without --reconstruct",
    )


def _find_output(twin: keras.Model, name: str | None) -> Callable[[np.ndarray], np.ndarray] | None:
    """What computes the output of a layer of the float model, or None."""
    if name is None:
        return None
    probe = keras.Model(twin.inputs[0], twin.get_layer(name).output)

    def run(values: np.ndarray) -> np.ndarray:
        starts = range(0, len(values), _BATCH)
        parts = (probe(values[start : start + _BATCH], training=False) for start in starts)
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])

    return run


def _find_ranges(
    layers: Mapping[str, Any], fused_layers: tuple[FusedLayer, ...]
) -> dict[str, RangeQuantizer]:
    """The quantizers that want a range, by the float layer whose output has it."""
    quantizers: dict[str, RangeQuantizer] = {}
    for fused in fused_layers:
        quantizer = getattr(layers.get(fused.name), "output_quantizer", None)
        if isinstance(quantizer, RangeQuantizer) and quantizer.fixed is None:
            quantizers[fused.end] = quantizer
    return quantizers


@dataclass(slots=True)
class _Mean:
    """Mean of a tensor over samples, by position."""

    total: Any = 0.0
    count: int = 0

    def add(self, values: np.ndarray) -> None:
        """Take up a batch."""
        self.total = self.total + values.sum(axis=0, dtype=np.float64)
        self.count += len(values)

    @property
    def mean(self) -> np.ndarray:
        """Mean of all samples so far, float64."""
        return np.asarray(self.total / self.count)


def _observe(
    twin: keras.Model,
    quantizers: Mapping[str, RangeQuantizer],
    summing: tuple[FusedLayer, ...],
    values: Arrays,
    options: PostTraining,
) -> dict[str, np.ndarray]:
    """Set the ranges; returns the mean of each weighted layer's input in the float model.

    One run over the samples finds both; the means are those of the samples that correct biases.
    """
    histograms = {name: Histogram() for name in quantizers}
    means = {fused.name: _Mean() for fused in summing if options.bias_correction}
    ends = {name: twin.get_layer(name).output for name in quantizers}
    sources = {fused.name: fused.layer.input for fused in summing if fused.name in means}
    wanted = {f"range {name}": end for name, end in ends.items()}
    wanted |= {f"mean {name}": source for name, source in sources.items()}
    chosen = _choose_samples(len(values[0]))
    for key, batch, start in follow(twin, wanted, values):
        what, _, name = key.partition(" ")
        if what == "range":
            histograms[name].count(batch)
        else:
            means[name].add(batch[chosen[start : start + len(batch)]])
    kind = "min_max" if options.ranges == "prediction" else options.ranges
    for name, quantizer in quantizers.items():
        low, high = choose_range(histograms[name], kind, options.percentile)
        quantizer.low.assign(low)
        quantizer.high.assign(high)
        quantizer.seen.assign(1.0)
    return {name: mean.mean for name, mean in means.items()}


def _correct_biases(
    assembled: Assembled,
    summing: tuple[FusedLayer, ...],
    means: dict[str, np.ndarray],
    values: Arrays,
) -> None:
    """Take the mean error that the layers' sums have by now out of each channel, in order.

        bias += E[W x] - E[W_q x_q] = W E[x] - W_q E[x_q]

    The means, which are as large as a sample's activations, are taken out of their mapping.

    Reference: Nagel et al. 2019, arXiv:1906.04721, section 4.2 and appendix D.
    """
    layers = _weighted(assembled.layers)
    wanted = {
        id(layers[fused.name]): _mean_of_sums(
            layers[fused.name],
            means.pop(fused.name),
            layers[fused.name].order_kernel(fused.layer.kernel),
        )
        for fused in summing
    }

    trim_heap()  # of the float model's activations and means, before those of integers

    def correct(layer: Any, mean: np.ndarray) -> None:
        if id(layer) in wanted:
            kernel = layer.weight_quantizer.quantized(layer.kernel)
            _shift(layer, wanted[id(layer)] - _mean_of_sums(layer, mean, kernel))

    settle_in_order(
        assembled.model,
        [layer.output for layer in layers.values()],
        values,
        np.flatnonzero(_choose_samples(len(values[0]))),
        correct,
    )


def _choose_samples(count: int) -> np.ndarray:
    """Which samples correct biases, bool: all, or evenly spread ones where there are many.

    Both means are of the same samples, so that their difference is the error of quantization alone,
    which varies little from sample to sample.
    """
    chosen = np.zeros(count, bool)
    chosen[np.linspace(0, count - 1, min(count, _MOST_CORRECTING)).astype(int)] = True
    return chosen


def _mean_of_sums(layer: WeightedLayer, mean: np.ndarray, kernel: Any) -> np.ndarray:
    """Mean of each channel's sum of products, without bias, from the mean of the input.

    Sums of products are linear: the mean of all samples' sums is the sum for the mean sample.
    """
    sums = layer.accumulate(
        keras.ops.convert_to_tensor(mean[None], "float64"), keras.ops.cast(kernel, "float64")
    )
    found = keras.ops.convert_to_numpy(sums)
    return np.asarray(found.reshape(-1, found.shape[-1]).mean(axis=0))


def _shift(layer: WeightedLayer, difference: np.ndarray) -> None:
    """Add a constant to each channel's sum where the layer has room for one."""
    if layer.use_bias:
        layer.bias.assign(keras.ops.convert_to_numpy(layer.bias) + difference)
    elif layer.batch_norm is not None:
        mean = layer.batch_norm.moving_mean
        mean.assign(keras.ops.convert_to_numpy(mean) - difference)
