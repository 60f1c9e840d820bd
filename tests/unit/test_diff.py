"""The first layer at which two executions differ: reference, generated C, emulator, LiteRT."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tinyq.commands.cli import main
from tinyq.errors import DataError, ModelError, TinyqError
from tinyq.graph import Graph, GraphBuilder, Tensor, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.dense import Dense
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.measurement import diff as subject
from tinyq.measurement import difference
from tinyq.numerics.formats import FORMATS
from tinyq.project import create_project

pytestmark = pytest.mark.requires("gcc")
LAYERS = ("one", "two", "three")


@pytest.fixture
def graph(rng) -> Graph:
    builder = GraphBuilder.start("chain", TensorType((6,), FORMATS["s8"], 0.05))
    name = "input"
    for layer in LAYERS:
        constants = (
            builder.constant(f"{layer}.weights", rng.integers(-20, 21, (6, 6)), FORMATS["s8"]),
            builder.constant(f"{layer}.bias", rng.integers(-90, 90, 6), FORMATS["s32"]),
            builder.constant(f"{layer}.multiplier", np.full(6, 2**30), FORMATS["s32"]),
            builder.constant(f"{layer}.shift", np.full(6, 35), FORMATS["s32"]),
        )
        epilogue = Requantize("s8", 0.05, 0, -128, 127)
        name = builder.apply(layer, Dense(epilogue), name, *constants)
    return builder.build(name)


def damage(graph: Graph, name: str) -> Graph:
    """The graph with one other weight."""
    tensor = graph.tensors[name]
    codes = tensor.codes.copy()
    codes[2, 3] += 15
    return replace(graph, tensors={**graph.tensors, name: Tensor(name, tensor.type, codes)})


@pytest.fixture
def files(graph, rng, tmp_path):
    save_graph(graph, tmp_path / "good.tqg")
    save_graph(damage(graph, "two.weights"), tmp_path / "bad.tqg")
    np.savez(tmp_path / "data.npz", x=rng.normal(0, 2, (20, 6)))
    return tmp_path


def run(capsys, files, first, second):
    words = ["diff", str(files / first), str(files / second), "--data", str(files / "data.npz")]
    code = main([*words, "--rounding", "half_up", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_reference_equals_generated_c(capsys, files):
    code, found = run(capsys, files, "good.tqg", "good.tqg@c")
    assert code == 0
    assert found["output_equal"] and found["difference"] is None and found["samples"] == 20


@pytest.mark.parametrize("second", ["bad.tqg", "bad.tqg@c"])
def test_the_first_differing_layer_is_named(capsys, files, second):
    code, found = run(capsys, files, "good.tqg@reference", second)
    assert code == 1
    assert found["compared"] == ["one", "two"]
    difference = found["difference"]
    assert difference["layer"] == "two" and difference["position"] == [2]
    assert 0 < difference["differing"] <= 20 and difference["codes"] == 120
    assert sum(bar["count"] for bar in difference["histogram"]) == difference["differing"]
    assert all(bar["low"] <= bar["high"] and bar["count"] >= 0 for bar in difference["histogram"])


@pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc")
def test_a_build_folder_in_the_emulator(capsys, files, graph):
    create_project(damage(graph, "three.weights"), find_board("stm32"), files / "out")
    code, found = run(capsys, files, "good.tqg", "out")
    assert code == 1 and found["second"].endswith("out@qemu")
    assert found["compared"] == ["one", "two", "three"]
    code, found = run(capsys, files, "out@host", "out@qemu")
    assert code == 0 and found["output_equal"]


def test_text_shows_a_histogram(capsys, files):
    words = ["diff", str(files / "good.tqg"), str(files / "bad.tqg")]
    assert main([*words, "--data", str(files / "data.npz"), "--rounding", "half_up"]) == 1
    shown = capsys.readouterr().out
    assert "1 layers are equal, then two differs" in shown
    assert "differences B - A" in shown and "#" in shown


def test_histogram_of_many_values_counts_all():
    delta = np.concatenate([np.arange(-300, 301), np.zeros(5, np.int64)])
    bars = difference.make_histogram(delta)
    assert len(bars) <= 11 and sum(bar.count for bar in bars) == 600
    assert bars[0].low == -300 and bars[-1].high == 300
    assert difference.make_histogram(np.array([0, 1, 1, -2])) == (
        difference.Bar(-2, -2, 1),
        difference.Bar(1, 1, 2),
    )


def test_a_cut_graph_has_the_layer_as_output(graph):
    part = subject.cut(graph, "two")
    part.verify()
    assert [node.name for node in part.nodes] == ["one", "two"]
    assert "three.weights" not in part.tensors


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("good.tqg@moon", TinyqError),
        ("good.tqg@litert", TinyqError),
        ("nothing.tqg", ModelError),
        ("good.what", ModelError),
    ],
)
def test_wrong_executions(text, error, files):
    with pytest.raises(error):
        subject.open_execution(str(files / text))


def test_models_of_other_inputs_are_refused(files, graph, rng):
    other = GraphBuilder.start("other", TensorType((6,), FORMATS["s8"], 0.07))
    constants = [
        other.constant(tensor.name, tensor.codes, tensor.type.format)
        for tensor in graph.constants(graph.nodes[0])
    ]
    save_graph(
        other.build(other.apply("one", graph.nodes[0].op, "input", *constants)),
        files / "other.tqg",
    )
    pair = [subject.open_execution(str(files / name)) for name in ("good.tqg", "other.tqg")]
    with pytest.raises(DataError, match="inputs differ"):
        subject.compare(*pair, rng.normal(0, 1, (4, 6)))
