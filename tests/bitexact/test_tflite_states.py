"""Files with variables: every step of every sequence has LiteRT's bytes, and so has generated C."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.tflite_variables import File
from tests.harness import compile_model, sequence_differences
from tests.requirements import require_module
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph.ops.append import Append
from tinyq.graph.passes import simplify
from tinyq.graph.reference import run_sequences
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.litert import run_layers
from tinyq.memory.planner import plan

COUNT, STEPS = 2, 12


@pytest.fixture(autouse=True)
def tools():
    require_module("tensorflow.lite.python.schema_py_generated")
    require_module("ai_edge_litert.interpreter")


def ring(kind: str, columns: int, new: int) -> File:
    """The last columns, which begin as a constant, joined with new ones."""
    file = File()
    main, shape = file.main, (1, columns, 1, 5)
    first = np.arange(columns * 5).reshape(shape) - 7
    file.begin(b"stream/states", kind, shape, first if columns > 1 else -5)
    x = main.tensor(kind, (1, new, 1, 5))
    handle = main.handle(b"stream/states")
    window = main.join([main.read(handle, kind, shape), x], kind, (1, columns + new, 1, 5))
    main.assign(handle, main.last(window, kind, shape, new))
    main.inputs, main.outputs = [x], [window]
    return file


def delay_line() -> File:
    """Two variables, of which one takes the other's old value, and one that is a constant."""
    file = File()
    main, shape = file.main, (1, 4)
    for name, code in ((b"near", 1), (b"far", 2), (b"fixed", 9)):
        file.begin(name, "INT8", shape, code)
    x = main.tensor("INT8", shape)
    near, far, fixed = (main.handle(name) for name in (b"near", b"far", b"fixed"))
    values = [main.read(handle, "INT8", shape) for handle in (near, far, fixed)]
    main.assign(far, values[0])
    main.assign(near, x)
    main.inputs, main.outputs = [x], [main.join([*values, x], "INT8", (1, 16))]
    return file


def read_again() -> File:
    """What is read behind an assignment is what was assigned, not the value before."""
    file = File()
    main, shape = file.main, (1, 4)
    file.begin(b"kept", "INT8", shape, -3)
    x = main.tensor("INT8", shape)
    handle, same = main.handle(b"kept"), main.handle(b"kept")
    before = main.read(handle, "INT8", shape)
    main.assign(same, x)
    after = main.read(handle, "INT8", shape)
    main.assign(handle, before)
    main.inputs = [x]
    main.outputs = [main.join([before, after, main.read(same, "INT8", shape)], "INT8", (1, 12))]
    return file


CASES = {
    "ring": lambda: ring("INT8", 4, 1),
    "many_columns": lambda: ring("INT8", 2, 3),
    "one_column": lambda: ring("INT8", 1, 1),
    "wide": lambda: ring("INT16", 3, 2),
    "delay_line": delay_line,
    "read_again": read_again,
}


def micro_ring(options: bytes, depth: int = 3) -> File:
    """A ring of TFLite Micro, which LiteRT does not have."""
    file = File(calls=False)
    main = file.main
    x, y = main.tensor("INT8", (1, 1, 1, depth)), main.tensor("INT8", (1, 4, 1, depth))
    main.apply("CUSTOM:CIRCULAR_BUFFER", [x], [y])
    main.operators[-1].customOptions = list(options)
    main.inputs, main.outputs = [x], [y]
    return file


def write_options(**numbers: int) -> bytes:
    from flatbuffers import flexbuffers

    builder = flexbuffers.Builder()
    with builder.Map():
        for key, number in numbers.items():
            builder.Int(key, number)
    return bytes(builder.Finish())


def load(file: File, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(file.write())
    return path, import_tflite(path, "tflite")


def draw(graph, rng):
    limits = graph.input.type.format
    shape = (COUNT, STEPS, *graph.input.type.shape)
    return {"input": rng.integers(limits.lo, limits.hi + 1, shape).astype(np.int32)}


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("name", CASES)
def test_every_step_is_litert_s(name, tmp_path, rng):
    path, graph = load(CASES[name](), tmp_path)
    inputs = draw(graph, rng)
    expected = run_layers(path, graph, inputs)
    (found,) = run_sequences(graph, inputs).values()
    wanted = expected[graph.outputs[0]].reshape(found.shape)
    np.testing.assert_array_equal(found, wanted)
    simple = simplify(graph)
    assert sequence_differences(simple, compile_model(emit(simple, plan(simple))), inputs) == 0
    (again,) = run_sequences(simple, inputs).values()
    np.testing.assert_array_equal(again, wanted)


@pytest.mark.parametrize("name", ["ring", "many_columns", "one_column", "wide"])
def test_a_window_lies_in_the_ring(name, tmp_path):
    """Nothing is joined in the arena and copied back."""
    simple = simplify(load(CASES[name](), tmp_path)[1])
    assert [type(node.op) for node in simple.nodes if node.op.kernel != "reshape"] == [Append]
    found = plan(simple)
    assert found.copies == ()
    (state,) = simple.states
    assert found.state_bytes >= found.sizes[state.name]


@pytest.mark.requires("gcc")
def test_a_micro_ring_holds_the_last_columns(tmp_path):
    """Codes that TFLite Micro gives: zero points before the first columns, then these in order."""
    _, graph = load(micro_ring(write_options(cycles_max=1)), tmp_path)
    columns = np.arange(3) + 10 * np.arange(6)[:, None]
    inputs = {"input": np.stack([columns, columns + 5])[:, :, None].astype(np.int32)}
    inputs["input"] = inputs["input"].reshape(2, 6, *graph.input.type.shape)
    (found,) = run_sequences(graph, inputs).values()
    before = np.concatenate([np.full((3, 3), 3), columns])
    for step in range(6):
        wanted = before[step : step + 4].reshape(found.shape[2:])
        np.testing.assert_array_equal(found[0, step], wanted)
    assert sequence_differences(graph, compile_model(emit(graph, plan(graph))), inputs) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (write_options(cycles_max=2), "cycles_max is 2"),
        (write_options(other=1), "cycles_max is None"),
        (b"", "cycles_max is None"),
        (bytes(5000), "options of 5,000 bytes"),
        (bytes(range(60, 90)), "damaged|cycles_max"),
    ],
)
def test_a_micro_ring_that_runs_now_and_then_is_refused(options, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        load(micro_ring(options), tmp_path)


def test_a_variable_that_nobody_began_is_refused(tmp_path):
    file = ring("INT8", 4, 1)
    file.start.operators, file.start.tensors = [], []
    with pytest.raises(ModelError, match="before anything is assigned"):
        load(file, tmp_path)


def test_a_beginning_that_computes_is_refused(tmp_path):
    file = ring("INT8", 4, 1)
    start = file.start
    x = start.tensor("INT8", (1, 4, 1, 5))
    start.apply("RELU", [x], [start.tensor("INT8", (1, 4, 1, 5))])
    with pytest.raises(ModelError, match="no assignment of a constant: RELU"):
        load(file, tmp_path)


def test_a_beginning_that_is_not_there_is_refused(tmp_path):
    file = ring("INT8", 4, 1)
    file.main.operators[0].builtinOptions.initSubgraphIndex = 2
    with pytest.raises(ModelError, match="subgraph 2 of 2"):
        load(file, tmp_path)


@pytest.mark.parametrize(("scale", "zero"), [(0.25, 3), (0.5, 4)])
def test_another_scale_is_refused(scale, zero, tmp_path):
    file = File()
    main, shape = file.main, (1, 4)
    file.begin(b"kept", "INT8", shape, 0)
    x = main.tensor("INT8", shape, scale=scale, zero=zero)
    handle = main.handle(b"kept")
    before = main.read(handle, "INT8", shape)
    main.assign(handle, x)
    main.inputs, main.outputs = [x], [main.join([before, before], "INT8", (1, 8))]
    with pytest.raises(ModelError, match="another size, scale or type"):
        load(file, tmp_path)
