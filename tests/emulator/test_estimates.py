"""Estimates of generic kernels against exact counts, on layers that no estimate was fitted to.

A few layers of each operation and epilogue; `python benchmarks/generic.py --check` takes all
kernels.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.contract.test_estimates import KERNELS, MOST, MOST_SMALL, SMALL, make_small_network
from tests.estimated_layers import Sample, count_instructions, draw_samples, estimate
from tinyq.hardware.boards import find_board
from tinyq.kernels.epilogues import list_epilogues
from tinyq.measurement.run import measure
from tinyq.project import create_project
from tinyq.support.datasets import Dataset

OPERATIONS = sorted({kernel.operation for kernel in KERNELS.values()})


@pytest.fixture(scope="module")
def samples(seed: int) -> dict[str, list[tuple[int, int, str]]]:
    """Estimate, count and layers of a drawn kernel of each operation and epilogue."""
    rng, word = np.random.default_rng(seed), f"emulator {seed}"
    drawn: dict[str, tuple[Sample, ...]] = {}
    for operation in OPERATIONS:
        kernels = [kernel for kernel in KERNELS.values() if kernel.operation == operation]
        drawn[operation] = draw_samples(kernels[rng.integers(len(kernels))], word, 2)
    for epilogue in list_epilogues():
        name = f"{epilogue.epilogue}_{epilogue.format}"
        drawn[name] = draw_samples(KERNELS["rescale_s8_generic"], word, 1, epilogue)
    counts = iter(count_instructions([one for found in drawn.values() for one in found]))
    return {
        name: [(estimate(one), next(counts), str(one)) for one in found]
        for name, found in drawn.items()
    }


@pytest.mark.parametrize(
    "name",
    [*OPERATIONS, *(f"{epilogue.epilogue}_{epilogue.format}" for epilogue in list_epilogues())],
)
def test_estimates_lie_within_twice_the_count_and_half_of_it(samples, name):
    for estimated, count, layers in samples[name]:
        most = MOST if count >= SMALL else MOST_SMALL
        assert count / most <= estimated <= count * most, layers


def test_the_default_choice_is_as_fast_as_the_counted_one(tmp_path):
    """17,112 instructions as long as pooling was thought fifteen times too slow."""
    graph = make_small_network()
    project = create_project(graph, find_board("stm32"), tmp_path / "out")
    x = np.random.default_rng(0).integers(-60, 60, (2, 8, 8, 1)).astype(np.float32)
    result = measure(project, "qemu", Dataset(x, None))
    assert result.mismatches == 0
    assert sum(layer.instructions for layer in result.layers) < 12_500
