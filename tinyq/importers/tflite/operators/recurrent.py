"""SVDF and LSTM, whose memory is a state: TFLite keeps it from one inference to the next."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyq.graph import TensorType
from tinyq.graph.epilogues import Requantize, RequantizeTwice
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.dense import Dense
from tinyq.graph.ops.lookup import Lookup
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.strided_copy import StridedCopy
from tinyq.graph.ops.svdf import Svdf
from tinyq.graph.ops.svdf_memory import SvdfMemory
from tinyq.graph.ops.tflite_lstm import MAX_CELLS, STATE_ROWS, TfliteLstmStates
from tinyq.importers.tflite.epilogues import epilogue
from tinyq.importers.tflite.layer import Layer
from tinyq.importers.tflite.operators.convolution import bias_of
from tinyq.importers.tflite.reader import FileTensor
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.tables import all_codes
from tinyq.numerics import fixed_point
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.formats import FORMATS
from tinyq.numerics.rounding import INT32_MAX

# Inputs of a UNIDIRECTIONAL_SEQUENCE_LSTM, each in the order of TfliteLstm's gates.
_INPUT_WEIGHTS, _RECURRENT_WEIGHTS, _BIASES = (1, 2, 3, 4), (5, 6, 7, 8), (12, 13, 14, 15)
_OUTPUT_STATE, _CELL_STATE, _HIDDEN = 18, 19, 4
_UNSUPPORTED = {
    "peephole connections": (9, 10, 11),
    "a projection": (16, 17),
    "layer normalization": (20, 21, 22, 23),
}
_RELU, _TANH = 1, 4
_INT8_MIN, _INT16_MIN = -(2**7), -(2**15)


@imports("SVDF")
def import_svdf(layer: Layer) -> None:
    """Low-rank layer with a memory of the features of earlier steps, which is a state.

    Its ReLU is the output's range: TFLite's integer kernel demands it and clips to int8 alone.
    """
    layer.require(layer.option("FusedActivationFunction", 0) == _RELU, "only ReLU is supported")
    x = layer.type_of(layer.source())
    kind = "INT8" if layer.source(2).type == "INT8" else "INT16"  # of TFLite for microcontrollers
    weights, time = _weights(layer, 1, "INT8"), _weights(layer, 2, kind)
    rank, state = layer.option("Rank", 1), layer.source(4)
    filters, inputs = weights.shape
    layer.require(
        time.shape[0] == filters and x.shape == (inputs,) and rank >= 1 and filters % rank == 0,
        f"{filters} filters of rank {rank} do not fit an input {x}",
    )
    _require_state(layer, state, kind, filters * time.shape[1])
    zero = state.quantization.zero_points[0] if state.quantization else 0
    layer.require(kind == "INT8" or zero == 0, f"the state {state} is not symmetric")
    layer.require(_INT8_MIN <= zero <= ~_INT8_MIN, f"zero point {zero} of {state}")
    bias = bias_of(layer, filters // rank, position=3)
    layer.require(int(np.abs(weights).sum(axis=1).max()) * 255 <= INT32_MAX, "too many inputs")
    scales = [_single_scale(layer, layer.source(position)) for position in (0, 1, 4, 2)]
    gain = float(np.float32(layer.scale(layer.result())))
    feature = quantize_multiplier(float(scales[0] * scales[1] / scales[2]))
    layer.require(feature[1] <= 30, "a scale ratio is too large")
    output, constants = epilogue(
        layer,
        float(scales[2] * scales[3] / np.float32(gain)),
        bias,
        channels=filters // rank,
        activation="NONE",
    )
    limit = _INT8_MIN if kind == "INT8" else _INT16_MIN
    most = _bound_features(weights, feature, x, limit)
    farthest = most if zero == 0 else -2 * _INT8_MIN
    sums = np.abs(time).reshape(filters // rank, -1).sum(axis=1) * farthest
    layer.require(int((sums + np.abs(bias)).max()) <= INT32_MAX, "a sum of features leaves int32")
    if time.shape[1] == 1 and kind == "INT16":
        operation = Svdf(output, rank, *feature, x.zero_point)
        names = layer.number("weights", weights, "s8"), layer.number("time", time[:, 0], "s16")
        layer.finish(layer.apply(operation, layer.activation(), *names, *constants))
        return
    memory = _remember(layer, weights, feature, (max(-most, limit), min(most, ~limit)), zero)
    over_time = layer.number("time", time, "s16")
    layer.finish(layer.apply(SvdfMemory(output, rank), memory, over_time, *constants))


def _bound_features(
    weights: npt.NDArray[np.int64], scale: tuple[int, int], x: TensorType, limit: int
) -> int:
    """Largest absolute value of a feature, whose smallest code is ``limit``."""
    most = max(x.format.hi - x.zero_point, x.zero_point - x.format.lo)
    sums = np.abs(weights).sum(axis=1) * most
    reach = fixed_point.scale_twice(np.asarray([-sums.max(), sums.max()]), *scale)
    return int(min(np.abs(reach).max(), -limit))


def _remember(
    layer: Layer,
    weights: npt.NDArray[np.int64],
    scale: tuple[int, int],
    limits: tuple[int, int],
    zero: int,
) -> str:
    """The memory with the features of this step in its last column.

    A zero point is added to a feature of 8 bits, which then keeps its lower 8 bits alone.
    """
    filters, steps = layer.source(2).shape
    unit = float(_single_scale(layer, layer.source(4)))
    mantissas, exponents = (np.full(filters, part) for part in scale)
    x = layer.type_of(layer.source())
    number_format = "s8" if zero else "s16"
    features = layer.apply(
        Dense(RequantizeTwice(number_format, unit, 0, *limits), x.zero_point),
        layer.activation(),
        layer.number("weights", weights, "s8"),
        layer.number("no_bias", np.zeros(filters, np.int64), "s32"),
        layer.number("feature_multiplier", mantissas, "s32"),
        layer.number("feature_exponent", exponents, "s32"),
        suffix="features",
    )
    if zero:
        features = _wrap(layer, features, unit, zero)
    column = layer.reshape(features, (filters, 1), "column")
    kind = TensorType((filters, steps), FORMATS["s16"], unit, 0)
    state = layer.builder.add_state(layer.name("state"), kind)
    memory = layer.apply(Append(1), state, column, suffix="memory")
    layer.builder.keep(state, memory)
    return memory


def _wrap(layer: Layer, features: str, unit: float, zero: int) -> str:
    """What a state of 8 bits with a zero point holds of features, less the zero point.

    y = (feature + zero + 128) % 256 - 128 - zero
    """
    table = (all_codes() + zero + 128) % 256 - 128
    held = layer.apply(
        Lookup(unit, zero), features, layer.number("held", table, "s8"), suffix="held"
    )
    count = layer.builder.type(held).shape[-1]
    same = [
        layer.number(f"centered_{name}", np.full(count, value), "s32")
        for name, value in (("bias", 0), ("multiplier", 2), ("shift", 1))
    ]
    output = Requantize("s16", unit, 0, 2 * _INT8_MIN, -2 * _INT8_MIN)
    return layer.apply(Rescale(output, zero), held, *same, suffix="centered")


@imports("UNIDIRECTIONAL_SEQUENCE_LSTM")
def import_lstm(layer: Layer) -> None:
    """LSTM over the steps of one inference, which go on where those of the one before ended."""
    x, y = layer.type_of(layer.source()), layer.type_of(layer.result())
    for what, positions in _UNSUPPORTED.items():
        layer.require(not any(map(layer.has, positions)), f"an LSTM with {what} is not supported")
    layer.require(layer.has(1), "an LSTM with coupled input and forget gates is not supported")
    layer.require(layer.option("FusedActivationFunction", _TANH) == _TANH, "only tanh is supported")
    weights = [_weights(layer, place, "INT8") for place in _INPUT_WEIGHTS]
    recurrent = [_weights(layer, place, "INT8") for place in _RECURRENT_WEIGHTS]
    cells, inputs = weights[0].shape
    layer.require(
        all(one.shape == (cells, inputs) for one in weights)
        and all(one.shape == (cells, cells) for one in recurrent),
        "the weights of the gates do not fit each other",
    )
    layer.require(cells <= MAX_CELLS, f"{cells} cells, at most {MAX_CELLS} are supported")
    steps = layer.source().elements // inputs
    layer.require(
        math.prod(x.shape) == steps * inputs and len(layer.source().shape) <= 3 and _is_one(layer),
        f"the input {layer.source()} is no sequence of one sample",
    )
    bias = np.stack([bias_of(layer, cells, place) for place in _BIASES])
    for sums in (np.abs(np.stack(weights)).sum(axis=2) * 255 + np.abs(bias),):
        layer.require(int(sums.max()) <= INT32_MAX, "a gate's accumulator leaves int32")
    operation = _lstm(layer, x.zero_point, float(y.scale or 1.0))
    names = (
        layer.number("weights", np.stack(weights), "s8"),
        layer.number("recurrent", np.stack(recurrent), "s8"),
        layer.number("bias", bias, "s32"),
    )
    data = layer.reshape(layer.activation(), (steps, inputs), "steps")
    kind = TensorType((STATE_ROWS, cells), FORMATS["s8"], operation.scale, operation.zero_point)
    state = layer.builder.add_state(layer.name("state"), kind, operation.first_state(cells))
    whole = layer.apply(operation, data, *names, state, suffix="steps_and_state")
    last = StridedCopy(kind.shape, (cells, 1), (steps - 1) * cells)
    layer.builder.keep(state, layer.apply(last, whole, suffix="kept"))
    layer.finish(layer.apply(StridedCopy((steps, cells), (cells, 1)), whole))


def _is_one(layer: Layer) -> bool:
    """Whether the input is one sample: (steps, 1, inputs), (1, steps, inputs) or (1, inputs)."""
    shape = layer.source().shape
    batch = shape[1] if len(shape) == 3 and layer.option("TimeMajor", False) else shape[0]
    return len(shape) in (2, 3) and batch == 1


def _lstm(layer: Layer, x_zero: int, scale: float) -> TfliteLstmStates:
    """The operation, its scales in float32 as TFLite computes them."""
    state, cell = layer.source(_OUTPUT_STATE), layer.source(_CELL_STATE)
    cells = layer.source(_RECURRENT_WEIGHTS[0]).shape[0]
    _require_state(layer, state, "INT8", cells)
    _require_state(layer, cell, "INT16", cells)
    power = round(math.log2(_single_scale(layer, cell)))
    layer.require(
        _single_scale(layer, cell) == 2.0**power and -15 <= power <= -9,
        f"cells with the scale {_single_scale(layer, cell)}, which is no power of two "
        "from 2**-15 to 2**-9",
    )
    intermediates = layer.operator.intermediates
    layer.require(len(intermediates) > _HIDDEN, "the scale of the hidden state is missing")
    hidden = layer.conversion.model.tensors[intermediates[_HIDDEN]]
    unit = 2.0**-15 / float(_single_scale(layer, hidden)) * 2.0**-15
    zeros = [
        tensor.quantization.zero_points[0] for tensor in (hidden, state) if tensor.quantization
    ]
    layer.require(all(-128 <= zero <= 127 for zero in zeros), "a zero point is no int8")
    clip = np.float32(layer.option("CellClip", 0.0))
    layer.require(bool(np.isfinite(clip)), f"cells are clipped to {clip}")
    limit = min(clip / _single_scale(layer, cell), np.float32(32767)) if clip > 0 else 0
    return TfliteLstmStates(
        _gate_scales(layer, layer.source(), _INPUT_WEIGHTS),
        _gate_scales(layer, state, _RECURRENT_WEIGHTS),
        _multiplier(layer, float(np.float32(unit))),
        15 + power,
        int(limit),
        x_zero,
        zeros[1],
        scale,
        zeros[0],
    )


def _gate_scales(layer: Layer, data: FileTensor, places: tuple[int, ...]) -> tuple[int, ...]:
    """Mantissa and exponent of each gate's product, whose codes are Q3.12."""
    unit = _single_scale(layer, data)
    found: list[int] = []
    for place in places:
        product = _single_scale(layer, layer.source(place)) * unit
        found += _multiplier(layer, float(product / np.float32(2.0**-12)))
    return tuple(found)


def _multiplier(layer: Layer, real: float) -> tuple[int, int]:
    found = quantize_multiplier(real)
    layer.require(found[1] <= 30, "a scale ratio is too large")
    return found


def _single_scale(layer: Layer, tensor: FileTensor) -> np.float32:
    """The one scale of a tensor, which may also be a weight or a state."""
    meaning = tensor.quantization
    layer.require(meaning is not None and len(meaning.scales) == 1, f"{tensor} has no single scale")
    scale = meaning.scales[0] if meaning else 1.0
    layer.require(2.0**-40 <= scale <= 2.0**40, f"scale {scale} of {tensor} is out of proportion")
    return np.float32(scale)


def _weights(layer: Layer, position: int, kind: str) -> npt.NDArray[np.int64]:
    """Symmetric constant weights with two axes and one scale."""
    tensor = layer.source(position)
    layer.require(
        tensor.type == kind and len(tensor.shape) == 2, f"{tensor} is not {kind} with two axes"
    )
    _single_scale(layer, tensor)
    zeros = tensor.quantization.zero_points if tensor.quantization else ()
    layer.require(not any(zeros), f"weights {tensor} are not symmetric")
    codes: npt.NDArray[np.int64] = layer.constant(position)
    return codes


def _require_state(layer: Layer, tensor: FileTensor, kind: str, elements: int) -> None:
    layer.require(
        tensor.type == kind and tensor.elements == elements and tensor.data is None,
        f"the state {tensor} is not {kind} with {elements} values",
    )
    zeros = tensor.quantization.zero_points if tensor.quantization else ()
    layer.require(kind == "INT8" or not any(zeros), f"the state {tensor} is not symmetric")
