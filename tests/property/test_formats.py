from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.random_graphs import draw_codes, draw_table
from tinyq.numerics.formats import FORMATS, find_format

shapes = st.lists(st.integers(0, 4), max_size=2).flatmap(
    lambda outer: st.integers(1, 70).map(lambda inner: (*outer, inner))
)


@pytest.mark.parametrize("name", FORMATS)
@given(shape=shapes, seed=st.integers(0, 2**32 - 1))
def test_unpack_undoes_pack(name, shape, seed):
    rng = np.random.default_rng(seed)
    if FORMATS[name].table in ("basis", "scales"):
        shape = (2, *(max(size, 1) for size in shape))
    entry = draw_table(rng, name, shape)
    codes = draw_codes(rng, entry, shape)
    packed = entry.pack(codes)
    assert packed.shape == (*shape[:-1], entry.row_bytes(shape[-1]))
    assert packed.nbytes == entry.tensor_bytes(shape)
    assert (entry.unpack(packed, shape[-1]) == codes).all()


def find_field(entry, code: int) -> int:
    if entry.levels:
        return entry.levels.index(code)
    return int(code < 0) if entry.name == "b1" else code & ((1 << entry.bits) - 1)


@pytest.mark.parametrize("name", [n for n, entry in FORMATS.items() if entry.table != "scales"])
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 70))
def test_packing_puts_each_bit_in_its_place(name, seed, length):
    """Against Python's integers of any length, and padding is 0."""
    rng = np.random.default_rng(seed)
    entry = draw_table(rng, name, (1, length))
    codes = draw_codes(rng, entry, (1, length))
    choices = [
        sum(-v if field >> i & 1 else v for i, v in enumerate(row))
        for row in getattr(entry.coding, "rows", ())
        for field in range(1 << entry.bits)
    ]
    total = 0
    for index, code in enumerate(codes[0].tolist()):
        field = choices.index(code) if choices else find_field(entry, code)
        for bit in range(entry.bits):
            place = entry.bits * index + bit
            if entry.planes > 1:
                place = index // 32 * 32 * entry.planes + 32 * bit + index % 32
            total |= (field >> bit & 1) << place
    assert entry.pack(codes).tobytes() == total.to_bytes(entry.row_bytes(length), "little")


# The 2**32 codes of s32 are left to the random test above.
@pytest.mark.parametrize(
    "name", [n for n, entry in FORMATS.items() if entry.bits <= 16 and not entry.table]
)
def test_every_code_of_a_small_format_survives(name):
    entry = find_format(name)
    codes = np.arange(entry.lo, entry.hi + 1, entry.step, dtype=np.int32)
    if entry.levels:
        codes = np.array(sorted(set(entry.levels)), np.int32)
    assert len(codes) <= 2**entry.bits
    assert (entry.unpack(entry.pack(codes), len(codes)) == codes).all()
