"""What the layers of a quantized model are made of: bits, bytes, work and ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.numerics.formats import find_format
from tinyq.support.tables import Part, Table
from tinyq.training.base import QuantizedLayer
from tinyq.training.tracing import Step, walk
from tinyq.training.weighted import WeightedLayer

_HEADS = ("layer", "class", "output", "weights", "bytes", "MACs", "codes", "from", "to")
_FIGURES = ("bytes", "MACs", "from", "to")


@dataclass(frozen=True, slots=True)
class LayerOverview:
    """One layer.

    Attributes:
        name: Name of the layer.
        kind: Its class.
        shape: Of the output, without the batch.
        weight_method: Method of its weights; empty without weights.
        weight_format: Their number format; empty without weights.
        weight_bytes: Its packed weights, the epilogue's constants aside.
        macs: Multiply-accumulates of one inference, those with padding included.
        output_format: Number format of the codes that it emits.
        low: Smallest real value that these can mean; None before any data were seen.
        high: Largest real value.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weight_method: str
    weight_format: str
    weight_bytes: int
    macs: int
    output_format: str
    low: float | None
    high: float | None


def overview(model: keras.Model) -> tuple[LayerOverview, ...]:
    """The quantized layers of a model, from input to output; it need not be trained.

    Args:
        model: Quantized model.

    Raises:
        ModelError: The model is not functional.
    """
    return tuple(_describe(step) for step in walk(model) if isinstance(step.layer, QuantizedLayer))


def list_parts(name: str, layers: tuple[LayerOverview, ...]) -> list[Part]:
    """A table with a row for each layer, and a line with the sums."""
    rows = tuple(
        (
            layer.name,
            layer.kind,
            " x ".join(map(str, layer.shape)),
            f"{layer.weight_method} ({layer.weight_format})" if layer.weight_method else "",
            f"{layer.weight_bytes:,}" if layer.weight_method else "",
            f"{layer.macs:,}" if layer.weight_method else "",
            layer.output_format,
            _write(layer.low),
            _write(layer.high),
        )
        for layer in layers
    )
    weight_bytes = sum(layer.weight_bytes for layer in layers)
    return [
        Table(name, _HEADS, rows, _FIGURES),
        f"{weight_bytes:,} bytes of weights, {sum(layer.macs for layer in layers):,} "
        "multiply-accumulates; `tinyq inspect` counts what the device has",
    ]


def describe(model: keras.Model) -> str:
    """The same as text."""
    parts = list_parts(model.name, overview(model))
    return "\n".join(part if isinstance(part, str) else part.render() for part in parts)


def _write(value: float | None) -> str:
    return "not seen" if value is None else f"{value:.4g}"


def _describe(step: Step) -> LayerOverview:
    layer = step.layer
    encoding = layer.encoding()
    low, high = _find_range(layer, encoding) if layer.ready() else (None, None)
    weighted = isinstance(layer, WeightedLayer)
    return LayerOverview(
        name=step.name,
        kind=type(layer).__name__,
        shape=step.shape,
        weight_method=layer.weight_method if weighted else "",
        weight_format=layer.weight_quantizer.parts.format if weighted else "",
        weight_bytes=_count_bytes(layer) if weighted else 0,
        macs=_count_macs(layer, step) if weighted else 0,
        output_format=encoding.format.name,
        low=low,
        high=high,
    )


def _find_range(layer: Any, encoding: Any) -> tuple[float, float]:
    """Real values of the smallest and the largest code that comes out."""
    if encoding.format.step != 1:
        ends: Any = (encoding.lowest, encoding.highest)
    elif hasattr(layer, "clip_range"):
        ends = layer.clip_range()
    else:
        ends = (encoding.lowest, encoding.highest)
    values = [ops.convert_to_numpy(encoding.real(ops.cast(end, "float32"))) for end in ends]
    return float(values[0]), float(values[1])


def _count_bytes(layer: WeightedLayer) -> int:
    """Packed bytes of the weights as they lie on the device: rows along the input channels."""
    kernel = tuple(int(length) for length in layer.kernel.shape)
    quantizer = layer.weight_quantizer
    if quantizer.channel_axis == 0:
        kernel = (kernel[-1], *kernel[:-1])
    elif len(kernel) == 4:  # of a depthwise convolution: channels are innermost
        kernel = (*kernel[:2], kernel[2] * kernel[3])
    number_format = find_format(quantizer.parts.format)
    table = layer.weight_format().table_bytes if number_format.table else 0
    return number_format.tensor_bytes(kernel) + table


def _count_macs(layer: WeightedLayer, step: Step) -> int:
    if not layer.sums_inputs:
        return layer.count_macs(step.shapes[0])
    if isinstance(layer, keras.layers.Conv2DTranspose | keras.layers.Conv1DTranspose):
        return math.prod(step.shapes[0][:-1]) * int(np.prod(layer.kernel.shape))
    terms = math.prod(int(layer.kernel.shape[axis]) for axis in layer.reduced_axes)
    return math.prod(step.shape) * terms
