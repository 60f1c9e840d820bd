"""TensorFlow Lite Micro's Signal operators that keep samples from one inference to the next.

Where a file says that an output is not valid yet, the codes of that output mean nothing; TFLite
Micro leaves them as they were, here they come of zeros.
"""

from __future__ import annotations

import math

import numpy as np

from tinyq.graph import TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.choose import Choose
from tinyq.graph.ops.frames import Frames
from tinyq.graph.ops.integers import IntegerAdd, Widen
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.importers.tflite.custom import read_numbers
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.registry import imports
from tinyq.numerics.formats import FORMATS

_INT16 = 7  # in the options of OverlapAdd
_MOST_SAMPLES, _MOST_FRAMES = 2**16, 64
_MULTIPLIER_BITS = 30


@imports("CUSTOM:SignalDelay")
def import_delay(layer: Layer) -> None:
    """Samples of so many samples before; zeros first."""
    (delay,) = read_numbers(layer, "delay_length")
    signal, lines, count = _read_signal(layer)
    _require_within(layer, "delay_length", delay, 0, _MOST_SAMPLES)
    if delay:
        ring = _remember(layer, signal, delay + count)
        signal = layer.apply(StridedCopy((lines, count), (delay + count, 1)), ring)
    layer.finish(signal)


@imports("CUSTOM:SignalFramer")
def import_framer(layer: Layer) -> None:
    """Frames of a signal that overlap; the first ones lack samples, or zeros are before them."""
    size, step, prefill = read_numbers(layer, "frame_size", "frame_step", "prefill")
    signal, lines, count = _read_signal(layer)
    _require_within(layer, "frame_size", size, 1, _MOST_SAMPLES)
    _require_within(layer, "frame_step", step, 1, size)
    layer.require(count % step == 0, f"{count} samples are no multiple of frame_step, {step}")
    hops, frames = math.ceil(size / step), count // step
    layer.conversion.spend(lines * frames * size)
    before = size if prefill else hops * step
    ring = _remember(layer, signal, before - step + count)
    layer.finish(layer.apply(Frames(size, step), ring, suffix="frames"))
    early = 0 if prefill else math.ceil((hops - 1) / frames)
    layer.finish(_count_calls(layer, early), 1)


@imports("CUSTOM:SignalStacker")
def import_stacker(layer: Layer) -> None:
    """The last rows of features one behind the other; the first row stands for those before it."""
    channels, left, right, step = read_numbers(
        layer, "num_channels", "stacker_left_context", "stacker_right_context", "stacker_step"
    )
    layer.require(
        step == 1,
        f"stacker_step is {step}: what follows is computed in some inferences alone",
        "build the part behind it as a model of its own, and run that when it is due",
    )
    _, lines, count = _read_signal(layer)
    layer.require(lines * count == channels, f"{layer.source()} has no {channels} channels")
    for name, frames in (("left", left), ("right", right)):
        _require_within(layer, f"stacker_{name}_context", frames, 0, _MOST_FRAMES)
    rows = left + right + 1
    layer.conversion.spend(rows * channels)
    row = layer.reshape(layer.activation(), (1, channels), "row")
    kind = _like(layer, row, (rows, channels))
    state = layer.builder.add_state(layer.name("state"), kind)
    begun = layer.builder.add_state(layer.name("begun"), TensorType((1,), FORMATS["s16"]))
    first = layer.apply(StridedCopy(kind.shape, (0, 1)), row, suffix="first")
    known = layer.apply(Choose(), state, first, begun, suffix="known")
    ring = layer.apply(Append(0), known, row, suffix="rows")
    layer.builder.keep(state, ring)
    one = layer.number("one", [1], "s16")
    layer.builder.keep(begun, layer.apply(Append(0), begun, one, suffix="begins"))
    layer.finish(ring)
    layer.finish(_count_calls(layer, right), 1)


@imports("CUSTOM:SignalOverlapAdd")
def import_overlap(layer: Layer) -> None:
    """A signal of frames that overlap, saturated after each sum."""
    kind, step = read_numbers(layer, "T", "frame_step")
    layer.require(kind == _INT16, "only signals of INT16 are supported")
    signal, _, size = _read_signal(layer)
    frames = layer.source().shape[-2] if len(layer.source().shape) > 1 else 1
    layer.require(
        layer.source().elements == frames * size and frames <= _MOST_FRAMES,
        f"{layer.source()} is no signal of at most {_MOST_FRAMES} frames",
    )
    _require_within(layer, "frame_step", step, 1, size)
    limits = -(2**15), 2**15 - 1
    saturate = Rescale(Requantize("s16", 1.0, 0, *limits))
    values = (0, 1 << _MULTIPLIER_BITS, _MULTIPLIER_BITS)
    tables = [
        layer.number(name, [value], "s32")
        for name, value in zip(saturate.output.names, values, strict=True)
    ]
    zeros = layer.builder.constant(layer.name("zeros"), np.zeros((step, 1)), FORMATS["s16"], 1.0)
    state = layer.builder.add_state(layer.name("state"), TensorType((size, 1), FORMATS["s16"], 1.0))
    kept, ready = state, []
    for place in range(frames):
        copy = StridedCopy((size, 1), (1, 1), place * size)
        frame = layer.apply(copy, signal, suffix=f"frame_{place}")
        wide = [
            layer.apply(Widen(), name, suffix=f"wide_{label}_{place}")
            for label, name in (("old", kept), ("new", frame))
        ]
        total = layer.apply(IntegerAdd(), *wide, suffix=f"total_{place}")
        added = layer.apply(saturate, total, *tables, suffix=f"added_{place}")
        part = StridedCopy((step, 1), (1, 1))
        ready.append(layer.apply(part, added, suffix=f"ready_{place}"))
        kept = layer.apply(Append(0), added, zeros, suffix=f"kept_{place}")
    layer.builder.keep(state, kept)
    layer.finish(_join(layer, ready, step))


def _join(layer: Layer, parts: list[str], step: int) -> str:
    """Parts of a signal one behind the other."""
    if len(parts) == 1:
        return parts[0]
    kind = TensorType((len(parts) * step, 1), FORMATS["s16"], 1.0)
    signal = layer.builder.constant(
        layer.name("begin"), np.zeros(kind.shape), kind.format, kind.scale
    )
    for place, part in enumerate(parts):
        signal = layer.apply(Append(0), signal, part, suffix=f"joined_{place}")
    return signal


def _read_signal(layer: Layer) -> tuple[str, int, int]:
    """The input as lines of samples, how many, and samples of each."""
    tensor = layer.source()
    layer.require(tensor.type == "INT16", f"{tensor} is not INT16")
    count = tensor.shape[-1] if tensor.shape else 1
    layer.require(0 < tensor.elements <= _MOST_SAMPLES, f"{tensor} has no supported size")
    lines = tensor.elements // count
    return layer.reshape(layer.activation(), (lines, count), "lines"), lines, count


def _remember(layer: Layer, signal: str, samples: int) -> str:
    """The last samples of each line; zeros first."""
    lines, _ = layer.builder.type(signal).shape
    layer.conversion.spend(lines * samples)
    kind = _like(layer, signal, (lines, samples))
    state = layer.builder.add_state(layer.name("state"), kind, kind.zero_point)
    ring = layer.apply(Append(1), state, signal, suffix="ring")
    layer.builder.keep(state, ring)
    return ring


def _like(layer: Layer, name: str, shape: tuple[int, ...]) -> TensorType:
    known = layer.builder.type(name)
    return TensorType(shape, known.format, known.scale, known.zero_point)


def _count_calls(layer: Layer, early: int) -> str:
    """1 but in the first inferences."""
    one = layer.number("valid", [1], "s8")
    if not early:
        return one
    layer.require(early <= _MOST_SAMPLES, f"{early:,} inferences before the first valid one")
    state = layer.builder.add_state(layer.name("calls"), TensorType((early + 1,), FORMATS["s8"]))
    counted = layer.apply(Append(0), state, one, suffix="counted")
    layer.builder.keep(state, counted)
    return layer.apply(StridedCopy((1,), (1,)), counted, suffix="is_valid")


def _require_within(layer: Layer, name: str, number: int, low: int, high: int) -> None:
    layer.require(low <= number <= high, f"{name} is {number:,}, {low} to {high:,} are supported")
