"""What TensorFlow's converter writes of every operator: a sample of `converter_operators` each day.

`make converter` tries all of them and writes benchmarks/results/converter.md.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.converter_operators import (
    CONVERTER,
    EXACT,
    FLOAT,
    REFUSED,
    functions,
    try_function,
)
from tests.requirements import require_module

require_module("ai_edge_litert")
SAMPLED = 7  # of each width
# What is not exact, and why: the converter leaves operators of several tensors in floating point.
KNOWN = {
    (8, "add_n"): FLOAT,
    (8, "cumsum"): FLOAT,
    (8, "not equal"): FLOAT,
    (8, "reduce prod"): REFUSED,
    (8, "zeros like"): REFUSED,
    (16, "reduce prod"): REFUSED,
    (16, "zeros like"): REFUSED,
}
# Of 16 bits the converter or LiteRT refuse many, differently from version to version.
FINE = {8: {EXACT}, 16: {EXACT, CONVERTER, FLOAT}}


@pytest.mark.parametrize("bits", [8, 16])
def test_files_of_the_converter_are_exact(bits, tmp_path, seed):
    import tensorflow as tf

    names = sorted(functions(tf))
    rng = np.random.default_rng([seed, bits])
    for name in rng.choice(names, SAMPLED, replace=False):
        found = try_function(tf, str(name), bits, tmp_path)
        known = KNOWN.get((bits, str(name)))
        fine = FINE[bits] if known is None else {known}
        assert found.state in fine, found
