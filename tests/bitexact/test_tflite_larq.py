"""Larq Compute Engine's operators: its formulas a second time, over words of bits, on own files."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.test_tflite_states import write_options
from tests.bitexact.tflite_variables import File
from tests.harness import compile_model, differences
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph import reference
from tinyq.graph.ops.window import same_padding
from tinyq.graph.passes import simplify
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.rebuilding import rebuild_keras
from tinyq.memory.planner import plan
from tinyq.training import post_training
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import lower_keras

SAMPLES = 4
X_ZERO, Y_SCALE, Y_ZERO = -7, 0.37, 11
NONE, RELU, RELU1, RELU6 = range(4)
SAME, VALID = range(2)


def pack(bits: np.ndarray) -> np.ndarray:
    """Words of 32 bits along the last axis, the first channel lowest."""
    rest = -bits.shape[-1] % 32
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, rest)]).astype(np.uint64)
    words = padded.reshape(*bits.shape[:-1], -1, 32) << np.arange(32, dtype=np.uint64)
    return words.sum(axis=-1).astype(np.uint32).view(np.int32)


def count_bits(words: np.ndarray) -> np.ndarray:
    return np.bitwise_count(words.view(np.uint32)).sum(axis=-1, dtype=np.int64)


def popcounts(bits, weights, stride, dilation, padding, ones, groups):
    """Larq's accumulators of one image, shape (height, width, out_channels)."""
    outs, high, wide, depth = weights.shape
    border = (0, 0, 0, 0)
    if padding == SAME:
        border = same_padding(bits.shape, (high, wide), stride, dilation)
    top, bottom, left, right = border
    height = (bits.shape[0] + top + bottom - (high - 1) * dilation[0] - 1) // stride[0] + 1
    width = (bits.shape[1] + left + right - (wide - 1) * dilation[1] - 1) // stride[1] + 1
    found = np.zeros((height, width, outs), np.int64)
    kernels = pack(weights)
    for row, column, out in np.ndindex(found.shape):
        group = out // (outs // groups)
        for i, j in np.ndindex(high, wide):
            y = row * stride[0] - top + i * dilation[0]
            x = column * stride[1] - left + j * dilation[1]
            inside = 0 <= y < bits.shape[0] and 0 <= x < bits.shape[1]
            if not inside and not ones:
                found[row, column, out] += depth // 2
                continue
            taken = bits[y, x, group * depth :][:depth] if inside else np.zeros(depth, bool)
            found[row, column, out] += count_bits(pack(taken) ^ kernels[out, i, j])
    return found


def scale(acc, taps, activation, gain, bias):
    """Larq's output transformation to int8, in float32."""
    least, most = {NONE: (-taps, taps), RELU: (0, taps), RELU1: (-1, 1), RELU6: (0, 6)}[activation]
    least, most = max(least, -taps), min(most, taps)
    step = np.float64(np.float32(Y_SCALE))
    factor = (-gain.astype(np.float64) / step).astype(np.float32)
    offset = ((bias.astype(np.float64) + taps * gain.astype(np.float64)) / step + Y_ZERO).astype(
        np.float32
    )
    held = np.clip(acc << 1, taps - most, taps - least).astype(np.float32)
    value = held * factor + offset
    away = np.where(value < 0, np.ceil(value - np.float32(0.5)), np.floor(value + np.float32(0.5)))
    return np.clip(away, -128, 127).astype(np.int32)


def options(activation, ones, padding, stride, dilation, depth) -> bytes:
    return write_options(
        channels_in=depth,
        dilation_height_factor=dilation[0],
        dilation_width_factor=dilation[1],
        fused_activation_function=activation,
        pad_values=ones,
        padding=padding,
        stride_height=stride[0],
        stride_width=stride[1],
    )


class Network:
    """Int8 input, its signs, operators of Larq behind them."""

    def __init__(self, shape) -> None:
        self.file = File(calls=False)
        self.main, self.shape = self.file.main, shape
        x = self.main.tensor("INT8", (1, *shape), scale=0.5, zero=X_ZERO)
        self.main.inputs = [x]
        self.place = self.words(shape)
        self.custom("CUSTOM:LceQuantize", [x], self.place)

    def words(self, shape) -> int:
        return self.main.tensor("INT32", (1, *shape[:-1], -(-shape[-1] // 32)))

    def custom(self, name, reads, result, content=b"") -> None:
        self.main.apply(name, reads, [result])
        self.main.operators[-1].customOptions = list(content)
        self.place = result

    def convolve(self, weights, result, content, gain=None, bias=None, thresholds=None) -> None:
        words = pack(weights)
        reads = [self.place, self.main.tensor("INT32", words.shape, words)]
        for kind, values in (("FLOAT32", gain), ("FLOAT32", bias), ("INT32", thresholds)):
            reads.append(-1 if values is None else self.main.tensor(kind, values.shape, values))
        self.custom("CUSTOM:LceBconv2d", reads, result, content)

    def codes(self, shape) -> int:
        return self.main.tensor("INT8", (1, *shape), scale=Y_SCALE, zero=Y_ZERO)

    def load(self, tmp_path, rounding="tflite"):
        self.main.outputs = [self.place]
        path = tmp_path / "larq.tflite"
        path.write_bytes(self.file.write())
        return import_tflite(path, rounding)


def check(graph, x, wanted) -> None:
    np.testing.assert_array_equal(reference.run(graph, x), wanted)
    simple = simplify(graph)
    assert differences(simple, compile_model(emit(simple, plan(simple))), x) == 0


# shape, outputs, window, stride, dilation, padding, ones, groups
WINDOWS = {
    "pointwise": ((3, 4, 40), 5, (1, 1), (1, 1), (1, 1), VALID, 0, 1),
    "same_zeros": ((5, 6, 34), 33, (3, 3), (1, 1), (1, 1), SAME, 0, 1),
    "same_ones": ((5, 6, 31), 4, (3, 3), (2, 1), (1, 1), SAME, 1, 1),
    "dilated": ((7, 7, 32), 3, (3, 2), (1, 1), (2, 3), SAME, 1, 1),
    "single_channel": ((4, 4, 1), 2, (2, 2), (1, 2), (1, 1), VALID, 0, 1),
    "grouped": ((4, 3, 64), 6, (2, 3), (1, 1), (1, 1), SAME, 1, 2),
}


def draw(name, rng):
    shape, outs, size, stride, dilation, padding, ones, groups = WINDOWS[name]
    weights = rng.random((outs, *size, shape[2] // groups)) < 0.5
    x = rng.integers(-128, 128, (SAMPLES, *shape)).astype(np.int32)
    x[0, 0, 0] = X_ZERO
    acc = np.stack(
        [popcounts(one < X_ZERO, weights, stride, dilation, padding, ones, groups) for one in x]
    )
    return Network(shape), weights, x, acc


def numbers(rng, outs, spread=0.4):
    gain = rng.normal(0.0, spread, outs).astype(np.float32)
    gain[0] = 0.0
    return gain, rng.normal(0.0, 6.0, outs).astype(np.float32)


CLAMPED = (("pointwise", RELU), ("same_zeros", RELU), ("same_ones", RELU6), ("grouped", RELU1))


@pytest.mark.requires("gcc")
@pytest.mark.parametrize(("name", "activation"), [*((name, NONE) for name in WINDOWS), *CLAMPED])
def test_codes_are_larq_s(name, activation, tmp_path, rng):
    shape, outs, _, stride, dilation, padding, ones, _ = WINDOWS[name]
    network, weights, x, acc = draw(name, rng)
    gain, bias = numbers(rng, outs)
    content = options(activation, ones, padding, stride, dilation, shape[2])
    network.convolve(weights, network.codes(acc.shape[1:]), content, gain, bias)
    taps = weights[0].size
    check(network.load(tmp_path), x, scale(acc, taps, activation, gain, bias))


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("name", WINDOWS)
def test_signs_are_larq_s_through_pools_and_back(name, tmp_path, rng):
    shape, outs, _, stride, dilation, padding, ones, _ = WINDOWS[name]
    network, weights, x, acc = draw(name, rng)
    thresholds = rng.integers(acc.min() - 1, acc.max() + 2, outs).astype(np.int32)
    thresholds[0] = -(2**31)
    content = options(NONE, ones, padding, stride, dilation, shape[2])
    network.convolve(weights, network.words(acc.shape[1:]), content, thresholds=thresholds)
    bits = acc > thresholds
    height, width = bits.shape[1] - 1, bits.shape[2]
    pool = write_options(
        filter_height=2, filter_width=1, stride_height=1, stride_width=1, padding=VALID
    )
    source = network.place
    network.custom("CUSTOM:LceBMaxPool2d", [source], network.words((height, width, outs)), pool)
    network.custom("CUSTOM:LceDequantize", [network.place], network.codes((height, width, outs)))
    pooled = bits[:, 1:] & bits[:, :-1]
    step = round(1 / Y_SCALE)
    wanted = np.where(pooled, Y_ZERO - step, Y_ZERO + step)
    check(network.load(tmp_path), x, wanted)


def test_wide_sums_step_where_float32_does(tmp_path, rng):
    shape, outs = (3, 3, 512), 16
    network = Network(shape)
    weights = rng.random((outs, 3, 3, 512)) < 0.5
    x = rng.integers(-128, 128, (SAMPLES, *shape)).astype(np.int32)
    acc = np.stack([popcounts(one < X_ZERO, weights, (1, 1), (1, 1), 1, 0, 1) for one in x])
    gain, bias = numbers(rng, outs, 0.01)
    content = options(NONE, 0, VALID, (1, 1), (1, 1), 512)
    network.convolve(weights, network.codes((1, 1, outs)), content, gain, bias)
    found = reference.run(network.load(tmp_path), x)
    np.testing.assert_array_equal(found, scale(acc, 9 * 512, NONE, gain, bias))


def test_words_are_read_by_larq_s_operators_alone(tmp_path):
    network = Network((2, 2, 1))
    again = network.main.tensor("INT32", (1, 4))
    shape = network.main.tensor("INT32", (2,), np.array([1, 4]))
    network.main.apply("RESHAPE", [network.place, shape], [again])
    network.place = again
    with pytest.raises(ModelError, match="words of signs"):
        network.load(tmp_path)


def test_zeros_around_an_odd_number_of_channels_are_refused(tmp_path, rng):
    network = Network((3, 3, 5))
    weights = rng.random((2, 3, 3, 5)) < 0.5
    content = options(NONE, 0, SAME, (1, 1), (1, 1), 5)
    one = np.ones(2, np.float32)
    network.convolve(weights, network.codes((3, 3, 2)), content, one, one)
    with pytest.raises(ModelError, match="even number of channels"):
        network.load(tmp_path)


class FloatNetwork(Network):
    """Reals in, their signs, operators of Larq behind them."""

    def __init__(self, shape) -> None:
        self.file = File(calls=False)
        self.main, self.shape = self.file.main, shape
        x = self.main.tensor("FLOAT32", (1, *shape))
        self.main.inputs = [x]
        self.place = self.words(shape)
        self.custom("CUSTOM:LceQuantize", [x], self.place)


@pytest.mark.parametrize("ones", [0, 1])
def test_networks_of_floats_become_layers_with_the_same_answers(ones, tmp_path, rng):
    shape, middle, outs = (6, 5, 34), 32, 3
    first = rng.random((middle, 3, 3, 34)) < 0.5
    second = rng.random((outs, 2, 1, middle)) < 0.5
    x = rng.normal(size=(SAMPLES, *shape)).astype(np.float32)
    acc = np.stack([popcounts(one < 0, first, (1, 1), (1, 1), SAME, ones, 1) for one in x])
    thresholds = rng.integers(acc.min(), acc.max(), middle).astype(np.int32)
    bits = acc > thresholds
    pooled = bits[:, 1:] & bits[:, :-1]
    last = np.stack([popcounts(one, second, (1, 1), (1, 1), VALID, 0, 1) for one in pooled])
    gain, bias = numbers(rng, outs)
    taps = second[0].size
    wanted = np.maximum(taps - 2 * last, 0) * gain + bias

    network = FloatNetwork(shape)
    content = options(NONE, ones, SAME, (1, 1), (1, 1), 34)
    network.convolve(first, network.words((6, 5, middle)), content, thresholds=thresholds)
    pool = write_options(
        filter_height=2, filter_width=1, stride_height=1, stride_width=1, padding=VALID
    )
    network.custom("CUSTOM:LceBMaxPool2d", [network.place], network.words((5, 5, middle)), pool)
    content = options(RELU, 0, VALID, (1, 1), (1, 1), middle)
    result = network.main.tensor("FLOAT32", (1, 4, 5, outs))
    network.convolve(second, result, content, gain, bias)
    network.main.outputs = [network.place]
    path = tmp_path / "larq.tflite"
    path.write_bytes(network.file.write())
    model = rebuild_keras(path)
    np.testing.assert_allclose(model(x), wanted, rtol=1e-5, atol=1e-4)
    quantized = post_training(model, x)
    graph = lower_keras(quantized)
    assert not any(layer.differing for layer in compare_layers(quantized, graph, x))
    formats = {tensor.type.format.name for tensor in graph.tensors.values()}
    assert "b1" in formats
