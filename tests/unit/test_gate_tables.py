"""Tables of the gates of TFLite's LSTM, which a kernel reads."""

from __future__ import annotations

import numpy as np
import pytest

from tinyq.kernels.armv7em.shares import read_ends, share_tables
from tinyq.numerics import gates


@pytest.mark.parametrize("bits", range(3, 8))
def test_shares_in_tables_are_those_of_all_gates(bits):
    """Every code, as the text of the kernel reads them."""
    lines, rests = (table.words.astype(np.int64) for table in share_tables())
    raw = np.arange(2**15)
    x = raw << (bits - 3)
    near = np.minimum(x, 2**15 - 1)
    line, rest = lines[near >> 7], rests[near >> 3] >> ((near & 7) << 2) & 15
    found = (((line >> 9) + (near & 127) * (line & 511)) >> 8) + rest
    ends = read_ends()
    behind = ends.first + sum(np.where(x >= it.place, it.by, 0) for it in ends.rises)
    share = np.where(x < 2**15, found, behind)
    logistic = gates.saturate16(2 * share)
    np.testing.assert_array_equal(logistic, gates.logistic16(raw, bits))
    np.testing.assert_array_equal(32767 - logistic[1:], gates.logistic16(-raw[1:], bits))
    tangent = gates.saturate16((share - 2**13) << 2)
    np.testing.assert_array_equal(tangent, gates.tanh16(raw, bits - 1))
    np.testing.assert_array_equal(-tangent, gates.tanh16(-raw, bits - 1))
