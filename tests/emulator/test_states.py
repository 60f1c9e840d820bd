"""State on emulated cores: sequences equal the reference, and two contexts do not meet."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from tests.listener import VALUES, listener
from tests.random_graphs import draw_sequences, draw_stateful
from tinyq.errors import BudgetError
from tinyq.graph import reference
from tinyq.graph.interface import pack_codes
from tinyq.hardware.boards import find_board
from tinyq.measurement.run import measure
from tinyq.project import create_project
from tinyq.support.datasets import make_dataset
from tinyq.targets import open_link

GRAPHS = 3
CORES = [
    pytest.param("mps2-an386", marks=pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc")),
    pytest.param("microbit-v1", marks=pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc")),
    pytest.param("arduino-mega", marks=pytest.mark.requires("avr-gcc", "gcc")),
]


@pytest.mark.parametrize("name", CORES)
def test_sequences_on_a_core(name, tmp_path, rng):
    x = rng.normal(0, 4, (2, 20, 1, VALUES))
    project = create_project(listener(), find_board(name), tmp_path / "out")
    target = "simavr" if project.image.board.simavr_mcu else "qemu"
    result = measure(project, target, make_dataset(x))
    assert (result.samples, result.steps, result.mismatches) == (40, 20, 0)
    assert result.instructions > 0
    kernels = {layer.name: layer.kernel for layer in result.layers}
    if name == "mps2-an386":
        assert kernels["window"] == "append_s8_armv7em-runs"


@pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc")
def test_random_graphs_with_state_answer_as_the_reference(tmp_path, seed):
    count = 0
    for index in range(50):
        rng = np.random.default_rng((seed, index, 11))
        graph = draw_stateful(rng, "model")
        inputs = draw_sequences(rng, graph)
        try:
            project = create_project(graph, find_board("mps2-an386"), tmp_path / str(index))
        except BudgetError:
            continue
        expected = reference.run_sequences(project.graph, inputs)
        with closing(open_link(project.image, "qemu")) as link:
            for sequence in range(2):
                now = {name: codes[sequence] for name, codes in inputs.items()}
                answers = link.infer_sequence(pack_codes(project.graph, now))
                wanted = {name: codes[sequence] for name, codes in expected.items()}
                np.testing.assert_array_equal(answers, pack_codes(project.graph, wanted))
        count += 1
        if count == GRAPHS:
            return
    pytest.fail(f"{count} graphs fit")
