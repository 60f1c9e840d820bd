"""The micro front end as firmware: a step is 160 samples in and 40 features out.

That steps are frames of the whole signal, test_front_end.py in bitexact shows.
"""

from __future__ import annotations

import pytest

from tests.signals import draw_signal
from tinyq.graph.front_ends import build_front_end, make_front_end
from tinyq.hardware.boards import find_board
from tinyq.measurement.run import measure
from tinyq.project import create_project
from tinyq.support.datasets import make_dataset

STEPS = 40
# Of a step with the network of a wake word behind it: 400,000, of which that may take 90,000.
MOST_INSTRUCTIONS = 310_000


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
@pytest.mark.parametrize("board", ["mps2-an386", "microbit-v1"])
def test_no_code_of_a_step_differs(board, tmp_path):
    front_end = make_front_end("micro")
    samples = draw_signal(STEPS * front_end.hop, seed=4)
    project = create_project(build_front_end(front_end), find_board(board), tmp_path / "build")
    hops = samples.reshape(1, STEPS, front_end.hop).astype(float)
    result = measure(project, "qemu", make_dataset(hops))
    assert (result.samples, result.steps, result.mismatches) == (STEPS, STEPS, 0)
    assert result.instructions is not None
    assert result.instructions < MOST_INSTRUCTIONS
