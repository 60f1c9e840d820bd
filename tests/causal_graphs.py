"""Random networks over a window of frames, and what a step of them is held against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tests.drawing.graphs import (
    Drawing,
    draw_codes,
    draw_epilogue,
    draw_requantize,
    draw_weights,
    draw_x_zero,
    draw_zero_point,
    epilogue_constants,
    is_activation,
    is_small,
    is_weighted,
    out_channels,
    widest,
)
from tests.harness import pack_rows
from tests.operations import REGISTRY
from tests.operations.rescale import add_rescale
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window
from tinyq.graph.reference import run_named, run_sequences
from tinyq.graph.streaming import Streamed, stream
from tinyq.numerics.formats import Codes, find_format

FORMATS = ("s8", "s8", "s8", "u4", "u2", "s4", "b1")
ADDRESSED = ("s8", "u8", "s32")  # what StridedCopy takes
MOST_LAYERS = 7
Packed = npt.NDArray[np.uint8]
# Files of tests/operations whose windows may pad behind the newest frame.
PADDING = ("conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d", "tflite_average_pool2d")
OTHERS = [
    (fits, step)
    for fits, step in REGISTRY.steps
    if step.__module__.rsplit(".", 1)[-1] not in (*PADDING, "pad2d")
]


def draw_causal(rng: np.random.Generator, *, padded: bool = False) -> tuple[Graph, int]:
    """A network that is `valid` along time, and the axis of time in its input.

    Args:
        rng: Source of all choices.
        padded: Whether each layer is `causal` instead: padded before the first frame.
    """
    axis, frames = int(rng.integers(0, 2)), int(rng.integers(6, 25))
    number_format = find_format(str(rng.choice(FORMATS)))
    sizes = [frames, int(rng.integers(1, 4))]
    shape = (sizes[axis], sizes[1 - axis], int(rng.integers(1, 6)))
    flat = rng.random() < 0.3
    if flat:  # time alone, as Conv1D has it
        shape, axis = (frames, shape[2]), 0
    zero = draw_zero_point(rng, number_format.name)
    builder = GraphBuilder.start("model", TensorType(shape, number_format, 0.5, zero))
    drawing = Drawing(rng, builder, builder.input, [builder.input])
    image_axis = axis
    if flat:
        image_axis = int(rng.integers(0, 2))
        line = (frames, 1, shape[1]) if image_axis == 0 else (1, frames, shape[1])
        drawing.apply(Reshape(line), builder.input)
    wanted = drawing.integer(1, MOST_LAYERS)
    for _ in range(wanted):
        chosen = drawing.choose((add_window, add_window, add_element, add_branch))
        chosen(drawing, image_axis, padded)  # type: ignore[operator]
    if not padded or drawing.chance(0.7):
        add_end(drawing, image_axis)
    if drawing.last == builder.input:
        add_rescale(drawing, drawing.last, draw_requantize(drawing, "s8"))
    outputs = [drawing.last]
    if drawing.chance(0.15) and len(drawing.tensors) > 2:
        outputs.append(str(drawing.choose([it for it in drawing.tensors[1:] if it not in outputs])))
    return builder.build(*outputs), axis


def add_window(drawing: Drawing, axis: int, padded: bool) -> None:
    """A convolution or a pool along time."""
    x = drawing.type(drawing.last)
    if not is_activation(x) or not is_small(x):
        add_element(drawing, axis, padded)
        return
    window = _draw_window(drawing, x.shape, axis, padded)
    weighted = is_weighted(x) and not (padded and x.format.step == 2)  # signs have no zero
    kinds = [_pool_sum, _pool_most] + [_pool_mean] * (x.format.step == 1)
    kinds = (kinds if not padded else [_pool_most]) + [
        _convolve,
        _convolve_depthwise,
    ] * 3 * weighted
    drawing.choose(kinds)(drawing, x, window)  # type: ignore[operator]


def _draw_window(drawing: Drawing, shape: tuple[int, ...], axis: int, padded: bool) -> Window:
    length, across = shape[axis], shape[1 - axis]
    size = drawing.integer(1, min(5, length))
    dilation = drawing.integer(1, max((length - 1) // max(size - 1, 1), 1)) if size > 1 else 1
    dilation = min(dilation, 3)
    stride = 1 if drawing.chance(0.7) or length < 6 else drawing.integer(2, 3)
    if padded and length % stride:
        stride = 1
    before = (size - 1) * dilation if padded else 0
    other = drawing.integer(1, min(3, across))
    margin = (drawing.integer(0, other - 1), drawing.integer(0, other - 1))
    sizes, strides, dilations = (size, other), (stride, drawing.integer(1, 2)), (dilation, 1)
    padding = ((before, 0), margin)
    order = (0, 1) if axis == 0 else (1, 0)
    return Window(
        tuple(sizes[place] for place in order),
        tuple(strides[place] for place in order),
        tuple(dilations[place] for place in order),
        (*padding[order[0]], *padding[order[1]]),
    )


def _bare(window: Window) -> Window:
    return Window(window.size, window.stride, window.dilation)


def _convolve(drawing: Drawing, x: TensorType, window: Window) -> None:
    epilogue, x_zero = draw_epilogue(drawing), draw_x_zero(drawing, x)
    channels = min(out_channels(drawing, epilogue), 9)
    weights, number_format = draw_weights(drawing, (channels, *window.size, x.shape[2]))
    reach = np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3)) * widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = epilogue_constants(drawing, epilogue, reach)
    drawing.apply(Conv2D(epilogue, window, x_zero), drawing.last, name, *constants)


def _convolve_depthwise(drawing: Drawing, x: TensorType, window: Window) -> None:
    epilogue, x_zero = draw_epilogue(drawing), draw_x_zero(drawing, x)
    shape = (*window.size, x.shape[2])
    weights, number_format = draw_weights(drawing, shape, axis=-1)
    reach = np.abs(weights.astype(np.int64)).sum(axis=(0, 1)) * widest(x, x_zero)
    name = drawing.constant("weights", weights, number_format)
    constants = epilogue_constants(drawing, epilogue, reach)
    drawing.apply(DepthwiseConv2D(epilogue, window, x_zero), drawing.last, name, *constants)


def _pool_sum(drawing: Drawing, x: TensorType, window: Window) -> None:
    window = _bare(window)
    epilogue, x_zero = draw_epilogue(drawing), draw_x_zero(drawing, x)
    taps = window.size[0] * window.size[1]
    reach = np.full(x.shape[2], widest(x, x_zero) * taps, np.int64)
    constants = epilogue_constants(drawing, epilogue, reach)
    drawing.apply(SumPool2D(epilogue, window, x_zero), drawing.last, *constants)


def _pool_most(drawing: Drawing, x: TensorType, window: Window) -> None:
    drawing.apply(MaxPool2D(window), drawing.last)


def _pool_mean(drawing: Drawing, x: TensorType, window: Window) -> None:
    drawing.apply(AveragePool2D(_bare(window)), drawing.last)


def add_element(drawing: Drawing, axis: int, padded: bool) -> None:
    """Any operation that random graphs have, or a change of scale."""
    source = drawing.last
    if drawing.chance(0.4) and not padded:
        fitting = [step for fits, step in OTHERS if fits(drawing.type(source))]
        drawing.choose(fitting)(drawing, source)  # type: ignore[operator]
        shape = drawing.type(drawing.last).shape
        if len(shape) == 3 and shape[axis] == drawing.type(source).shape[axis]:
            return
        drawing.last = source  # time goes on beside it
        return
    narrow = str(drawing.choose(("s8", "s8", "u4")))
    add_rescale(drawing, source, draw_requantize(drawing, narrow))


def add_branch(drawing: Drawing, axis: int, padded: bool) -> None:
    """The sum with an older tensor of which some columns, or every other one, are taken."""
    x = drawing.type(drawing.last)
    for name in drawing.rng.permutation(drawing.tensors[:-1]).tolist():
        other = drawing.type(name)
        if len(other.shape) != 3 or other.format.name not in ADDRESSED:
            continue
        room = other.shape[axis] - x.shape[axis]
        rest = [place for place in range(3) if place != axis]
        if room < 0 or any(other.shape[place] != x.shape[place] for place in rest):
            continue
        first = 0 if padded else drawing.integer(0, room)
        strides = [math.prod(other.shape[place + 1 :]) for place in range(3)]
        if padded and room:
            continue
        cropped = StridedCopy(x.shape, tuple(strides), first * strides[axis])
        _join(drawing, drawing.last, drawing.apply(cropped, name))
        return
    add_element(drawing, axis, padded)


def _join(drawing: Drawing, one: str, other: str) -> None:
    x, y = drawing.type(one), drawing.type(other)
    alike = (x.format.name, x.scale, x.zero_point) == (y.format.name, y.scale, y.zero_point)
    if alike and drawing.chance(0.5):
        drawing.apply(Concatenate(), one, other)
        return
    if not (is_weighted(x) and is_weighted(y)):
        drawing.last = one
        return
    zeros = draw_x_zero(drawing, x), draw_x_zero(drawing, y)
    factors = drawing.integer(-300, 300), drawing.integer(-300, 300)
    reach = abs(factors[0]) * widest(x, zeros[0]) + abs(factors[1]) * widest(y, zeros[1])
    epilogue = draw_requantize(drawing, "s8")
    constants = epilogue_constants(drawing, epilogue, np.full(x.shape[-1], reach, np.int64))
    drawing.apply(Add(epilogue, *factors, *zeros), one, other, *constants)


def add_end(drawing: Drawing, axis: int) -> None:
    """What makes one answer of all columns, or of the newest, or leaves them."""
    x = drawing.type(drawing.last)
    if not is_activation(x) or not is_small(x):
        return
    kind = drawing.integer(0, 4)
    if kind == 0:
        _pool_sum(drawing, x, Window((x.shape[0], x.shape[1])))
    elif kind == 1:
        whole = [x.shape[0], x.shape[1]]
        whole[1 - axis] = 1
        drawing.choose((_pool_sum, _pool_most))(drawing, x, Window(tuple(whole)))  # type: ignore
    elif kind == 2 and is_weighted(x):
        flat = drawing.apply(Reshape((math.prod(x.shape),)), drawing.last)
        epilogue = draw_epilogue(drawing)
        weights, number_format = draw_weights(drawing, (3, math.prod(x.shape)))
        x_zero = draw_x_zero(drawing, x)
        reach = np.abs(weights.astype(np.int64)).sum(axis=1) * widest(x, x_zero)
        name = drawing.constant("weights", weights, number_format)
        constants = epilogue_constants(drawing, epilogue, reach)
        drawing.apply(Dense(epilogue, x_zero), flat, name, *constants)
    elif kind == 3 and x.format.name in ADDRESSED:
        shape = list(x.shape)
        shape[axis] = 1
        strides = tuple(math.prod(x.shape[place + 1 :]) for place in range(3))
        back = 0 if drawing.chance(0.6) else drawing.integer(0, x.shape[axis] - 1)
        start = (x.shape[axis] - 1 - back) * strides[axis]
        drawing.apply(StridedCopy(tuple(shape), strides, start), drawing.last)


def draw_signal(
    rng: np.random.Generator, streamed: Streamed, steps: int
) -> tuple[dict[str, Codes], dict[str, Codes]]:
    """A signal as steps, shapes (1, steps, *shape), and as windows, (windows, *shape)."""
    axis, frames, step = streamed.axis, streamed.frames, streamed.step
    ends = [step * (place + 1) for place in range(steps) if step * (place + 1) >= frames]
    in_steps, in_windows = {}, {}
    for name in streamed.window.inputs:
        kind = streamed.window.tensors[name].type
        shape = (*kind.shape[:axis], steps * step, *kind.shape[axis + 1 :])
        signal = draw_codes(rng, kind.format, shape)
        in_steps[name] = np.stack(np.split(signal, steps, axis))[None]
        in_windows[name] = np.stack(
            [np.take(signal, range(end - frames, end), axis) for end in ends]
        )
    return in_steps, in_windows


def newest_columns(expected: Codes, shape: tuple[int, ...]) -> Codes:
    """The last columns of the answers of windows, as many as a step gives."""
    for axis, (length, wanted) in enumerate(zip(expected.shape[1:], shape, strict=True)):
        if length != wanted:
            expected = np.take(expected, range(length - wanted, length), axis + 1)
    return expected


def expect_steps(streamed: Streamed, windows: Mapping[str, Codes]) -> list[Codes]:
    """What steps have to answer from the first whole window on, output by output."""
    answers = run_named(streamed.window, windows).values()
    shapes = [streamed.graph.tensors[name].type.shape for name in streamed.graph.outputs]
    return [newest_columns(codes, shape) for codes, shape in zip(answers, shapes, strict=True)]


def run_steps(streamed: Streamed, steps: Mapping[str, Codes]) -> list[Codes]:
    """What steps answer, output by output, shapes (steps, *shape)."""
    return [codes[0] for codes in run_sequences(streamed.graph, dict(steps)).values()]


def draw_streamed(seed: int, index: int, steps: int) -> tuple[Streamed, list[Packed], list[Packed]]:
    """A random step, a signal packed for each input, and what each output has to answer, packed.

    The answers are those of windows, so the first of them belong to later steps than the first.
    """
    for attempt in range(100):
        rng = np.random.default_rng((seed, index, attempt, 9))
        graph, axis = draw_causal(rng)
        try:
            streamed = stream(replace(graph, name=f"model_{index}"), axis)
        except ModelError:  # a ring would lie along packed codes
            continue
        in_steps, in_windows = draw_signal(rng, streamed, steps)
        tensors, names = streamed.graph.tensors, streamed.graph.outputs
        inputs = [
            pack_rows(tensors[name].type.format.pack(in_steps[name][0]), steps)
            for name in streamed.graph.inputs
        ]
        answers = expect_steps(streamed, in_windows)
        expected = [
            pack_rows(tensors[name].type.format.pack(codes), len(codes))
            for name, codes in zip(names, answers, strict=True)
        ]
        return streamed, inputs, expected
    raise AssertionError("no network could be streamed")


def join_rows(parts: list[Packed], align: int = 1) -> Packed:
    """Packed tensors one behind the other, each from a multiple of ``align`` bytes on."""
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, -part.shape[1] % align))) for part in parts], axis=1
    )


def count_wrong(got: Packed, expected: list[Packed], align: int = 1) -> int:
    """Steps from the first whole window on whose packed answers are others, output by output."""
    wrong, start = 0, 0
    for part in expected:
        rows = got[len(got) - len(part) :, start : start + part.shape[1]]
        wrong += int((rows != part).any(axis=1).sum())
        start += -(-part.shape[1] // align) * align
    return wrong
