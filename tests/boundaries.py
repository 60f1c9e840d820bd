"""Pairs of layers on both sides of what a specialized kernel takes, from its own bounds.

A ladder is a row of layers that differ in one number. Where a kernel takes the foot and refuses the
head, bisection finds the last layer that it takes and the first that it refuses, or that no graph
can have: sums of codes of 16 bits leave int32 before many a kernel's own bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Epilogue, Requantize, RequantizeTwice, RequantizeWide
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.kernels.base import Bound, Kernel, Refusal
from tinyq.kernels.layer import describe_layer
from tinyq.numerics.formats import find_format

S32 = find_format("s32")
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Rung:
    """A layer of a ladder.

    Attributes:
        operation: Class of the operation.
        shape: Of the input.
        outputs: Channels.
        side: Of the window.
        stride: In both directions.
        weight: All weights.
        bias: Of every channel.
        multiplier: Of every channel.
        shift: Of every channel; the exponent, negated, where it rounds twice.
        zero: Zero point of the output.
        twice: Whether the epilogue rounds twice.
        wide: Whether its mantissa has 63 bits.
    """

    operation: str
    shape: tuple[int, ...]
    outputs: int
    side: int = 3
    stride: int = 1
    weight: int = 1
    bias: int = 0
    multiplier: int = 2**30
    shift: int = 38
    zero: int = 0
    twice: bool = False
    wide: bool = False

    @property
    def room(self) -> int:
        """The largest bias that keeps all accumulators within int32."""
        taps = self.shape[-1] if self.operation != "DepthwiseConv2D" else 1
        taps *= 1 if self.operation == "Dense" else self.side**2
        return _MOST - taps * abs(self.weight) * 256


Ladder = tuple[str, int, int, Callable[[Rung, int], Rung]]
"""Name, foot, head, and the layer of a number between them."""

LADDERS: tuple[Ladder, ...] = (
    ("a large bias", 0, _MOST, lambda rung, t: replace(rung, bias=min(t, rung.room))),
    ("a small bias", 0, _MOST, lambda rung, t: replace(rung, bias=-min(t, rung.room))),
    ("a small shift", 38, 1, lambda rung, t: replace(rung, shift=t)),
    ("a large shift", 38, 62, lambda rung, t: replace(rung, shift=t, zero=90)),
    ("a large weight", 1, 127, lambda rung, t: replace(rung, weight=t)),
    ("a small weight", 1, -128, lambda rung, t: replace(rung, weight=t)),
    (
        "a small exponent",
        8,
        31,
        lambda rung, t: replace(rung, shift=t, twice=True, zero=9),
    ),
    ("a large exponent", 8, -20, lambda rung, t: replace(rung, shift=t, twice=True)),
    (
        "a large bias, rounded twice",
        0,
        _MOST,
        lambda rung, t: replace(rung, shift=8, twice=True, bias=min(t, rung.room)),
    ),
)
WIDE_LADDERS: tuple[Ladder, ...] = (
    ("a large bias, wide", 0, _MOST, lambda rung, t: replace(rung, wide=True, shift=48, bias=t)),
    ("a small bias, wide", 0, _MOST, lambda rung, t: replace(rung, wide=True, shift=48, bias=-t)),
    ("a small shift, wide", 48, 31, lambda rung, t: replace(rung, wide=True, shift=t)),
    ("a large shift, wide", 48, 62, lambda rung, t: replace(rung, wide=True, shift=t, zero=90)),
    (
        "a large weight, wide",
        1,
        127,
        lambda rung, t: replace(rung, wide=True, shift=48, weight=t, bias=2**30),
    ),
)
LONG: Ladder = (
    "many inputs",
    8,
    1500,
    lambda rung, t: replace(rung, shape=(*rung.shape[:-1], t), weight=127, shift=45),
)
FEET: Mapping[str, tuple[Rung, ...]] = MappingProxyType(
    {
        "conv2d": (
            Rung("Conv2D", (8, 8, 8), 8),
            Rung("Conv2D", (8, 8, 32), 32),
            Rung("Conv2D", (8, 8, 64), 64),
            Rung("Conv2D", (6, 6, 8), 8, 1),
        ),
        "dense": (Rung("Dense", (1, 32), 8), Rung("Dense", (1, 64), 8)),
        "depthwise2d": (
            Rung("DepthwiseConv2D", (8, 8, 8), 8),
            Rung("DepthwiseConv2D", (8, 8, 8), 8, stride=2),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two layers, the last that a kernel takes and the first that it refuses.

    Attributes:
        kernel: The kernel.
        ladder: What differs.
        inside: A graph that the kernel takes.
        reason: Why it refuses the next one.
        at: The number of both.
    """

    kernel: Kernel
    ladder: str
    inside: Graph
    reason: str
    at: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.kernel.name}, {self.ladder} {self.at[0]}, then {self.at[1]}: {self.reason}"


def list_ladders(kernel: Kernel) -> tuple[Ladder, ...]:
    """The ladders of a kernel's operation."""
    found = (*LADDERS, LONG) if kernel.operation == "dense" else LADDERS
    return (*found, *WIDE_LADDERS) if kernel.formats[0] == "s16" else found


def list_pairs(kernel: Kernel, ladders: Sequence[Ladder] = ()) -> Iterator[Pair]:
    """The pairs of a kernel, each reason of a ladder once; on all ladders if none is given."""
    formats = kernel.formats[0], "s8" if kernel.formats[-1] == "int8" else kernel.formats[-1]
    seen = set()
    for foot in FEET.get(kernel.operation, ()):
        for name, first, last, climb in ladders or list_ladders(kernel):
            pair = _find_pair(kernel, formats, (name, first, last, partial(climb, foot)))
            if pair and (name, pair.reason) not in seen:
                seen.add((name, pair.reason))
                yield pair


def _find_pair(
    kernel: Kernel,
    formats: tuple[str, str],
    ladder: tuple[str, int, int, Callable[[int], Rung]],
) -> Pair | None:
    name, inside, outside, climb = ladder
    if not isinstance(_bind(kernel, formats, climb(inside)), Bound):
        return None
    refused = _bind(kernel, formats, climb(outside))
    if not isinstance(refused, Refusal):
        return None
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        found = _bind(kernel, formats, climb(middle))
        if isinstance(found, Refusal):
            outside, refused = middle, found
        else:
            inside = middle
    return Pair(kernel, name, make(climb(inside), formats), refused.reason, (inside, outside))


def _bind(kernel: Kernel, formats: tuple[str, str], rung: Rung) -> Bound | Refusal:
    try:
        graph = make(rung, formats)
    except ModelError:
        return Refusal("no graph can have such a layer")
    return kernel.bind(describe_layer(graph, graph.nodes[0], (kernel.isa, "generic")))


def make(rung: Rung, formats: tuple[str, str], name: str = "model") -> Graph:
    """The graph of a layer."""
    x, w = map(find_format, formats)
    builder = GraphBuilder.start(name, TensorType(rung.shape, x))
    window = Window((rung.side,) * 2, (rung.stride,) * 2, padding=_pad(rung))
    shape = {
        "Dense": (rung.outputs, rung.shape[-1]),
        "DepthwiseConv2D": (rung.side, rung.side, rung.outputs),
    }.get(rung.operation, (rung.outputs, rung.side, rung.side, rung.shape[-1]))
    values = np.full(shape, min(max(rung.weight, w.lo), w.hi))
    if w.step == 2:
        values = np.full(shape, 1 if rung.weight > 0 else -1)
    weights = builder.constant("w", values, w)
    epilogue = _make_epilogue(rung)
    numbers = {"bias": rung.bias, "multiplier": rung.multiplier, "shift": rung.shift}
    numbers |= {"exponent": -rung.shift, "bias_high": 0, "multiplier_low": 2**31 - 1}
    tables = [
        builder.constant(key, np.full(rung.outputs, numbers[key]), S32) for key in epilogue.names
    ]
    windowed = () if rung.operation == "Dense" else (window,)
    operation = OPERATIONS[rung.operation](epilogue, *windowed)
    return builder.build(builder.apply("layer", operation, "input", weights, *tables))


def _make_epilogue(rung: Rung) -> Epilogue:
    kind = RequantizeWide if rung.wide else RequantizeTwice if rung.twice else Requantize
    return kind("s8", 1.0, rung.zero, -128, 127)


def _pad(rung: Rung) -> tuple[int, int, int, int]:
    if rung.stride == 2:
        return (0, 1, 0, 1)
    return (rung.side // 2,) * 4  # type: ignore[return-value]
