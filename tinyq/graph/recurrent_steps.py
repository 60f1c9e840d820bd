"""A recurrent layer as a step: from gates of new steps and a state to the next state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyq.graph import TensorType
from tinyq.graph.builder import GraphBuilder
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.recurrence import Recurrence, RecurrenceStates
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.numerics.formats import find_format
from tinyq.numerics.recurrence import CODE_BITS

_MULTIPLIER_BITS = 30
_WORD_BITS = 15  # behind the point of words that are no hidden codes


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step gave.

    Attributes:
        state: Name of the next state.
        hidden: Name of the hidden codes, of all new steps or of the last one.
    """

    state: str
    hidden: str


def state_type(op: Recurrence, units: int) -> TensorType:
    """Type of the state of a recurrent layer; its first value is 0."""
    return TensorType((op.kind.states * units,), find_format("s16"))


def step_recurrence(
    builder: GraphBuilder,
    name: str,
    op: Recurrence,
    inputs: tuple[str, ...],
    state: str,
    inner: str = "",
) -> Stepped:
    """Add the nodes of new steps of a recurrent layer behind a state.

    The hidden codes are those that `Recurrence` gives for the whole sequence, if the state is the
    one that the steps before gave, and began with 0.

    Args:
        builder: The graph of the step.
        name: Of the hidden codes.
        op: The layer over a whole sequence.
        inputs: Its operands, gates of the new steps first.
        state: A tensor of `state_type`.
        inner: What the other nodes are called after, the name where it is empty.
    """
    inner = inner or name
    units = builder.type(inputs[1]).shape[1]
    steps = builder.type(inputs[0]).shape[0]
    whole = RecurrenceStates(op.cell, 1, op.shift)
    words = op.kind.states * units
    states = builder.apply(f"{inner}_states", whole, *inputs, state)
    last = StridedCopy((words,), (1,), (steps - 1) * words)
    following = builder.apply(f"{inner}_state", last, states)
    rows = steps if op.every else 1
    shown = StridedCopy((rows, units), (words, 1), (steps - rows) * words)
    first = builder.apply(f"{inner}_words", shown if op.every else _flat(shown), states)
    bits = 0 if op.kind.codes_first else _WORD_BITS - CODE_BITS
    epilogue = Requantize("s8", 2.0**-CODE_BITS, 0, -128, 127)
    constants = [
        builder.constant(f"{inner}_{key}", np.full(units, value, np.int64), find_format("s32"))
        for key, value in (
            ("bias", 0),
            ("multiplier", 1 << _MULTIPLIER_BITS),
            ("shift", _MULTIPLIER_BITS + bits),
        )
    ]
    return Stepped(following, builder.apply(name, Rescale(epilogue), first, *constants))


def _flat(copy: StridedCopy) -> StridedCopy:
    return StridedCopy(copy.shape[1:], copy.strides[1:], copy.start)
