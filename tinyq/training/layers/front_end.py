"""From raw samples to features, in the integers of the device from the first layer on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph import Graph
from tinyq.graph.front_ends import PRESETS, build_front_end, count_frames, make_front_end
from tinyq.graph.reference import dequantize, quantize_input, run
from tinyq.numerics.formats import find_format
from tinyq.quantizers import Encoding
from tinyq.training.base import QuantizedLayer
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, serializable
from tinyq.training.tracing import Step

SAMPLES = "samples"
"""What stands for an activation method where a layer reads the model's input as it is."""
_SETTINGS = frozenset(
    field.name for entry in PRESETS.values() for field in dataclasses.fields(type(entry))
)


@serializable
class FrontEnd(QuantizedLayer):
    """Features of frames of a signal, not trained; the first layer of a model.

    It computes the graph of `tinyq.graph.front_ends.build_front_end`, so that a float model sees
    what the quantized one and the device see. The input is int16 samples as numbers, shape (batch,
    samples), or (batch, samples, axes) where the preset has axes. Output: (batch, frames, values).

    Args:
        preset: Key of `tinyq.graph.front_ends.PRESETS`.
        options: Settings of the preset that differ, by the names of its class; of those only 8 bits
            are allowed. Others are those of a Keras layer.

    Raises:
        TinyqError: There is no such preset or setting.

    Twin: the operations of tinyq.graph.front_ends.
    """

    def __init__(self, preset: str = "micro", **options: Any) -> None:
        settings = {name: options.pop(name) for name in list(options) if name in _SETTINGS}
        super().__init__(**options)
        self.trainable = False
        self.preset, self.settings = preset, settings
        self.front_end = make_front_end(preset, **settings)
        if self.front_end.bits != 8:
            raise ModelError(
                f"layers read 8 bits, the front end gives {self.front_end.bits}",
                where=self.name,
                remedy="leave bits out",
            )

    def _find_sources(self, tensors: list[Any]) -> tuple[Any, ...]:
        return ()

    def build(self, input_shape: Any) -> None:
        """Make the graph for signals of this length."""
        self.graph = self.make_graph(tuple(input_shape[1:]))
        self.built = True

    def make_graph(self, shape: tuple[int, ...]) -> Graph:
        """The graph for signals of a shape, without batch.

        Raises:
            ModelError: The shape is open or does not fit the preset.
        """
        axes = (self.front_end.axes,) if self.front_end.axes else ()
        if not shape or shape[0] is None or tuple(shape[1:]) != axes:
            wanted = ", ".join(("samples", *map(str, axes)))
            raise ModelError(
                f"the front end reads signals of shape ({wanted}), not {shape}",
                where=self.name,
                remedy=f"begin the model with keras.Input(({wanted},))",
            )
        return build_front_end(self.front_end, shape[0])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Frames and their features."""
        frames = count_frames(self.front_end, input_shape[1])
        return input_shape[0], frames, self.front_end.features * max(self.front_end.axes, 1)

    def encoding(self) -> Encoding:
        """What the codes of the output mean."""
        known = self.graph.output.type
        scale, zero = (np.float32(it) for it in (known.scale or 1.0, known.zero_point))
        return Encoding(
            find_format("s8"), ops.convert_to_tensor(scale), ops.convert_to_tensor(zero)
        )

    def call(self, inputs: Any) -> Any:
        """Real values of the features."""
        values = tf.numpy_function(self._compute, [ops.cast(inputs, "float32")], tf.float32)
        return tf.ensure_shape(values, self.compute_output_shape(tuple(inputs.shape)))

    def _compute(self, values: Any) -> Any:
        codes = run(self.graph, quantize_input(values, self.graph.input.type))
        return dequantize(codes, self.graph.output.type)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "preset": self.preset, **self.settings}


@quantizes("FrontEnd", reads=SAMPLES, emits="int8")
def quantize_front_end(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> FrontEnd:
    """The same layer: it computes integers already."""
    del rule
    return FrontEnd.from_config({**fused.layer.get_config(), "name": options["name"]})


@lowers("FrontEnd")
def lower_front_end(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """The operations of its graph, behind an input of the model."""
    if len(inputs) != 1 or not lowering.is_raw(step.inputs[0]):
        raise ModelError(
            "the front end does not read an input of the model",
            where=step.name,
            remedy="make it the first layer behind keras.Input",
        )
    graph = step.layer.make_graph(step.shapes[0])
    names = {graph.inputs[0]: lowering.begin(step.inputs[0], graph.input.type).name}
    for name, tensor in graph.tensors.items():
        if tensor.codes is not None:
            names[name] = lowering.constant(step, name, tensor.codes, tensor.type.format)
    for node in graph.nodes:
        sources = (names[name] for name in node.inputs)
        suffix = "" if node.output == graph.outputs[0] else node.name
        names[node.output] = lowering.apply(step, node.op, *sources, suffix=suffix).name
    return Value(names[graph.outputs[0]])
