"""Estimates of specialized kernels against counts, on every emulated core that has some.

A few kernels of each core; ``make estimates`` takes all of them, and the generic ones.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pytest

from tests.cores import CORES
from tests.estimated_cores import Estimate, count_all, draw_estimates, list_kernels_of
from tinyq.kernels.estimates import GENERIC, TABLE, load_table

# Small layers vary more: what surrounds their loops is estimated by one figure.
MOST, MOST_SMALL, SMALL = 2.0, 3.0, 5_000
WHOLE = os.environ.get("TINYQ_ESTIMATES") == "all"
SOME, EACH = 4, 1


def hold(drawn: Sequence[Estimate]) -> None:
    """Hold estimates against counts, in one image."""
    wrong = []
    for one, count in zip(drawn, count_all(drawn), strict=True):
        most = MOST if count >= SMALL else MOST_SMALL
        if not count / most <= one.instructions <= count * most:
            wrong.append(f"{one.layers}: {one.instructions:,} estimated, {count:,} counted")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("core", CORES)
def test_specialized_kernels_take_about_what_they_say(core: str, seed: int) -> None:
    rng = np.random.default_rng((seed, 9))
    kernels = [it for it in list_kernels_of(core) if it.isa != GENERIC]
    if not WHOLE:
        kernels = [kernels[index] for index in rng.permutation(len(kernels))[:SOME]]
    hold(draw_estimates(core, kernels, seed, 3 * EACH if WHOLE else EACH))


@pytest.mark.parametrize("core", load_table(TABLE).cores)
def test_generic_kernels_take_about_what_they_say_where_cores_differ(core: str, seed: int) -> None:
    """A drawn kernel of some operations; of every operation with TINYQ_ESTIMATES=all."""
    rng = np.random.default_rng((seed, 10))
    kernels = [it for it in list_kernels_of(core) if it.isa == GENERIC]
    operations = sorted({it.operation for it in kernels})
    if not WHOLE:
        operations = [operations[index] for index in rng.permutation(len(operations))[: 3 * SOME]]
    drawn = []
    for operation in operations:
        rivals = [it for it in kernels if it.operation == operation]
        drawn += draw_estimates(core, [rivals[rng.integers(len(rivals))]], seed, EACH)
    hold(drawn)
