"""Layers that a kernel is bound to, whose micro-kernels are then called alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.fast_graphs import add_tables
from tinyq.graph import Graph, GraphBuilder, TensorType, reference
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Epilogue, Requantize, RequantizeTwice
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.window import Window
from tinyq.kernels.base import Bound, Refusal
from tinyq.kernels.layer import describe_layer
from tinyq.kernels.registry import list_kernels
from tinyq.numerics.formats import Format, find_format

PADDED = Window((3, 3), padding=(1, 1, 1, 1))
FILLED = 0xA5  # every byte that nothing has written
_TRIES = 200  # draws of constants, of which some leave a kernel's integers


@dataclass(frozen=True, slots=True)
class Drawn:
    """A bound layer with what NumPy needs of it.

    Attributes:
        bound: The kernel.
        weights: Codes, int64.
        x: Codes of the input without its batch, int64.
        zero: Zero point of the input.
        sums: What the epilogue gets, without its bias.
        y: Codes of the output.
    """

    bound: Bound
    weights: np.ndarray
    x: np.ndarray
    zero: int
    sums: np.ndarray
    y: np.ndarray

    def table(self, index: int = 0) -> np.ndarray:
        """Words of a table."""
        return self.bound.tables[index].words

    def pad(self) -> np.ndarray:
        """The input with its padding, and as much of it again below and to the right."""
        g = self.bound.layer.geometry
        sides = [(g["pad_top"], g["kernel_height"]), (g["pad_left"], g["kernel_width"]), (0, 0)]
        return np.pad(self.x, sides, constant_values=self.zero)


def once(rng: np.random.Generator, low: int = -128, high: int = 127) -> Requantize:
    """An epilogue that rounds once to bytes."""
    return Requantize("s8", 1.0, int(rng.integers(low, high + 1)), low, high)


def twice(rng: np.random.Generator, low: int = -128, high: int = 127) -> RequantizeTwice:
    """An epilogue that rounds twice."""
    return RequantizeTwice("s8", 1.0, int(rng.integers(low, high + 1)), low, high)


def list_epilogues(rng: np.random.Generator) -> tuple[Epilogue, ...]:
    """All that most kernels finish themselves: a saturation, another range, two roundings."""
    unsigned = Requantize("u8", 1.0, int(rng.integers(0, 256)), 0, 255)
    return once(rng), unsigned, once(rng, -100, 90), twice(rng), twice(rng, -77, 127)


def draw_codes(rng: np.random.Generator, entry: Format, *shape: int) -> np.ndarray:
    """Any codes, now and then the extremes alone."""
    if rng.random() < 0.3:
        return rng.choice(np.array([entry.lo, entry.hi]), shape)
    return rng.integers(entry.lo, entry.hi + 1, shape)


def draw_weights(
    rng: np.random.Generator, entry: Format, shape: tuple[int, ...], most: int = 2**15
) -> np.ndarray:
    """Codes without -128, which some kernels refuse, no further from zero than ``most``."""
    codes = draw_codes(rng, entry, *shape)
    return np.clip(codes, max(entry.lo, -127, -most), min(entry.hi, most))


def bind(name: str, graph: Graph) -> Bound | Refusal:
    """A kernel's answer about the only layer of a graph."""
    (kernel,) = (it for it in list_kernels() if it.name == name)
    return kernel.bind(describe_layer(graph, graph.nodes[0], (kernel.isa,)))


def bind_drawn(name: str, draw: Callable[[], tuple[Graph, np.ndarray]]) -> tuple[Bound, np.ndarray]:
    """A kernel bound to the first layer that it takes, and the layer's weights.

    Raises:
        AssertionError: It takes none.
    """
    for _ in range(_TRIES):
        graph, weights = draw()
        if isinstance(answer := bind(name, graph), Bound):
            return answer, weights
    raise AssertionError(f"{name} takes no layer of {_TRIES}: {answer.reason}")


def draw_conv(
    rng: np.random.Generator,
    name: str,
    image: tuple[int, int, int],
    channels: int,
    window: Window,
    epilogue: Epilogue,
    kinds: tuple[str, str] = ("s8", "s8"),
    most: int = 2**15,
) -> Drawn:
    """A convolution; ``kinds`` are the formats of inputs and weights."""
    shape = (channels, *window.size, image[2])

    def make(zero: int) -> Accumulating:
        return Conv2D(epilogue, window, zero)

    return _draw(rng, name, image, shape, make, kinds, most)


def draw_depthwise(
    rng: np.random.Generator,
    name: str,
    image: tuple[int, int, int],
    window: Window,
    epilogue: Epilogue,
    kinds: tuple[str, str] = ("s8", "s8"),
    most: int = 2**15,
) -> Drawn:
    """A depthwise convolution with one output of each channel."""

    def make(zero: int) -> Accumulating:
        return DepthwiseConv2D(epilogue, window, zero)

    return _draw(rng, name, image, (*window.size, image[2]), make, kinds, most)


def draw_dense(
    rng: np.random.Generator,
    name: str,
    inputs: int,
    channels: int,
    epilogue: Epilogue,
    kinds: tuple[str, str] = ("s8", "s8"),
    most: int = 2**15,
) -> Drawn:
    """A dense layer of one row."""

    def make(zero: int) -> Accumulating:
        return Dense(epilogue, zero)

    return _draw(rng, name, (1, inputs), (channels, inputs), make, kinds, most)


def _draw(
    rng: np.random.Generator,
    name: str,
    image: tuple[int, ...],
    shape: tuple[int, ...],
    make: Callable[[int], Accumulating],
    kinds: tuple[str, str],
    most: int,
) -> Drawn:
    entry, weight_entry = map(find_format, kinds)
    found: list[tuple[Graph, Accumulating, np.ndarray, int]] = []

    def draw() -> tuple[Graph, np.ndarray]:
        zero = int(rng.integers(max(entry.lo, -300), min(entry.hi, 300) + 1))
        operation = make(zero)
        weights = draw_weights(rng, weight_entry, shape, most).astype(np.int32)
        builder = GraphBuilder.start("layer", TensorType(image, entry, 0.1, zero))
        x = draw_codes(rng, entry, 1, *image).astype(np.int32)
        samples = np.concatenate([x, draw_codes(rng, entry, 3, *image).astype(np.int32)])
        acc = operation.accumulate(samples, weights)
        tables = add_tables(builder, rng, operation.output, acc, False)
        constant = builder.constant("weights", weights, weight_entry)
        graph = builder.build(builder.apply("layer", operation, "input", constant, *tables))
        found.append((graph, operation, x, zero))
        return graph, weights

    bound, weights = bind_drawn(name, draw)
    graph, operation, x, zero = found[-1]
    sums = operation.accumulate(x, weights)[0]
    y = reference.run(graph, x)[0]
    return Drawn(bound, weights.astype(np.int64), x[0].astype(np.int64), zero, sums, y)


def place(
    shape: tuple[int, ...], kind: type[np.generic], where: object, values: object
) -> np.ndarray:
    """An operand of which only some places are written."""
    whole = np.frombuffer(
        bytes([FILLED]) * (int(np.prod(shape)) * np.dtype(kind).itemsize), kind
    ).reshape(shape)
    whole = whole.copy()
    whole[where] = np.asarray(values).astype(kind)
    return whole
