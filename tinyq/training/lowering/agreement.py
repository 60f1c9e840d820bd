"""Holds what Keras computes against what the reference computes, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.graph import Graph
from tinyq.graph.reference import quantize_input, run_named
from tinyq.training.base import QuantizedLayer
from tinyq.training.inputs import check_inputs
from tinyq.training.lowering.emission import identifiers
from tinyq.training.tracing import names_of, walk


@dataclass(frozen=True, slots=True)
class LayerAgreement:
    """How far one layer's codes differ.

    Attributes:
        layer: Name of the Keras layer.
        elements: Codes compared.
        differing: Codes that differ.
        largest: Largest absolute difference.
    """

    layer: str
    elements: int
    differing: int
    largest: int


def compare_layers(
    model: keras.Model, graph: Graph, x: Any, batch_size: int = 64
) -> tuple[LayerAgreement, ...]:
    """Codes of every quantized layer: Keras inference against the reference.

    Args:
        model: Quantized Keras model.
        graph: Its graph, from ``lower_keras`` (all layers) or ``import_keras`` (the layers that no
            pass removed or narrowed).
        x: Real inputs, shape (samples, ...); of several inputs a mapping by name, or a list.
        batch_size: Samples at a time.

    Returns:
        One entry per layer that is a tensor of the graph, in the graph's order.
    """
    steps = walk(model)
    names = identifiers(steps)
    if len(model.inputs) > 1:
        starts = names_of(model.inputs)
        names |= {
            step.name: names[step.inputs[0]]
            for step in steps
            if step.inputs and step.inputs[0] in starts
        }
    layers = {
        names[step.name]: step.layer
        for step in steps
        if isinstance(step.layer, QuantizedLayer) and _shape(graph, names[step.name]) == step.shape
    }
    shown = [name for name in (*graph.inputs, *(n.output for n in graph.nodes)) if name in layers]
    probe = keras.Model(model.inputs, [layers[name].output for name in shown])
    counts = {name: [0, 0, 0] for name in shown}
    values = [np.asarray(array, np.float32) for array in check_inputs(x, model)]
    for start in range(0, len(values[0]), batch_size):
        parts = [array[start : start + batch_size] for array in values]
        expected = {
            name: quantize_input(part, graph.tensors[name].type)
            for name, part in zip(graph.inputs, parts, strict=True)
        }
        run_named(graph, dict(expected), expected.__setitem__)
        # Batches of one size, as Keras compiles a model again for every other size.
        filled = [np.resize(part, (batch_size, *part.shape[1:])) for part in parts]
        outputs = probe.predict_on_batch(filled)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        for name, output in zip(shown, outputs, strict=True):
            _count(counts[name], _codes(layers[name], output[: len(parts[0])]), expected[name])
    return tuple(LayerAgreement(layers[name].name, *counts[name]) for name in shown)


def _shape(graph: Graph, name: str) -> tuple[int, ...] | None:
    return graph.tensors[name].type.shape if name in graph.tensors else None


def _codes(layer: Any, values: np.ndarray) -> np.ndarray:
    """Codes of a layer's output; a layer without encoding gives integers already."""
    if type(layer).encoding is QuantizedLayer.encoding:
        return np.rint(values).astype(np.int64)
    encoding = layer.encoding()
    scale = np.float64(ops.convert_to_numpy(encoding.scale))
    zero_point = int(ops.convert_to_numpy(encoding.zero_point))
    return np.rint(values.astype(np.float64) / scale).astype(np.int64) + zero_point


def _count(counts: list[int], found: np.ndarray, expected: np.ndarray) -> None:
    difference = np.abs(found - expected.astype(np.int64))
    counts[0] += difference.size
    counts[1] += int(np.count_nonzero(difference))
    counts[2] = max(counts[2], int(difference.max(initial=0)))
