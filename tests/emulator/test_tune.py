"""Counted candidates: exact, kept from run to run, and the same as in the whole firmware."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tests.unit.test_specialized import chain
from tinyq.errors import LinkError, TinyqError
from tinyq.graph import reference
from tinyq.graph.passes import simplify
from tinyq.hardware.boards import find_board
from tinyq.measurement import counting as tune
from tinyq.measurement.layer_programs import Outcome, find_stand_in, isolate
from tinyq.measurement.run import measure
from tinyq.project import Selection, Setting, create_project, open_project
from tinyq.selection import force_kernels, gather_candidates, plan_kernels
from tinyq.support.datasets import Dataset

FAST = ("armv7em", "generic")
BOARD = find_board("stm32")
GRAPH = simplify(chain(8))


def count(cache: Path, graph=GRAPH):
    return tune.count_candidates(
        graph, gather_candidates(graph, FAST), Setting(BOARD, FAST), cache=cache
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert all(one.counted for found in count(folder).values() for one in found)
    return folder


def test_counts_are_those_of_the_firmware(cache, tmp_path):
    def tuner(graph, candidates, setting):
        return tune.count_candidates(graph, candidates, setting, cache=cache)

    project = create_project(
        GRAPH, find_board("mps2-an386"), tmp_path / "out", kernels=Selection(tuner=tuner)
    )
    assert open_project(tmp_path / "out").kernels == project.kernels
    x = np.random.default_rng(0).integers(-9, 9, (2, *GRAPH.input.type.shape)).astype(np.float32)
    result = measure(project, "qemu", Dataset(x, None))
    assert result.mismatches == 0
    for layer in result.layers:
        chosen = project.chosen[layer.name]
        assert chosen.counted
        assert chosen.cycles > chosen.instructions
        assert layer.kernel == chosen.kernel
        assert layer.instructions == pytest.approx(chosen.instructions, rel=0.01, abs=16)


def list_figures(candidates):
    return {
        name: [
            (it.kernel.name, it.counted, it.instructions, it.cycles, it.table_bytes, dict(it.code))
            for it in found
        ]
        for name, found in candidates.items()
    }


def test_what_was_counted_is_not_run_again(cache, monkeypatch):
    first = list_figures(count(cache))
    monkeypatch.setattr(tune, "run_programs", lambda *_: pytest.fail("ran again"))
    assert list_figures(count(cache)) == first


def test_a_damaged_cache_is_made_again(cache, tmp_path):
    first = list_figures(count(cache))
    for index, path in enumerate(sorted(cache.iterdir())):
        path.write_text(('{"instructions": -1}', "", json.dumps([1]))[index % 3])
    assert list_figures(count(cache)) == first
    assert all(json.loads(path.read_text())["instructions"] > 0 for path in cache.iterdir())


def test_layers_of_one_kind_are_counted_once(cache):
    layers = {path.name for path in cache.iterdir()}
    assert len(layers) == len(count(cache)["layer_0"]), "three layers with the same sizes"


def test_a_wrong_kernel_is_an_error(tmp_path, monkeypatch):
    wrong = (Outcome(1, 1, 1, {}, False), Outcome(1, 1, 1, {}, False))
    monkeypatch.setattr(tune, "run_programs", lambda *_: wrong)
    with pytest.raises(TinyqError, match="does not compute what the reference does"):
        count(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_core_without_emulator():
    foreign = dataclasses.replace(BOARD, isa="xtensa")
    with pytest.raises(LinkError, match="no emulator counts instructions of xtensa cores"):
        tune.count_candidates(GRAPH, gather_candidates(GRAPH, FAST), Setting(foreign, FAST))


def test_the_twin_has_the_core_of_the_board():
    assert find_stand_in(find_board("nucleo-l4r5zi")).name == "mps2-an386"
    assert "-mcpu=cortex-m7" in find_stand_in(find_board("nucleo-h743zi")).cflags


@pytest.mark.parametrize("operation", ["Conv2D", "Add"])
def test_a_layer_by_itself_computes_the_same(operation):
    outputs = 8 if operation == "Conv2D" else 0
    graph = make_graph(Layer(operation, (6, 6, 8), outputs), "model", "s8", "s8")
    part = isolate(graph, graph.nodes[0])
    codes = np.random.default_rng(0).integers(-128, 128, (2, 6, 6, 8)).astype(np.int32)
    assert np.array_equal(reference.run(part, codes), reference.run(graph, codes))


@pytest.mark.parametrize(
    ("size", "variant"), [((3, 3), "rows"), ((3, 3), "image"), ((1, 1), "pixels")]
)
def test_layers_that_work_in_place_are_exact(size, variant, tmp_path):
    """Three in a row: each one reads and writes the same bytes, the first those of the input."""
    layer = Layer("Conv2D", (6, 6, 8), 8, size)
    graph = stack(make_graph(layer, "model", "s8", "s8"))
    kernel = f"conv2d_s8_int8_armv7em-{variant}"

    def only(graph, candidates, setting):
        return {
            name: tuple(it for it in found if it.kernel.name == kernel) or found
            for name, found in candidates.items()
        }

    bounds = force_kernels(graph, FAST, {node.name: kernel for node in graph.nodes})
    assert plan_kernels(graph, bounds).sharing == {
        "layer_0": "input",
        "layer_1": "layer_0",
        "layer_2": "layer_1",
    }
    selection = Selection(FAST, tuner=only)
    project = create_project(graph, find_board("mps2-an386"), tmp_path / "out", kernels=selection)
    x = np.random.default_rng(1).integers(-128, 128, (3, 6, 6, 8)).astype(np.float32)
    assert measure(project, "qemu", Dataset(x, None)).mismatches == 0


def stack(graph):
    """Three times the one layer of a graph."""
    from tinyq.graph import GraphBuilder

    node = graph.nodes[0]
    builder = GraphBuilder.start("model", graph.input.type)
    constants = [
        builder.constant(f"c{index}", tensor.codes, tensor.type.format)
        for index, tensor in enumerate(graph.constants(node))
    ]
    last = "input"
    for index in range(3):
        last = builder.apply(f"layer_{index}", node.op, last, *constants)
    return builder.build(last)
