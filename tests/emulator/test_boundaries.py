"""Inside a specialized kernel's bounds it is right with extreme inputs, outside it refuses.

``TINYQ_EMULATOR_CASES`` above 3 runs every pair, fewer run two drawn ladders of each variant.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.boundaries import FEET, Ladder, Pair, list_ladders, list_pairs
from tests.cores import CORES
from tests.emulator.test_fast_kernels import CASES, SPECIAL, draw_inputs
from tests.many_graphs import Case, ask_device
from tests.selected import emit_for
from tinyq.graph.reference import run
from tinyq.kernels.base import Kernel

FEW = 3


def find_pairs(isa: str, rng: np.random.Generator) -> list[Pair]:
    """Pairs of a core's kernels; of few cases those of a drawn ladder for each variant."""
    kernels = [kernel for kernel in SPECIAL if kernel.isa == isa and kernel.operation in FEET]
    if CASES > FEW:
        return [pair for kernel in kernels for pair in list_pairs(kernel)]
    drawn = {(kernel.operation, kernel.variant): kernel for kernel in rng.permutation(kernels)}
    return [pair for kernel in drawn.values() for pair in list_pairs(kernel, _draw(rng, kernel))]


def _draw(rng: np.random.Generator, kernel: Kernel) -> list[Ladder]:
    ladders = list_ladders(kernel)
    return [ladders[place] for place in rng.choice(len(ladders), 2, replace=False)]


def test_the_bounds_that_wide_sums_reach_are_known():
    """Sums that leave a lane, int32, or what Winograd's transforms leave of it."""
    kernels = {kernel.name: kernel for kernel in SPECIAL}
    found = {
        (name, pair.ladder): pair
        for name in ("dense_s8_int8_armv7em-lanes", "conv2d_s8_int8_armv7em-winograd4")
        for pair in list_pairs(kernels[name])
    }
    lanes = found["dense_s8_int8_armv7em-lanes", "many inputs"]
    assert lanes.reason == "accumulators of an odd channel leave 24 bits"
    assert lanes.at[0] * 127 * 128 < 2**23 <= lanes.at[1] * 127 * 128
    assert ("conv2d_s8_int8_armv7em-winograd4", "a large bias") in found


@pytest.mark.parametrize("isa", CORES)
def test_a_kernel_is_right_up_to_its_bounds(isa, seed, tmp_path):
    rng = np.random.default_rng(seed)
    pairs = find_pairs(isa, rng)
    assert pairs, "no kernel of this core has a bound that a ladder reaches"
    cases = []
    for index, pair in enumerate(pairs):
        graph = replace(pair.inside, name=f"model_{index}")
        tree = emit_for(graph, (isa, "generic"), {"layer": pair.kernel.name})
        codes = draw_inputs(rng, graph)
        packed = graph.input.type.format.pack(codes).reshape(len(codes), -1)
        answers = graph.output.type.format.pack(run(graph, codes)).reshape(len(codes), -1)
        cases.append(Case(graph, tree, packed, answers))
    replies = ask_device(cases, CORES[isa], tmp_path / "out")
    wrong = [
        str(pair)
        for pair, case, got in zip(pairs, cases, replies, strict=True)
        if not np.array_equal(got, case.answers)
    ]
    assert not wrong, "\n".join(wrong)
