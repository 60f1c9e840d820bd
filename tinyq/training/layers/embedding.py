"""Rows of a table of weights, chosen by whole numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import ModelError
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops.gather import Gather
from tinyq.graph.ops.rescale import Rescale
from tinyq.numerics.formats import find_format
from tinyq.quantizers import Encoding, find_weights
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.patterns import FusedLayer
from tinyq.training.recipe import Rule
from tinyq.training.registry import lowers, quantizes, rewrites, serializable
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step
from tinyq.training.weighted import OWN_OPTIONS, WeightedLayer, has_few_bits

TOKENS = "ufixed8_0"
"""Activations that are the whole numbers 0 .. 255."""
WIDE_TOKENS = "ufixed16_0"
"""Those that are 0 .. 65535."""
MOST_NARROW, MOST = 1 << 8, 1 << 16
_FORMAT = "s8"


class Rows(keras.layers.Layer):
    """Rows of a table, in a plain float model.

    Args:
        input_dim: Rows of the table.
        output_dim: Channels.
        kernel_regularizer: Of the table.
    """

    def __init__(
        self, input_dim: int, output_dim: int, kernel_regularizer: Any = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.input_dim, self.output_dim = int(input_dim), int(output_dim)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        """Create the table."""
        del input_shape
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.input_dim, self.output_dim),
            initializer="uniform",
            regularizer=self.kernel_regularizer,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(..., channels)."""
        return (*input_shape, self.output_dim)

    def find_rows(self, values: Any) -> Any:
        """Rows that whole numbers choose; those beyond the ends choose the ends."""
        return ops.clip(ops.cast(ops.round(values), "int32"), 0, self.input_dim - 1)

    def call(self, inputs: Any) -> Any:
        """Rows."""
        return ops.take(self.kernel, self.find_rows(inputs), axis=0)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        regularizer = keras.regularizers.serialize(self.kernel_regularizer)
        sizes = {"input_dim": self.input_dim, "output_dim": self.output_dim}
        return {**super().get_config(), **sizes, "kernel_regularizer": regularizer}


class WideRows(Rows):
    """Rows of a table that 8 bits cannot tell apart."""


@serializable
class QuantizedEmbedding(WeightedLayer, Rows):
    """Rows of a table, all of one scale: the codes of the output are those of the weights.

    y[i, k] = kernel[x[i], k]
    """

    shared_axes = (0, 1)
    reduced_axes = ()
    sums_inputs = False
    use_bias = False
    activation = None

    def count_macs(self, input_shape: tuple[int, ...]) -> int:
        """None: rows are moved."""
        del input_shape
        return 0

    def encoding(self) -> Encoding:
        """That of the weights."""
        _, scale = self.weight_quantizer.split(self.kernel)
        step = ops.reshape(ops.cast(scale, "float32"), (-1,))[0]
        return Encoding(find_format(_FORMAT), step, ops.zeros_like(step))

    def ready(self) -> bool:
        """True: the range is that of the weights."""
        return True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Rows: of the simulated weights in training, of their codes in inference."""
        rows = self.find_rows(inputs)
        if training:
            return ops.take(self.training_kernel(), rows, axis=0)
        codes, _ = self.weight_quantizer.split(self.kernel)
        return self.encoding().real(ops.take(codes, rows, axis=0))


@rewrites("Embedding")
def rewrite_embedding(rewriting: Rewriting, use: Application) -> Any:
    """Rows of a table."""
    layer = use.layer
    if layer.mask_zero:
        raise use.refuse("mask_zero masks steps", "give sequences of one length, without a mask")
    if layer.input_dim > MOST:
        raise use.refuse(
            f"chooses among {layer.input_dim:,} rows, and codes of inputs have 16 bits",
            f"use input_dim of at most {MOST:,}",
        )
    kind = Rows if layer.input_dim <= MOST_NARROW else WideRows
    rows = kind(*(layer.input_dim, layer.output_dim, layer.embeddings_regularizer), name=use.name)
    rows.build(tuple(use.inputs[0].shape))
    rows.set_weights([ops.convert_to_numpy(layer.embeddings)])
    rows.trainable = layer.trainable
    return rewriting.add(rows, *use.inputs)


@quantizes("WideRows", weighted=True, reads=WIDE_TOKENS, emits="int8")
@quantizes("Rows", weighted=True, reads=TOKENS, emits="int8")
def build_embedding(fused: FusedLayer, options: dict[str, Any], rule: Rule) -> QuantizedEmbedding:
    """A table with weights of few bits."""
    assert rule.weights is not None
    stored = find_format(find_weights(rule.weights).format)
    if stored.table or not -128 <= stored.lo <= stored.hi <= 127:
        raise ModelError(
            f"rows of {rule.weights} are no codes with one scale",
            where=fused.name,
            remedy="use int8, int4 or ternary weights for it",
        )
    config = {k: v for k, v in fused.layer.get_config().items() if k not in OWN_OPTIONS}
    if not rule.weight_decay and has_few_bits(rule):
        config["kernel_regularizer"] = None
    return QuantizedEmbedding(**config, name=options["name"], weight_method=rule.weights)


@lowers("QuantizedEmbedding")
def lower_embedding(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Codes of tokens as whole numbers, then rows of the table."""
    layer = step.layer
    scale = float(ops.convert_to_numpy(layer.encoding().scale))
    table = lowering.constant(step, "table", layer.weight_codes(), _FORMAT, scale)
    shape = lowering.type(inputs[0]).shape
    bias = lowering.constant(step, "zeros", np.zeros(shape[-1], np.int32), "s32")
    widen = Rescale(Raw(1.0), zero_of(layer.input_encoding()))
    tokens = lowering.apply(step, widen, plain(inputs[0], step), bias, suffix="tokens")
    if len(shape) != 1:
        count = int(np.prod(shape, dtype=np.int64))
        tokens = lowering.reshape(step, tokens, (count,), suffix="flat")
        rows = lowering.apply(step, Gather(), table, tokens.name, suffix="rows")
        return lowering.reshape(step, rows, step.shape)
    return lowering.apply(step, Gather(), table, tokens.name)
