"""Layers of LSTM, GRU and plain cells, and RNN around one of these cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from tinyq.numerics.recurrence import FUNCTIONS, GATES
from tinyq.training.layers.recurrence import Gates, Recurrent, require_units
from tinyq.training.layers.slicing import Slice
from tinyq.training.registry import kind_of, rewrites
from tinyq.training.rewriting import Application, Rewriting, name_of

_BACK, _WHOLE = (None, None, -1), (None, None, None)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the two layers have of a cell.

    Attributes:
        cell: Key of ``CELLS``.
        bias: What inputs add beside their products.
        recurrent_bias: What recurrent products have beside, or None.
    """

    cell: str
    bias: np.ndarray | None
    recurrent_bias: np.ndarray | None = None


def _split_plain(cell: Any, bias: np.ndarray | None) -> Parts:
    return Parts({"LSTMCell": "lstm", "SimpleRNNCell": "simple"}[kind_of(cell)], bias)


def _split_gru(cell: Any, bias: np.ndarray | None) -> Parts:
    if not cell.reset_after:
        return Parts("gru_before", bias)
    return Parts("gru", *((None, None) if bias is None else bias))


_CELLS: Mapping[str, Callable[[Any, np.ndarray | None], Parts]] = MappingProxyType(
    {"LSTMCell": _split_plain, "SimpleRNNCell": _split_plain, "GRUCell": _split_gru}
)


@rewrites("LSTM", "GRU", "SimpleRNN", "RNN")
def rewrite_recurrent(rewriting: Rewriting, use: Application) -> Any:
    """Products of the inputs for all steps together, then the steps."""
    layer, cell = use.layer, use.layer.cell
    _require_known(use, cell)
    (source,) = use.inputs
    if cell.dropout:
        mask = (None, 1, source.shape[-1])
        name = rewriting.name(f"{use.name}_dropout")
        dropout = keras.layers.Dropout(cell.dropout, noise_shape=mask, name=name)
        source = rewriting.add(dropout, source)
    if layer.go_backwards:
        turned = Slice([_BACK, _WHOLE], name=rewriting.name(f"{use.name}_backwards"))
        source = rewriting.add(turned, source)
    bias = keras.ops.convert_to_numpy(cell.bias) if cell.use_bias else None
    parts = _CELLS[kind_of(cell)](cell, bias)
    gates = Gates(
        cell.kernel.shape[-1],
        use_bias=parts.bias is not None,
        kernel_regularizer=cell.kernel_regularizer,
        bias_regularizer=cell.bias_regularizer,
        name=rewriting.name(f"{use.name}_gates"),
    )
    gates.build(tuple(source.shape))
    kernels = (cell.kernel, cell.recurrent_kernel)
    kernel, recurrent = (keras.ops.convert_to_numpy(one) for one in kernels)
    gates.set_weights([kernel] if parts.bias is None else [kernel, parts.bias])
    steps = Recurrent(
        cell.units,
        parts.cell,
        update=name_of(cell.activation),
        gate=name_of(getattr(cell, "recurrent_activation", keras.activations.sigmoid)),
        every=layer.return_sequences,
        use_bias=parts.recurrent_bias is not None,
        kernel_regularizer=cell.recurrent_regularizer,
        name=use.name,
    )
    middle = rewriting.add(gates, source)
    steps.build(tuple(middle.shape))
    own = [recurrent] if parts.recurrent_bias is None else [recurrent, parts.recurrent_bias]
    steps.set_weights(own)
    gates.trainable = steps.trainable = layer.trainable
    return rewriting.add(steps, middle)


def _require_known(use: Application, cell: Any) -> None:
    """Refuse what the device's code does not compute, each thing by its name."""
    layer = use.layer
    if kind_of(cell) not in _CELLS:
        raise use.refuse(
            f"cells of class {kind_of(cell)} are not supported",
            f"use one of {', '.join(_CELLS)}, and a layer of its own for each of several cells",
        )
    update, gate = name_of(cell.activation), name_of(getattr(cell, "recurrent_activation", None))
    if update not in FUNCTIONS:
        raise use.refuse(
            f"the activation {update} leaves -1 .. 1, which the hidden state's codes hold",
            f"use activation= one of {', '.join(FUNCTIONS)}",
        )
    if hasattr(cell, "recurrent_activation") and gate not in GATES:
        raise use.refuse(
            f"the recurrent activation {gate} is none that opens a gate from 0 to 1",
            f"use recurrent_activation= one of {', '.join(GATES)}",
        )
    if cell.recurrent_dropout:
        raise use.refuse("recurrent_dropout draws in every step", "use dropout, or none")
    if layer.return_state:
        raise use.refuse("return_state is not supported", "use return_sequences and slice")
    if layer.stateful:
        raise use.refuse(
            "a state that is kept between batches is not supported",
            "build it with stateful=False; --stream time=0,carry=1 keeps it on the device",
        )
    if len(use.inputs) != 1 or use.kwargs.get("initial_state") is not None:
        raise use.refuse("begins with a state that is given", "let it begin with zeros")
    if use.kwargs.get("mask") is not None:
        raise use.refuse("steps are masked", "give sequences of one length, without a mask")
    require_units(cell.units, use.refuse)


@rewrites("Bidirectional")
def rewrite_bidirectional(rewriting: Rewriting, use: Application) -> Any:
    """Both layers, the results of the second turned round, and what joins them."""
    layer = use.layer
    if use.kwargs.get("mask") is not None or use.kwargs.get("initial_state") is not None:
        raise use.refuse("steps are masked or begin with a state", "give the sequence alone")
    found = []
    for word, inner in (("forward", layer.forward_layer), ("backward", layer.backward_layer)):
        name = rewriting.name(f"{use.name}_{word}")
        one = rewriting.rewrite(Application(inner, name, use.inputs, use.inputs, {}, ()))
        if inner.go_backwards and layer.return_sequences:
            turned = Slice([_BACK, _WHOLE], name=rewriting.name(f"{use.name}_{word}_turned"))
            one = rewriting.add(turned, one)
        found.append(one)
    if layer.merge_mode is None:
        return found
    return rewriting.apply(_JOINTS[layer.merge_mode](name=use.name), *found)


_JOINTS: Mapping[str, type[keras.layers.Layer]] = MappingProxyType(
    {
        "concat": keras.layers.Concatenate,
        "sum": keras.layers.Add,
        "mul": keras.layers.Multiply,
        "ave": keras.layers.Average,
    }
)
