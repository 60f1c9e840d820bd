from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.random_graphs import draw_codes
from tinyq.formats import FORMATS, find_format

shapes = st.lists(st.integers(0, 4), max_size=2).flatmap(
    lambda outer: st.integers(1, 70).map(lambda inner: (*outer, inner))
)


@pytest.mark.parametrize("name", FORMATS)
@given(shape=shapes, seed=st.integers(0, 2**32 - 1))
def test_unpack_undoes_pack(name, shape, seed):
    entry = find_format(name)
    codes = draw_codes(np.random.default_rng(seed), entry, shape)
    packed = entry.pack(codes)
    assert packed.shape == (*shape[:-1], entry.row_bytes(shape[-1]))
    assert packed.nbytes == entry.tensor_bytes(shape)
    assert (entry.unpack(packed, shape[-1]) == codes).all()


@pytest.mark.parametrize("name", FORMATS)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 70))
def test_packing_is_the_sum_of_shifted_fields(name, seed, length):
    """Against Python's integers of any length, and padding is 0."""
    entry = find_format(name)
    codes = draw_codes(np.random.default_rng(seed), entry, (length,))
    mask = (1 << entry.bits) - 1
    total = 0
    for index, code in enumerate(codes.tolist()):
        field = int(code < 0) if name == "b1" else code & mask
        total |= field << (entry.bits * index)
    assert entry.pack(codes).tobytes() == total.to_bytes(entry.row_bytes(length), "little")


# The 2**32 codes of s32 are left to the random test above.
@pytest.mark.parametrize("name", [name for name, entry in FORMATS.items() if entry.bits <= 16])
def test_every_code_of_a_small_format_survives(name):
    entry = find_format(name)
    codes = np.arange(entry.lo, entry.hi + 1, entry.step, dtype=np.int32)
    assert len(codes) <= 2**entry.bits
    assert (entry.unpack(entry.pack(codes), len(codes)) == codes).all()
