"""What a step says of itself, what is refused and how, and what `check` and `build` make of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinyq
from tinyq.api.stream import read_option
from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.average_pool2d import AveragePool2D
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.max_pool2d import MaxPool2D
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.sliding_sum import SlidingSum
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.sum_pool2d import SumPool2D
from tinyq.graph.ops.window import Window
from tinyq.graph.reference import run, run_sequences
from tinyq.graph.streaming import list_savings, stream
from tinyq.hardware.boards import find_board
from tinyq.numerics.formats import find_format

FRAMES, CHANNELS = 20, 3
S8, S32 = find_format("s8"), find_format("s32")
OUTPUT = Requantize("s8", 0.1, 4, -128, 127)


def start(frames: int = FRAMES) -> GraphBuilder:
    return GraphBuilder.start("net", TensorType((frames, 1, CHANNELS), S8, 0.1, 4))


def add_scaling(builder: GraphBuilder, name: str, channels: int) -> list[str]:
    """Constants of an epilogue that spreads sums over the codes."""
    values = {"bias": 9, "multiplier": 2**30 + 12345, "shift": 38}
    return [
        builder.constant(f"{name}_{key}", np.full(channels, value, np.int32), S32)
        for key, value in values.items()
    ]


def add_conv(builder: GraphBuilder, source: str, name: str, window: Window) -> str:
    channels = builder.type(source).shape[2]
    rng = np.random.default_rng(len(name))
    weights = rng.integers(-90, 90, (CHANNELS, *window.size, channels))
    names = [builder.constant(f"{name}_w", weights, S8), *add_scaling(builder, name, CHANNELS)]
    return builder.apply(name, Conv2D(OUTPUT, window, 4), source, *names)


def add_sum(builder: GraphBuilder, source: str) -> str:
    frames = builder.type(source).shape[0]
    constants = add_scaling(builder, "mean", CHANNELS)
    operation = SumPool2D(OUTPUT, Window((frames, 1)), 4)
    return builder.apply("mean", operation, source, *constants)


def draw_network() -> Graph:
    builder = start()
    wide = add_conv(builder, builder.input, "first", Window((3, 1)))
    return builder.build(add_sum(builder, add_conv(builder, wide, "second", Window((2, 1)))))


def causal(size: int, stride: int = 1) -> Window:
    return Window((size, 1), (stride, 1), padding=(size - 1, 0, 0, 0))


def test_a_sum_over_the_window_is_kept():
    streamed = stream(draw_network())
    kinds = [type(node.op) for node in streamed.graph.nodes]
    assert kinds.count(SlidingSum) == 1
    # Rings of 3 columns of the input, 2 of the first layer, 17 of the second, and the sum.
    assert streamed.state_bytes == CHANNELS * (3 + 2 + 17) + 4 * CHANNELS


def test_first_answers_are_those_of_zeros():
    streamed = stream(draw_network())
    frames = np.random.default_rng(0).integers(-128, 128, (4, 1, CHANNELS)).astype(np.int32)
    got = run_sequences(streamed.graph, {"input": frames[None, :, None]})["mean"][0]
    again = run_sequences(streamed.graph, {"input": frames[None, :, None]})["mean"][0]
    np.testing.assert_array_equal(got, again)


@pytest.mark.parametrize(
    ("padding", "message", "remedy"),
    [
        ((1, 1, 0, 0), "1 frames behind the newest", "1 frames later"),
        ((0, 2, 0, 0), "2 frames behind the newest", "2 frames later"),
    ],
)
def test_a_look_into_the_future_is_named(padding, message, remedy):
    builder = start()
    add_conv(builder, builder.input, "looks_ahead", Window((3, 1), padding=padding))
    with pytest.raises(ModelError) as caught:
        stream(builder.build("looks_ahead"))
    assert caught.value.where == "looks_ahead"
    assert message in caught.value.message
    assert remedy in (caught.value.remedy or "")


def test_the_delay_is_in_frames_of_the_input():
    builder = start()
    half = builder.apply("half", MaxPool2D(Window((2, 1), (2, 1))), builder.input)
    add_conv(builder, half, "same", Window((3, 1), padding=(1, 1, 0, 0)))
    with pytest.raises(ModelError, match="2 frames behind"):
        stream(builder.build("same"))


def test_a_mean_over_columns_inside_alone_is_refused():
    builder = start()
    builder.apply("mean", AveragePool2D(Window((3, 1), padding=(2, 0, 0, 0))), builder.input)
    with pytest.raises(ModelError, match="counts the columns inside"):
        stream(builder.build("mean"))


def test_causal_layers_behind_valid_ones_are_refused_where_padding_counts():
    builder = start()
    valid = add_conv(builder, builder.input, "valid", Window((3, 1)))
    last = add_conv(builder, valid, "causal", causal(3))
    with pytest.raises(ModelError) as caught:
        stream(builder.build(add_sum(builder, last)))
    assert caught.value.where == "causal"


def test_padding_on_which_no_answer_depends_changes_nothing():
    builder = start()
    valid = add_conv(builder, builder.input, "valid", Window((3, 1)))
    last = add_conv(builder, valid, "causal", causal(3))
    frames = builder.type(last).shape[0]
    crop = StridedCopy((1, 1, CHANNELS), (0, 0, 1), (frames - 1) * CHANNELS)
    graph = builder.build(builder.apply("newest", crop, last))
    streamed = stream(graph)
    assert streamed.padded == ()
    signal = np.random.default_rng(1).integers(-128, 128, (40, 1, CHANNELS)).astype(np.int32)
    got = run_sequences(streamed.graph, {"input": signal[None, :, None]})["newest"][0]
    windows = np.stack([signal[end - FRAMES : end] for end in range(FRAMES, 41)])
    np.testing.assert_array_equal(got[FRAMES - 1 :], run(graph, windows))


def test_a_causal_network_says_what_it_equals():
    builder = start()
    last = add_conv(builder, builder.input, "causal", causal(3))
    streaming = tinyq.stream(builder.build(add_sum(builder, last)))
    assert streaming.streamed.padded == ("causal",)
    assert "all frames since the reset" in str(streaming)
    assert streaming.to_json()["padded"] == ["causal"]


def test_a_step_is_a_multiple_of_the_slowest_layer():
    builder = start()
    half = builder.apply("half", MaxPool2D(Window((2, 1), (2, 1))), builder.input)
    graph = builder.build(add_conv(builder, half, "conv", Window((3, 1))))
    assert stream(graph).step == 2
    assert stream(graph, 0, 4).step == 4
    with pytest.raises(ModelError, match="every 2 frames, not every 3") as caught:
        stream(graph, 0, 3)
    assert "multiple of 2" in (caught.value.remedy or "")
    with pytest.raises(ModelError, match="none of a window of 20"):
        stream(graph, 0, 22)


@pytest.mark.parametrize("axis", [1, 3, -1])
def test_an_axis_without_frames_is_refused(axis):
    with pytest.raises(ModelError):
        stream(draw_network(), axis)


def test_a_step_is_no_window():
    with pytest.raises(ModelError, match="keeps state already"):
        stream(stream(draw_network()).graph)


def test_packed_codes_that_would_be_cut_are_refused():
    kind = TensorType((FRAMES + 1, 1, CHANNELS), find_format("u4"), 0.1)
    builder = GraphBuilder.start("net", kind)
    builder.apply("every_other", MaxPool2D(Window((1, 1), (2, 1))), builder.input)
    with pytest.raises(ModelError, match="no address of their own"):
        stream(builder.build("every_other"))


def test_different_constants_of_columns_end_time():
    builder = start()
    codes = np.arange(FRAMES * CHANNELS).reshape(FRAMES, 1, CHANNELS) % 100
    other = builder.constant("other", codes, S8, 0.1, 4)
    from tinyq.graph.ops.extremum import Extremum

    graph = builder.build(builder.apply("largest", Extremum(1), builder.input, other))
    streamed = stream(graph)
    assert streamed.graph.tensors["largest"].type.shape == (FRAMES, 1, CHANNELS)


def test_the_option_is_read_or_refused():
    assert read_option("time=0") == (0, None, False)
    assert read_option("step=4, time=1, carry=1") == (1, 4, True)
    doubtful = ("time=0,time=1", "time=0,hop=2", "time=-1", "time=0,carry=2")
    for wrong in ("", "0", "time", "time=x", "step=1", *doubtful):
        with pytest.raises(TinyqError) as caught:
            read_option(wrong)
        assert caught.value.where == "--stream"


def test_check_says_what_a_step_would_save():
    found = tinyq.check(draw_network())
    assert [saving.axis for saving in found.savings] == [0]
    assert "--stream time=0" in str(found)
    json.dumps(found.to_json())
    step = tinyq.check(draw_network(), stream="time=0")
    assert step.ok and step.savings == ()
    assert step.estimate is not None and found.estimate is not None
    assert step.estimate.macs < found.estimate.macs
    refused = tinyq.check(draw_network(), stream="time=1")
    assert [it.kind for it in refused.obstacles] == ["refused"]


def test_nothing_is_saved_where_all_is_computed_anew():
    builder = start()
    constants = add_scaling(builder, "scaled", CHANNELS)
    scaled = builder.apply("scaled", Rescale(OUTPUT, 4), builder.input, *constants)
    assert list_savings(builder.build(scaled)) == ()


@pytest.mark.requires("gcc")
def test_a_build_takes_the_option_and_what_stream_gave(tmp_path):
    host = find_board("host")
    built = tinyq.build(draw_network(), host, tmp_path / "one", stream="time=0")
    assert built.streamed is not None and "20 frames" in str(built)
    other = tinyq.build(tinyq.stream(draw_network()), host, tmp_path / "two")
    assert other.project.graph_digest == built.project.graph_digest
