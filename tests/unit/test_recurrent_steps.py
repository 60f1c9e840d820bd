"""A recurrent layer step by step gives the codes of the whole sequence."""

from __future__ import annotations

import numpy as np
import pytest

from tests.operations.recurrence import draw_curves
from tinyq.graph import GraphBuilder, TensorType
from tinyq.graph.interface import own_outputs
from tinyq.graph.ops.recurrence import Recurrence
from tinyq.graph.recurrent_steps import state_type, step_recurrence
from tinyq.graph.reference import run, run_named
from tinyq.numerics.formats import find_format
from tinyq.numerics.recurrence import CELLS

UNITS, STEPS, SHIFT = 5, 12, 26


def draw_constants(cell, rng):
    rows = CELLS[cell].gates * UNITS
    return (
        ("weights", rng.integers(-128, 128, (rows, UNITS)), find_format("s8")),
        ("bias", rng.integers(-(2**12), 2**12, rows), find_format("s32")),
        ("multiplier", rng.integers(-(2**28), 2**28, rows), find_format("s32")),
        ("curves", draw_curves(rng, CELLS[cell].curves), find_format("s16")),
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("every", [0, 1])
@pytest.mark.parametrize("new", [1, 3])
def test_steps_give_the_codes_of_the_sequence(cell, every, new, rng):
    constants = draw_constants(cell, rng)
    rows = CELLS[cell].gates * UNITS
    gates = rng.integers(-(2**13), 2**13, (2, STEPS, rows)).astype(np.int32)
    entry, op = find_format("s16"), Recurrence(cell, 1, SHIFT)
    whole = GraphBuilder.start("whole", TensorType((STEPS, rows), entry))
    names = [whole.constant(*constant) for constant in constants]
    wanted = run(whole.build(whole.apply("layer", op, "input", *names)), gates)

    part = GraphBuilder.start("part", TensorType((new, rows), entry))
    part.add_input("before", state_type(op, UNITS))
    names = [part.constant(*constant) for constant in constants]
    stepped = step_recurrence(
        part, "layer", Recurrence(cell, every, SHIFT), ("input", *names), "before"
    )
    graph = part.build(*own_outputs(part, [stepped.hidden, stepped.state]))
    state = np.zeros((2, CELLS[cell].states * UNITS), np.int32)
    for start in range(0, STEPS, new):
        found = run_named(graph, {"input": gates[:, start : start + new], "before": state})
        hidden, state = found.values()
        steps = wanted[:, start : start + new]
        np.testing.assert_array_equal(hidden, steps if every else steps[:, -1])
