"""SVDF and LSTM of .tflite files against LiteRT's reference kernels; the files are made here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.harness import compile_model, differences, sequence_differences
from tests.requirements import require_module
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph import Graph, reference
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.litert import open_interpreter
from tinyq.importers.tflite.reader import read_model
from tinyq.memory.planner import plan
from tinyq.numerics import gates
from tinyq.numerics.fixed_point import quantize_multiplier, scale_twice

require_module("ai_edge_litert")
SAMPLES = 20
_DTYPES = {"INT8": np.int8, "INT16": np.int16, "INT32": np.int32}


@dataclass
class File:
    """A .tflite file of one operator in the making."""

    schema: Any
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)

    def add(self, kind, shape, scale, zero=0, data=None, state=False) -> int:
        """A tensor; ``data`` make it a constant."""
        tensor, buffer = self.schema.TensorT(), self.schema.BufferT()
        tensor.shape, tensor.type = list(shape), getattr(self.schema.TensorType, kind)
        tensor.name, tensor.isVariable = f"t{len(self.tensors)}".encode(), state
        tensor.quantization = self.schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [float(scale)], [int(zero)]
        if data is not None:
            content = np.asarray(data, _DTYPES[kind]).astype(np.dtype(_DTYPES[kind]))
            buffer.data = np.frombuffer(content.tobytes(), np.uint8)
        tensor.buffer = len(self.buffers) + 1
        self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def write(self, name, inputs, output, options, intermediates=()) -> bytes:
        """The file; the first of ``inputs`` is the model's input."""
        import flatbuffers

        schema = self.schema
        model, graph, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorT()
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 3
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, [output]
        operator.intermediates = list(intermediates) or None
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = options
        graph.tensors, graph.operators = self.tensors, [operator]
        graph.inputs, graph.outputs = [inputs[0]], [output]
        model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
        model.buffers = [schema.BufferT(), *self.buffers]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


@pytest.fixture(scope="module")
def schema():
    return require_module("tensorflow.lite.python.schema_py_generated")


def write_svdf(
    schema,
    rng,
    inputs,
    units,
    rank,
    memory,
    bias=True,
    kind="INT16",
    state_scale=0.0005,
    zero=0,
) -> bytes:
    file, filters = File(schema), units * rank
    scales = {"x": 0.03, "w": 0.01 * rng.uniform(0.5, 2), "state": state_scale, "time": 2e-5}
    x = file.add("INT8", (1, inputs), scales["x"], rng.integers(-128, 128))
    w = file.add(
        "INT8", (filters, inputs), scales["w"], 0, rng.integers(-127, 128, (filters, inputs))
    )
    narrow = state_scale > 0.01
    reach = 127 if narrow else 32767 // (4 * rank)
    codes = rng.integers(-reach, reach + 1, (filters, memory))
    time = file.add(kind, (filters, memory), scales["time"], 0, codes)
    b = -1
    if bias:
        unit = scales["state"] * scales["time"]
        spread = 2**9 if narrow else 2**24
        b = file.add("INT32", (units,), unit, 0, rng.integers(-spread, spread, units))
    state = file.add(kind, (1, filters * memory), scales["state"], zero, state=True)
    step = scales["state"] * 2e-3 if narrow else 0.03 * inputs**0.5 * rank**0.5 / 40
    y = file.add("INT8", (1, units), step, rng.integers(-128, 128))
    options = schema.SVDFOptionsT()
    options.rank = rank
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return file.write("SVDF", [x, w, time, b, state], y, options)


def write_lstm(schema, rng, steps, inputs, cells, power=-11, clip=0.0, major=False) -> bytes:
    file = File(schema)
    shape = (steps, 1, inputs) if major else (1, steps, inputs)
    x_scale, h_scale = 0.02 * rng.uniform(0.5, 2), 1 / 128
    h_zero = int(rng.integers(-20, 20))
    places = [file.add("INT8", shape, x_scale, rng.integers(-128, 128))]
    for columns, spread in ((inputs, 1.0), (cells, 1.5)):
        for _ in range(4):
            scale = spread * rng.uniform(0.5, 1.5) / 127
            codes = rng.integers(-127, 128, (cells, columns))
            places.append(file.add("INT8", (cells, columns), scale, 0, codes))
    places += [-1, -1, -1]
    for place in range(4):
        unit = x_scale * file.tensors[1 + place].quantization.scale[0]
        codes = np.rint(rng.normal(size=cells) / unit)
        places.append(file.add("INT32", (cells,), unit, 0, codes))
    places += [-1, -1, file.add("INT8", (1, cells), h_scale, h_zero, state=True)]
    places += [file.add("INT16", (1, cells), 2.0**power, state=True), -1, -1, -1, -1]
    y = file.add("INT8", (*shape[:2], cells), h_scale, h_zero)
    # The converter gives them no shape: they are there for their scales alone.
    between = [file.add("INT16", (0,), 2.0**-12) for _ in range(4)]
    between.append(file.add("INT8", (0,), h_scale, h_zero))
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    options.cellClip, options.timeMajor = clip, major
    return file.write("UNIDIRECTIONAL_SEQUENCE_LSTM", places, y, options, between)


def compare(content: bytes, tmp_path, rng) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    graph = import_tflite(path, "tflite")
    codes = rng.integers(-128, 128, (SAMPLES, *graph.input.type.shape))
    found = reference.run(graph, codes)
    expected = run_litert(content, codes).reshape(found.shape)
    assert (found == expected).all(), f"{(found != expected).sum()} of {found.size} codes differ"
    assert len(np.unique(found)) > min(20, found.size // 4)
    single = reference.run(import_tflite(path, "half_up"), codes)
    assert np.abs(single - found).max() <= 1
    program = compile_model(emit(graph, plan(graph)))
    assert differences(graph, program, codes) == 0


@pytest.mark.parametrize(
    ("inputs", "units", "rank", "memory", "bias"),
    [(10, 7, 1, 3, True), (33, 5, 2, 8, True), (4, 1, 3, 1, False)],
)
def test_svdf_equals_litert(schema, tmp_path, rng, inputs, units, rank, memory, bias):
    compare(write_svdf(schema, rng, inputs, units, rank, memory, bias), tmp_path, rng)


@pytest.mark.parametrize(
    ("inputs", "units", "rank", "memory"), [(10, 7, 1, 3), (33, 5, 2, 8), (4, 3, 1, 1)]
)
def test_svdf_remembers_as_litert(schema, tmp_path, rng, inputs, units, rank, memory):
    """Every step of a sequence, whose memory LiteRT keeps between its calls."""
    content = write_svdf(schema, rng, inputs, units, rank, memory)
    graph = compare_steps(content, tmp_path, rng, 3 * memory + 4)
    assert bool(graph.states) == (memory > 1)


def compare_steps(content: bytes, tmp_path, rng, count: int) -> Graph:
    """Two sequences of calls: LiteRT, the reference and C give the same codes."""
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    graph = import_tflite(path, "tflite")
    codes = rng.integers(-128, 128, (2, count, *graph.input.type.shape)).astype(np.int32)
    (found,) = reference.run_sequences(graph, {"input": codes}).values()
    for sequence, steps in zip(codes, found, strict=True):
        interpreter = open_interpreter(content)
        source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        for step, answer in zip(sequence, steps, strict=True):
            data = step.reshape(source["shape"]).astype(np.int8)
            interpreter.set_tensor(source["index"], data)
            interpreter.invoke()
            wanted = interpreter.get_tensor(target["index"])
            np.testing.assert_array_equal(answer, wanted.reshape(answer.shape))
    program = compile_model(emit(graph, plan(graph)))
    assert sequence_differences(graph, program, {"input": codes}) == 0
    return graph


@pytest.mark.parametrize(("inputs", "units", "rank", "memory"), [(10, 7, 1, 3), (9, 5, 2, 1)])
def test_narrow_features_are_those_of_16_bits(schema, tmp_path, inputs, units, rank, memory):
    """TFLite for microcontrollers has weights over time and features of 8 bits, LiteRT has not.

    Where no feature leaves 8 bits, a file with 16 bits for both computes the same.
    """
    contents = {
        kind: write_svdf(
            *(schema, np.random.default_rng(1), inputs, units, rank, memory),
            kind=kind,
            state_scale=0.03 * 0.02 * 127 * 256 * inputs / 100,
        )
        for kind in ("INT8", "INT16")
    }
    path = tmp_path / "model.tflite"
    path.write_bytes(contents["INT8"])
    graph = import_tflite(path, "tflite")
    assert bool(graph.states)
    limits = [node.op.output for node in graph.nodes if getattr(node.op, "output", None)]
    assert (min(it.lo for it in limits), max(it.hi for it in limits)) == (-128, 127)
    rng = np.random.default_rng(2)
    codes = rng.integers(-128, 128, (2, 3 * memory + 4, inputs)).astype(np.int32)
    (found,) = reference.run_sequences(graph, {"input": codes}).values()
    assert len(np.unique(found)) > 20
    for sequence, steps in zip(codes, found, strict=True):
        interpreter = open_interpreter(contents["INT16"])
        source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        for step, answer in zip(sequence, steps, strict=True):
            interpreter.set_tensor(source["index"], step.reshape(source["shape"]).astype(np.int8))
            interpreter.invoke()
            wanted = interpreter.get_tensor(target["index"])
            np.testing.assert_array_equal(answer, wanted.reshape(answer.shape))


@pytest.mark.parametrize("zero", [0, 37, -128])
def test_a_state_of_8_bits_keeps_the_lower_bits_of_a_feature(schema, tmp_path, zero):
    """What TFLite for microcontrollers does where a feature and the zero point leave 8 bits."""
    inputs, units, memory = 6, 5, 3
    content = write_svdf(
        *(schema, np.random.default_rng(3), inputs, units, 1, memory),
        kind="INT8",
        state_scale=0.03 * 0.02 * 127 * 256 * inputs / 1000,
        zero=zero,
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    graph = import_tflite(path, "tflite")
    model = read_model(path)
    x, weights, time, bias, state = (model.tensors[index] for index in model.operators[0].inputs)
    y = model.tensors[model.outputs[0]]
    codes = np.frombuffer(weights.data, np.int8).reshape(weights.shape).astype(np.int64)
    over_time = np.frombuffer(time.data, np.int8).reshape(time.shape).astype(np.int64)
    added = np.frombuffer(bias.data, "<i4").astype(np.int64)
    one, two, three, four, five = (
        np.float32(it.quantization.scales[0]) for it in (x, weights, state, time, y)
    )
    first, second = (
        quantize_multiplier(float(one * two / three)),
        quantize_multiplier(float(three * four / five)),
    )
    rng = np.random.default_rng(4)
    given = rng.integers(-128, 128, (1, 12, inputs)).astype(np.int32)
    kept, answers, wraps = np.full((units, memory), zero, np.int8), [], 0
    for step in given[0]:
        sums = codes @ (step.astype(np.int64) - x.quantization.zero_points[0])
        feature = np.clip(scale_twice(sums, *first), -128, 127) + zero
        wraps += int((np.abs(feature + 0.5) > 128).sum())
        kept = np.concatenate([kept[:, 1:], feature.astype(np.int8)[:, None]], axis=1)
        total = (over_time * (kept.astype(np.int64) - zero)).sum(axis=1) + added
        answers.append(
            np.clip(scale_twice(total, *second) + y.quantization.zero_points[0], -128, 127)
        )
    assert (wraps > 0) == (zero != 0)
    (found,) = reference.run_sequences(graph, {"input": given}).values()
    np.testing.assert_array_equal(found[0], np.asarray(answers))


@pytest.mark.parametrize(
    ("steps", "inputs", "cells", "options"),
    [
        (9, 5, 7, {}),
        (1, 12, 3, {"power": -15}),
        (6, 3, 9, {"power": -9, "clip": 3.0}),
        (5, 8, 4, {"power": -12, "major": True}),
    ],
)
def test_lstm_equals_litert(schema, tmp_path, rng, steps, inputs, cells, options):
    compare(write_lstm(schema, rng, steps, inputs, cells, **options), tmp_path, rng)


def test_gates_are_close_to_their_functions():
    raw = np.arange(-(2**15), 2**15)
    for bits in range(7):
        x = raw / 2.0 ** (15 - bits)
        assert np.abs(gates.tanh16(raw, bits) / 2**15 - np.tanh(x)).max() < 0.002
        logistic = gates.logistic16(raw, bits + 1) / 2**15
        assert np.abs(logistic - 1 / (1 + np.exp(-2 * x))).max() < 0.002


@pytest.mark.parametrize(
    ("place", "message"),
    [(1, "coupled"), (9, "peephole"), (16, "projection"), (20, "layer normalization")],
)
def test_other_lstms_are_refused(schema, tmp_path, rng, place, message):
    content = write_lstm(schema, rng, 2, 3, 4)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    inputs = list(model.subgraphs[0].operators[0].inputs)
    inputs[place] = -1 if place == 1 else inputs[2]
    model.subgraphs[0].operators[0].inputs = inputs
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(ModelError, match=message):
        import_tflite(path)


@pytest.mark.parametrize(("steps", "inputs", "cells"), [(4, 5, 7), (1, 12, 3)])
def test_an_lstm_goes_on_as_litert_s(schema, tmp_path, rng, steps, inputs, cells):
    """LiteRT keeps hidden codes and cells between its calls; a sequence begins with zeros."""
    content = write_lstm(schema, rng, steps, inputs, cells)
    compare_steps(content, tmp_path, rng, 12)
