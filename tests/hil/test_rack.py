"""The same tests on the boards of a rack and on the emulated stm32.

`make test BENCH=FILE` names the boards; without it only the emulator is there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import EMULATOR_TOOLS
from tests.mixed_model import mixed_model
from tests.rack import Place, bring_up, read_rack
from tests.random_graphs import draw_graph, draw_inputs
from tinyq.graph import Graph
from tinyq.measurement.run import Measurement, measure
from tinyq.project import create_project
from tinyq.support.datasets import Dataset, make_dataset

EMULATED = Place("stm32", emulator="qemu")
SAMPLES = 24


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test on every place."""
    if "place" not in metafunc.fixturenames:
        return
    bench = metafunc.config.getoption("--bench")
    emulated = pytest.param(EMULATED, id=EMULATED.name, marks=pytest.mark.requires(*EMULATOR_TOOLS))
    boards = (
        [pytest.param(place, id=place.name) for place in read_rack(Path(bench))] if bench else []
    )
    missing = pytest.param(
        None, id="board", marks=pytest.mark.skip(reason="needs a board: pass --bench FILE")
    )
    metafunc.parametrize("place", [emulated, *(boards or [missing])])


def draw_data(graph: Graph, seed: int) -> Dataset:
    """Real inputs whose codes are random."""
    codes = draw_inputs(np.random.default_rng((seed, 1)), graph, SAMPLES)
    kind = graph.input.type
    return make_dataset(codes if kind.scale is None else (codes - kind.zero_point) * kind.scale)


def run(graph: Graph, place: Place, folder: Path, seed: int) -> Measurement:
    """Build, write, stream, compare."""
    project = create_project(graph, place.find_board(), folder)
    return measure(project, bring_up(place, project.image), draw_data(graph, seed))


def test_the_mixed_model_answers_as_the_reference(place, tmp_path, seed):
    found = run(mixed_model(), place, tmp_path / "out", seed)
    assert (found.mismatches, found.resets, found.samples) == (0, 0, SAMPLES)
    assert found.ram_bytes <= place.find_board().ram_bytes
    assert found.stack_bytes is None or found.stack_bytes > 0


@pytest.mark.parametrize("index", range(3))
def test_random_graphs_answer_as_the_reference(place, index, tmp_path, seed):
    graph = draw_graph(np.random.default_rng((seed, index, 8)), f"rack_{index}")
    assert run(graph, place, tmp_path / "out", seed).mismatches == 0


def test_cycles_are_counted_by_layer_where_the_device_has_a_counter(place, tmp_path, seed):
    found = run(mixed_model(), place, tmp_path / "out", seed)
    if place.emulator == "qemu":
        assert found.cycles is None and found.instructions is not None
        return
    assert found.cycles is not None and found.cycles > 0
    counted = [layer.cycles for layer in found.layers if layer.cycles is not None]
    assert sum(counted) == found.cycles
    if not place.emulator:
        assert found.clock_hz > 0


def test_an_interrupted_run_is_taken_up_again(place, tmp_path, seed):
    graph = mixed_model()
    project = create_project(graph, place.find_board(), tmp_path / "out")
    target, data = bring_up(place, project.image), draw_data(graph, seed)

    def stop(done: int, whole: int) -> None:
        del whole
        if done >= 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(project, target, data, stop)
    found = measure(project, target, data)
    assert (found.mismatches, found.samples) == (0, SAMPLES)
