"""A small network that uses most operations and all formats, built by hand with fixed numbers."""

from __future__ import annotations

import numpy as np

from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Epilogue, Raw, Requantize, Threshold
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.numerics.formats import find_format
from tinyq.numerics.rounding import softmax_table


class _Model:
    def __init__(self, name: str) -> None:
        image = TensorType((8, 8, 1), find_format("s8"), 1 / 16, -3)
        self.builder = GraphBuilder.start(name, image)
        self.rng = np.random.default_rng(7)

    def weights(self, name: str, shape: tuple[int, ...], format_name: str) -> str:
        number_format = find_format(format_name)
        codes = self.rng.integers(number_format.lo, number_format.hi + 1, shape)
        codes = codes | 1 if number_format.step == 2 else codes
        return self.builder.constant(f"{name}/weights", codes, number_format)

    def tables(
        self, name: str, output: Epilogue, channels: int, divisor_bits: int = 0
    ) -> list[str]:
        """Constants of an epilogue; codes are accumulators divided by about ``2**divisor_bits``."""
        reach = 4 << divisor_bits
        draw = {
            "bias": lambda: self.rng.integers(-reach, reach, channels),
            "multiplier": lambda: self.rng.integers(2**29, 2**30, channels),
            "shift": lambda: np.full(channels, 30 + divisor_bits),
            "threshold": lambda: self.rng.integers(-5, 5, channels),
            "flip": lambda: self.rng.integers(0, 2, channels),
        }
        return [
            self.builder.constant(f"{name}/{key}", draw[key](), find_format("s32"))
            for key in output.names
        ]

    def apply(self, name: str, operation: str, arguments: tuple, *inputs: str) -> str:
        return self.builder.apply(name, OPERATIONS[operation](*arguments), *inputs)


def mixed_model(name: str = "mixed") -> Graph:
    """Input s8 (8, 8, 1), output s8 (10): convolutions of all kinds, pooling, softmax."""
    model = _Model(name)
    same = Window((3, 3), padding=(1, 1, 1, 1))
    nibbles, signs = Requantize("u4", 0.1, 0, 0, 15), Threshold()
    x = model.apply(
        *("conv_1", "Conv2D", (nibbles, same, -3), "input"),
        model.weights("conv_1", (6, 3, 3, 1), "s8"),
        *model.tables("conv_1", nibbles, 6, 10),
    )
    x = model.apply(
        *("depthwise", "DepthwiseConv2D", (nibbles, same), x),
        model.weights("depthwise", (3, 3, 6), "s4"),
        *model.tables("depthwise", nibbles, 6, 4),
    )
    down = Window((3, 3), (2, 2), padding=(0, 1, 0, 1))
    x = model.apply(
        *("conv_2", "Conv2D", (nibbles, down), x),
        model.weights("conv_2", (9, 3, 3, 6), "t2"),
        *model.tables("conv_2", nibbles, 9, 3),
    )
    shortcut = model.apply(
        "rescale", "Rescale", (nibbles,), x, *model.tables("rescale", nibbles, 9, 0)
    )
    x = model.apply(
        "add", "Add", (nibbles, 300, 200), x, shortcut, *model.tables("add", nibbles, 9, 9)
    )
    x = model.apply(
        *("conv_3", "Conv2D", (signs, same), x),
        model.weights("conv_3", (40, 3, 3, 9), "s4"),
        *model.tables("conv_3", signs, 40),
    )
    x = model.apply("pool", "MaxPool2D", (Window((2, 2), (2, 2)),), x)
    x = model.apply(
        *("xnor", "Conv2D", (signs, same), x),
        model.weights("xnor", (32, 3, 3, 40), "b1"),
        *model.tables("xnor", signs, 32),
    )
    x = model.apply("flatten", "Reshape", ((128,),), x)
    last = Requantize("s8", 0.1, -3, -128, 127)
    x = model.apply(
        *("dense", "Dense", (last,), x),
        model.weights("dense", (10, 128), "s8"),
        *model.tables("dense", last, 10, 4),
    )
    table = model.builder.constant("softmax/table", softmax_table(0.1), find_format("u16"))
    x = model.apply("softmax", "Softmax", (), x, table)
    return model.builder.build(x)


def raw_model(name: str = "raw") -> Graph:
    """The smallest network: one dense layer from s8 (4) to s32 (2), no arena."""
    model = _Model(name)
    builder = GraphBuilder.start(name, TensorType((4,), find_format("s8"), 0.5, 0))
    model.builder = builder
    x = model.apply(
        *("dense", "Dense", (Raw(0.25),), "input"),
        model.weights("dense", (2, 4), "s8"),
        *model.tables("dense", Raw(), 2),
    )
    return builder.build(x)
