"""Front ends as graphs: of a whole signal, or of a step with what it keeps."""

from __future__ import annotations

import math

from tinyq.errors import ModelError
from tinyq.graph.builder import GraphBuilder
from tinyq.graph.epilogues import Requantize
from tinyq.graph.front_ends.base import FrontEnd, Remember
from tinyq.graph.graph import Graph
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.choose import Choose
from tinyq.graph.ops.frames import Frames
from tinyq.graph.ops.noise import NoiseEstimate
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.tensors import TensorType
from tinyq.numerics.formats import find_format

_LOWEST_CODE, _HIGHEST_CODE = -128, 127


def count_frames(front_end: FrontEnd, samples: int) -> int:
    """Whole frames of a signal."""
    return max((samples - front_end.size) // front_end.hop + 1, 0)


def count_warm_up(front_end: FrontEnd) -> int:
    """Steps before the first whole frame, whose features mean nothing."""
    return math.ceil(front_end.size / front_end.hop) - 1


def build_front_end(
    front_end: FrontEnd, samples: int | None = None, name: str = "front_end"
) -> Graph:
    """A front end as a graph.

    Args:
        front_end: Its settings.
        samples: Length of a whole signal, whose frames are computed at once; None for a step, which
            takes the samples of a hop and keeps what frames and estimates need. Steps are equal to
            the frames of the whole signal, the first `count_warm_up` left out.
        name: Of the graph, a C identifier.

    Raises:
        ModelError: The signal is shorter than a frame, or the settings contradict each other.
    """
    if samples is not None and samples < front_end.size:
        raise ModelError(
            f"{samples:,} samples are less than a frame of {front_end.size:,}",
            remedy=f"give {front_end.size:,} samples or more",
        )
    length = front_end.hop if samples is None else samples
    outer = (front_end.axes,) if front_end.axes else ()
    kind = TensorType((length, *outer), find_format("s16"), 1.0)
    builder = GraphBuilder.start(name, kind, "samples")
    if samples is None:
        frames, remember = _add_step(builder, front_end)
    else:
        frames, remember = _add_whole(builder, front_end)
    wide = _join_axes(builder, front_end, front_end.add_wide(builder, frames, remember))
    return builder.build(wide if front_end.bits == 16 else _add_codes(builder, front_end, wide))


def _add_whole(builder: GraphBuilder, front_end: FrontEnd) -> tuple[str, Remember]:
    """All frames of a signal, with an estimate that begins at 0."""

    def remember(operation: NoiseEstimate, energy: str) -> str:
        zeros = [0] * builder.type(energy).shape[-1]
        first = builder.constant("first_estimate", zeros, find_format("s32"))
        return builder.apply("estimate", operation, energy, first)

    source = _split_axes(builder, builder.input)
    return builder.apply("frames", Frames(front_end.size, front_end.hop), source), remember


def _add_step(builder: GraphBuilder, front_end: FrontEnd) -> tuple[str, Remember]:
    """The newest frame, with an estimate that begins when it is whole.

    The ring holds whole hops, so that frames begin where those of a whole signal do.
    """
    warm_up = count_warm_up(front_end)
    kind = builder.type(builder.input)
    length = (warm_up + 1) * front_end.hop
    ring = TensorType((length, *kind.shape[1:]), kind.format, kind.scale)
    builder.add_state("ring", ring)
    newest = builder.apply("newest", Append(0), "ring", builder.input)
    builder.keep("ring", newest)
    frame = _split_axes(builder, newest)
    if length > front_end.size:
        outer = builder.type(frame).shape[:-1]
        whole = builder.apply("frames", Frames(front_end.size, length), frame)
        frame = builder.apply("frame", Reshape((*outer, front_end.size)), whole)

    def remember(operation: NoiseEstimate, energy: str) -> str:
        builder.add_state("noise", builder.type(energy))
        estimate = builder.apply("estimate", operation, energy, "noise")
        kept = _hold_back(builder, estimate, "noise", warm_up)
        builder.keep("noise", kept)
        return estimate

    return frame, remember


def _hold_back(builder: GraphBuilder, new: str, old: str, warm_up: int) -> str:
    """The new value, or during the warm-up the old one."""
    if not warm_up:
        return new
    kind = TensorType((warm_up + 1,), find_format("s16"))
    builder.add_state("steps", kind)
    one = builder.constant("one", [1], find_format("s16"))
    steps = builder.apply("newest_steps", Append(0), "steps", one)
    builder.keep("steps", steps)
    whole = builder.apply("is_whole", StridedCopy((1,), (1,)), steps)
    return builder.apply("kept_estimate", Choose(), new, old, whole)


def _split_axes(builder: GraphBuilder, signal: str) -> str:
    """Samples of each axis side by side; a signal without axes as it is."""
    shape = builder.type(signal).shape
    if len(shape) == 1:
        return signal
    length, axes = shape
    return builder.apply("axes", StridedCopy((axes, length), (1, axes)), signal)


def _join_axes(builder: GraphBuilder, front_end: FrontEnd, features: str) -> str:
    """One row of features for each frame, those of an axis side by side."""
    shape = builder.type(features).shape
    if not front_end.axes:
        return features
    axes, *frames, count = shape
    if not frames:
        return builder.apply("features", Reshape((axes * count,)), features)
    strides = (count, frames[0] * count, 1)
    ordered = builder.apply("ordered", StridedCopy((frames[0], axes, count), strides), features)
    return builder.apply("features", Reshape((frames[0], axes * count)), ordered)


def _add_codes(builder: GraphBuilder, front_end: FrontEnd, wide: str) -> str:
    """Features of 8 bits: floor(x * ratio + 1/2) + zero point, saturated.

    Multipliers are rounded up, so that a half of a positive feature goes up as a fraction would.
    """
    ratios = front_end.ratios * max(front_end.axes, 1)
    shifts = [30 - math.floor(math.log2(ratio)) for ratio in ratios]
    multipliers = [math.ceil(ratio * 2**bits) for ratio, bits in zip(ratios, shifts, strict=True)]
    limits = front_end.zero_point, _LOWEST_CODE, _HIGHEST_CODE
    output = Requantize("s8", front_end.scale, *limits)
    tables = zip(output.names, ([0] * len(ratios), multipliers, shifts), strict=True)
    names = [builder.constant(f"codes_{name}", codes, find_format("s32")) for name, codes in tables]
    return builder.apply("codes", Rescale(output), wide, *names)
