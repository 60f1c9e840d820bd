"""Layers by their shapes, as a sweep counts them: one graph each, with constants like a network's.

A shape is a row of a table of other people's networks, or a point of a grid. Scales of channels
lie up to four times apart, so exponents differ under TFLite's rounding.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Epilogue, Requantize, RequantizeTwice, RequantizeWide, Threshold
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window, same_padding
from tinyq.numerics import fixed_point, rounding
from tinyq.numerics.formats import Format, find_format

HALF_UP, TFLITE = "half_up", "tflite"
ROUNDINGS = (HALF_UP, TFLITE)
S32, S8 = find_format("s32"), find_format("s8")
_ONE = 1024  # of an interpolation's weights
_SPREAD = 45.0  # standard deviation of output codes
_WIDE = 200.0  # how much finer those of 16 bits are


@dataclass(frozen=True, slots=True)
class Shape:
    """A layer.

    Attributes:
        operation: Its name in TFLite.
        x: Shape of the input without batch.
        kernel: Height and width of a window.
        outputs: Channels of the output; features of a dense layer.
        stride: Of a window.
        dilation: Of a window.
        padding: ``same`` or ``valid``.
        activations: Format of input and output.
        weights: Format of the weights.
        rounding: One of `ROUNDINGS`.
        per_channel: Whether each output channel has its own scale.
        files: In how many networks it was seen; 0 for a point of a grid.
    """

    operation: str
    x: tuple[int, ...]
    kernel: tuple[int, int] = (1, 1)
    outputs: int = 0
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "same"
    activations: str = "s8"
    weights: str = "s8"
    rounding: str = HALF_UP
    per_channel: bool = True
    files: int = 0

    @property
    def signature(self) -> str:
        """What decides about its instructions, as one line."""
        parts = (value for key, value in asdict(self).items() if key != "files")
        return " ".join(_write(part) for part in parts)

    @property
    def layer(self) -> tuple[str, ...]:
        """What it has in common with the same layer of other formats and roundings."""
        sizes = self.x, self.kernel, self.outputs, self.stride, self.dilation, self.padding
        return (self.operation, *map(_write, sizes))

    @property
    def title(self) -> str:
        """For tables."""
        window = f" {_write(self.kernel)}" if self.operation in _WINDOWED else ""
        steps = f" s{_write(self.stride)}" if max(self.stride) > 1 else ""
        apart = f" d{_write(self.dilation)}" if max(self.dilation) > 1 else ""
        outputs = f"-{self.outputs}" if self.outputs else ""
        padding = f" {self.padding}" if self.operation in _WINDOWED else ""
        return f"{self.operation.lower()}{window}{steps}{apart} {_write(self.x)}{outputs}{padding}"


def read_shape(row: Mapping[str, str]) -> Shape | None:
    """A row of a table of layers, None where it is no layer that a sweep counts.

    The columns: op, x, kernel (of two operands the second's shape), stride, dilation, padding, y
    and files.
    """
    sizes = {
        key: _numbers(row.get(key) or "") for key in ("x", "kernel", "stride", "dilation", "y")
    }
    if row["op"] not in _MAKERS or not sizes["x"]:
        return None
    shape = Shape(row["op"], sizes["x"], files=int(row.get("files") or 1))
    read = _READERS.get(row["op"], lambda it, *_: it)
    return read(shape, row, sizes)


def make_graph(shape: Shape) -> Graph:
    """A graph of the layer alone; the same one for the same signature.

    Raises:
        ModelError: There is no such layer.
    """
    rng = np.random.default_rng(zlib.crc32(shape.signature.encode()))
    x = TensorType(shape.x, find_format(shape.activations), 0.05, _zero(shape))
    builder = GraphBuilder.start("layer", x)
    return builder.build(_MAKERS[shape.operation](shape, builder, rng))


def list_grid() -> Iterator[Shape]:
    """Shapes that tables of networks may lack: sizes, steps and formats on a grid."""
    for formats in (("s8", "s8"), ("s16", "s8"), ("s8", "s4"), ("s8", "s2"), ("s8", "t2")):
        for kind in ROUNDINGS if formats[0] == "s8" else (HALF_UP,):
            for shape in _list_layers():
                yield replace(shape, activations=formats[0], weights=formats[1], rounding=kind)
    for shape in _list_moves():
        for kind in ROUNDINGS:
            yield replace(shape, rounding=kind)
    for weights in ("b1", "t2"):
        yield Shape("CONV_2D", (16, 16, 32), (3, 3), 32, activations="b1", weights=weights)
        yield Shape("FULLY_CONNECTED", (256,), outputs=64, activations="b1", weights=weights)


def _list_layers() -> Iterator[Shape]:
    for side in (1, 2, 3, 5, 7, 11, 15):
        yield Shape("DEPTHWISE_CONV_2D", (15, 15, 24), (side, side), 24)
        yield Shape("DEPTHWISE_CONV_2D", (40, 1, 24), (side, 1), 24)
        yield Shape("CONV_2D", (10, 10, 8), (min(side, 7), min(side, 7)), 12)
        yield Shape("CONV_2D", (40, 1, 12), (side, 1), 16)
    for channels in (1, 3, 17, 512):
        yield Shape("CONV_2D", (4, 4, channels), (1, 1), 20)
        yield Shape("DEPTHWISE_CONV_2D", (6, 6, channels), (3, 3), channels)
    for step in (2, 3):
        yield Shape("DEPTHWISE_CONV_2D", (14, 14, 16), (3, 3), 16, (step, step), padding="valid")
        yield Shape("DEPTHWISE_CONV_2D", (14, 14, 16), (3, 3), 16, (1, 1), (step, step))
        yield Shape("DEPTHWISE_CONV_2D", (10, 10, 6), (3, 3), 6 * step)
        yield Shape("CONV_2D", (14, 14, 16), (3, 3), 16, (1, 1), (step, step))
    yield Shape("CONV_2D", (1, 1, 128), (1, 1), 40)
    yield Shape("CONV_2D", (3, 3, 40), (3, 3), 24, padding="valid")
    for inputs, outputs in ((64, 10), (640, 128), (37, 5), (1, 7)):
        yield Shape("FULLY_CONNECTED", (inputs,), outputs=outputs)
    yield Shape("TRANSPOSE_CONV", (8, 8, 16), (3, 3), 8, (2, 2))
    yield Shape("TRANSPOSE_CONV", (8, 8, 16), (2, 2), 8, (2, 2))


def _list_moves() -> Iterator[Shape]:
    for side, step in ((2, 2), (3, 2), (3, 1)):
        for operation in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
            yield Shape(operation, (16, 16, 32), (side, side), stride=(step, step))
            yield Shape(operation, (9, 9, 5), (side, side), stride=(step, step), padding="valid")
    for channels in (3, 16, 31):
        yield Shape("ADD", (9, 9, channels))
        yield Shape("MUL", (9, 9, channels))
        yield Shape("CONCATENATION", (9, 9, channels), outputs=2 * channels)
        yield Shape("PAD", (9, 9, channels), (1, 1))
        yield Shape("MEAN", (9, 9, channels))
    yield Shape("RESIZE_BILINEAR", (8, 8, 16), stride=(2, 2))
    yield Shape("SOFTMAX", (12,))
    yield Shape("LOGISTIC", (9, 9, 16))


def _write(part: object) -> str:
    return "x".join(map(str, part)) if isinstance(part, tuple) else str(part)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(it) for it in text.split("x")) if text else ()


Sizes = Mapping[str, tuple[int, ...]]


def _read_window(shape: Shape, row: Mapping[str, str], sizes: Sizes) -> Shape | None:
    if len(shape.x) != 3 or len(sizes["kernel"]) < 2:
        return None
    return replace(
        shape,
        kernel=sizes["kernel"][:2],
        outputs=0 if "POOL" in shape.operation else sizes["y"][-1],
        stride=sizes["stride"][:2] or (1, 1),
        dilation=sizes["dilation"][:2] or (1, 1),
        padding=(row.get("padding") or "valid").lower(),
    )


def _read_dense(shape: Shape, row: Mapping[str, str], sizes: Sizes) -> Shape | None:
    return replace(shape, x=(shape.x[-1],), outputs=sizes["y"][-1]) if sizes["y"] else None


def _read_twins(shape: Shape, row: Mapping[str, str], sizes: Sizes) -> Shape | None:
    return shape if sizes["kernel"] == shape.x else None


def _read_joined(shape: Shape, row: Mapping[str, str], sizes: Sizes) -> Shape | None:
    return replace(shape, outputs=2 * shape.x[-1]) if len(shape.x) == 3 else None


def _read_image(shape: Shape, row: Mapping[str, str], sizes: Sizes) -> Shape | None:
    return shape if len(shape.x) == 3 else None


def _read_padded(shape: Shape, row: Mapping[str, str], sizes: Sizes) -> Shape | None:
    y, x = sizes["y"], shape.x
    if len(x) != 3 or len(y) != 3 or y[2] != x[2] or y[:2] == x[:2]:
        return None
    return replace(shape, kernel=(y[0] - x[0], y[1] - x[1]))


def _read_resized(shape: Shape, row: Mapping[str, str], sizes: Sizes) -> Shape | None:
    y, x = sizes["y"], shape.x
    whole = len(x) == 3 and len(y) == 3 and y[0] % x[0] == 0 and y[1] % x[1] == 0
    return replace(shape, stride=(y[0] // x[0], y[1] // x[1])) if whole else None


_READERS: Mapping[str, Callable[[Shape, Mapping[str, str], Sizes], Shape | None]] = {
    "ADD": _read_twins,
    "AVERAGE_POOL_2D": _read_window,
    "CONCATENATION": _read_joined,
    "CONV_2D": _read_window,
    "DEPTHWISE_CONV_2D": _read_window,
    "FULLY_CONNECTED": _read_dense,
    "MAX_POOL_2D": _read_window,
    "MEAN": _read_image,
    "MUL": _read_twins,
    "PAD": _read_padded,
    "RESIZE_BILINEAR": _read_resized,
    "TRANSPOSE_CONV": _read_window,
}
_WINDOWED = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "MAX_POOL_2D",
    "AVERAGE_POOL_2D",
    "PAD",
)


def _zero(shape: Shape) -> int:
    return -3 if shape.activations in ("s8", "u8") else 0


def _window(shape: Shape) -> Window:
    padding = (0, 0, 0, 0)
    if shape.padding == "same":
        padding = same_padding(shape.x, shape.kernel, shape.stride, shape.dilation)
    return Window(shape.kernel, shape.stride, shape.dilation, padding)


def _draw_weights(rng: np.random.Generator, entry: Format, size: tuple[int, ...]) -> np.ndarray:
    """Codes of a normal distribution, as training leaves them."""
    if entry.step == 2:
        return (rng.integers(0, 2, size) * 2 - 1).astype(np.int32)
    most = min(-entry.lo, entry.hi)
    codes = np.round(rng.normal(0.0, most / 3.0 + 0.3, size)).clip(-most, most)
    return codes.astype(np.int32)


def _choose_epilogue(shape: Shape) -> Epilogue:
    if shape.activations == "b1":
        return Threshold()
    if shape.activations == "s16":
        return RequantizeWide("s16", 1.0, 0, -(2**15), 2**15 - 1)
    kind = RequantizeTwice if shape.rounding == TFLITE else Requantize
    return kind(shape.activations, 1.0, -5, -128, 127)


def _finish(
    shape: Shape,
    builder: GraphBuilder,
    rng: np.random.Generator,
    epilogue: Epilogue,
    acc: np.ndarray,
) -> list[str]:
    """Names of an epilogue's constants: gains of channels lie up to four times apart."""
    channels = acc.shape[-1]
    flat = acc.reshape(-1, channels).astype(np.float64)
    spread = _SPREAD * (_WIDE if shape.activations == "s16" else 1.0)
    gain = spread / (flat.std() + 1.0) * rng.uniform(0.5, 2.0, channels)
    if not shape.per_channel:
        gain[:] = gain[0]
    offset = rng.normal(0.0, spread / 4, channels) if shape.per_channel else gain * 0.0
    if isinstance(epilogue, Threshold):
        tables = [rng.integers(-9, 10, channels), rng.integers(0, 2, channels)]
    elif isinstance(epilogue, RequantizeTwice):
        pairs = [fixed_point.quantize_multiplier(float(it)) for it in gain]
        multiplier, exponent = (np.array(it) for it in zip(*pairs, strict=True))
        tables = [np.round(offset / gain).astype(np.int64), multiplier, exponent]
    elif isinstance(epilogue, RequantizeWide):
        pairs = [fixed_point.quantize_multiplier(float(it)) for it in gain]
        multiplier, exponent = (np.array(it) for it in zip(*pairs, strict=True))
        bias, none = np.round(offset / gain).astype(np.int64), np.zeros(channels, np.int64)
        tables = [bias, none, multiplier, none, 31 - exponent]
    else:
        folded = rounding.fold_affine(gain, offset)
        tables = [folded.bias, folded.multiplier, folded.shift]
    return [
        builder.constant(key, np.asarray(table), S32)
        for key, table in zip(epilogue.names, tables, strict=True)
    ]


def _make_weighted(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    entry = find_format(shape.weights)
    inputs, epilogue = shape.x[-1], _choose_epilogue(shape)
    sizes = {
        "CONV_2D": (shape.outputs, *shape.kernel, inputs),
        "TRANSPOSE_CONV": (shape.outputs, *shape.kernel, inputs),
        "DEPTHWISE_CONV_2D": (*shape.kernel, shape.outputs),
        "FULLY_CONNECTED": (shape.outputs, inputs),
    }
    weights = _draw_weights(rng, entry, sizes[shape.operation])
    operation = _choose_operation(shape, epilogue)
    x = builder.type("input")
    samples = rng.integers(x.format.lo, x.format.hi + 1, (2, *shape.x)).astype(np.int32)
    if x.format.step == 2:
        samples = np.where(samples < 0, -1, 1).astype(np.int32)
    names = _finish(shape, builder, rng, epilogue, operation.accumulate(samples, weights))
    return builder.apply("layer", operation, "input", builder.constant("w", weights, entry), *names)


def _choose_operation(shape: Shape, epilogue: Epilogue) -> Accumulating:
    zero = _zero(shape)
    if shape.operation == "FULLY_CONNECTED":
        return OPERATIONS["Dense"](epilogue, zero)
    if shape.operation == "TRANSPOSE_CONV":
        size = (shape.x[0] * shape.stride[0], shape.x[1] * shape.stride[1])
        padding = same_padding((*size, 1), shape.kernel, shape.stride, (1, 1))
        window = Window(shape.kernel, shape.stride, (1, 1), padding)
        return OPERATIONS["TransposeConv2D"](epilogue, window, size, zero)
    depthwise = shape.operation == "DEPTHWISE_CONV_2D"
    name = "DepthwiseConv2D" if depthwise else "Conv2D"
    return OPERATIONS[name](epilogue, _window(shape), zero)


def _make_pool(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    operation = OPERATIONS["MaxPool2D"](_window(shape))
    if shape.operation == "AVERAGE_POOL_2D":
        twice = shape.rounding == TFLITE
        name, more = ("TfliteAveragePool2D", (-128, 127)) if twice else ("AveragePool2D", ())
        operation = OPERATIONS[name](_window(shape), *more)
    return builder.apply("layer", operation, "input")


def _make_mean(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    epilogue, window = _choose_epilogue(shape), Window((shape.x[0], shape.x[1]))
    operation = OPERATIONS["SumPool2D"](epilogue, window, _zero(shape))
    return _apply_alike(shape, builder, rng, (operation, 1), epilogue)


def _make_pair(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    epilogue, zero = _choose_epilogue(shape), _zero(shape)
    if shape.operation == "MUL":
        return _apply_alike(
            shape, builder, rng, (OPERATIONS["Multiply"](epilogue, zero, zero), 2), epilogue
        )
    if shape.rounding == TFLITE:
        terms = (1_700_000_000, -1, 1_500_000_000, 0)
        operation = OPERATIONS["TfliteAdd"](epilogue, *terms, 1, 20, zero, zero)
        return _apply_alike(shape, builder, rng, (operation, 2), epilogue)
    operation = OPERATIONS["Add"](epilogue, 16384, 11731, zero, zero)
    return _apply_alike(shape, builder, rng, (operation, 2), epilogue)


def _apply_alike(
    shape: Shape,
    builder: GraphBuilder,
    rng: np.random.Generator,
    what: tuple[Accumulating, int],
    epilogue: Epilogue,
) -> str:
    """An operation without weights: all channels have the same constants."""
    operation, operands = what
    x = builder.type("input").format
    samples = [rng.integers(x.lo, x.hi + 1, (2, *shape.x)).astype(np.int32)] * operands
    same = replace(shape, per_channel=False)
    names = _finish(same, builder, rng, epilogue, operation.accumulate(*samples))
    return builder.apply("layer", operation, *["input"] * operands, *names)


def _make_joined(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    return builder.apply("layer", OPERATIONS["Concatenate"](), "input", "input")


def _make_padded(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    rows, columns = shape.kernel
    padding = (rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
    return builder.apply("layer", OPERATIONS["Pad2D"](padding, _zero(shape)), "input")


def _make_table(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    table = builder.constant("table", rng.integers(-128, 128, 256), S8)
    return builder.apply("layer", OPERATIONS["Lookup"](0.1, 0), "input", table)


def _make_softmax(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    powers, form, name = rounding.softmax_table(0.1), "u16", "Softmax"
    if shape.rounding == TFLITE:
        powers, *_ = fixed_point.softmax_exponentials(0.1, 1.0)
        form, name = "s32", "TfliteSoftmax"
    table = builder.constant("table", powers, find_format(form))
    return builder.apply("layer", OPERATIONS[name](), "input", table)


def _make_resized(shape: Shape, builder: GraphBuilder, rng: np.random.Generator) -> str:
    names = []
    for key, length, factor in zip(("rows", "columns"), shape.x[:2], shape.stride, strict=True):
        at = (np.arange(length * factor) + 0.5) / factor - 0.5
        first = np.clip(np.floor(at), 0, length - 1).astype(int)
        second = np.clip(np.floor(at) + 1, 0, length - 1).astype(int)
        weight = np.round((at - np.floor(at)) * _ONE).astype(int)
        table = np.stack([first, second, weight], axis=1)
        names.append(builder.constant(key, table, find_format("s16")))
    return builder.apply("layer", OPERATIONS["Interpolate"](), "input", *names)


_MAKERS: Mapping[str, Callable[[Shape, GraphBuilder, np.random.Generator], str]] = {
    "ADD": _make_pair,
    "AVERAGE_POOL_2D": _make_pool,
    "CONCATENATION": _make_joined,
    "CONV_2D": _make_weighted,
    "DEPTHWISE_CONV_2D": _make_weighted,
    "FULLY_CONNECTED": _make_weighted,
    "LEAKY_RELU": _make_table,
    "LOGISTIC": _make_table,
    "MAX_POOL_2D": _make_pool,
    "MEAN": _make_mean,
    "MUL": _make_pair,
    "PAD": _make_padded,
    "RELU6": _make_table,
    "RESIZE_BILINEAR": _make_resized,
    "SOFTMAX": _make_softmax,
    "TANH": _make_table,
    "TRANSPOSE_CONV": _make_weighted,
}
