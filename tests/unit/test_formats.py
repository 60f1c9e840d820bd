from __future__ import annotations

import numpy as np
import pytest

from tinyq.errors import TinyqError
from tinyq.formats import FORMATS, find_format


def test_names_say_the_stored_bits():
    for name, entry in FORMATS.items():
        assert entry.name == name
        assert int(name[1:]) == entry.bits
        assert entry.per_unit * entry.bits == entry.unit_bytes * 8


@pytest.mark.parametrize(
    ("name", "codes", "expected"),
    [
        # Bit 0 of the first byte is the first code; 1 stands for -1; the word is padded with 0.
        ("b1", [-1, 1, 1, -1, 1, 1, 1, 1, -1], [0b00001001, 0b00000001, 0, 0]),
        # -1 is 0b11, 0 is 0b00, +1 is 0b01, from the low bits up.
        ("t2", [-1, 0, 1, -1, 1], [0b11010011, 0b00000001]),
        ("s4", [-8, 7, -1], [0x78, 0x0F]),
        ("u4", [1, 15, 2], [0xF1, 0x02]),
        ("s8", [-128, 127, -1], [0x80, 0x7F, 0xFF]),
        ("u8", [0, 255], [0, 255]),
        ("s16", [-2, 258], [0xFE, 0xFF, 0x02, 0x01]),
        ("u16", [65535, 256], [0xFF, 0xFF, 0x00, 0x01]),
        ("s32", [-2, 2**31 - 1], [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
    ],
)
def test_byte_image(name, codes, expected):
    packed = find_format(name).pack(np.array(codes))
    assert packed.dtype == np.uint8
    assert packed.tolist() == expected


@pytest.mark.parametrize(
    ("name", "length", "expected"),
    [("b1", 1, 4), ("b1", 32, 4), ("b1", 33, 8), ("t2", 5, 2), ("s4", 3, 2), ("s32", 3, 12)],
)
def test_rows_are_padded_to_the_unit(name, length, expected):
    assert find_format(name).row_bytes(length) == expected
    assert find_format(name).tensor_bytes((7, length)) == 7 * expected


def test_a_scalar_is_one_row_of_one_code():
    assert find_format("s8").tensor_bytes(()) == 1
    assert find_format("b1").tensor_bytes(()) == 4


@pytest.mark.parametrize(
    ("name", "code"),
    [("b1", 0), ("b1", 3), ("t2", 2), ("s4", 8), ("u4", -1), ("s8", -129), ("u16", 65536)],
)
def test_codes_outside_are_refused(name, code):
    assert not find_format(name).contains(np.array([code]))
    with pytest.raises(TinyqError, match=f"do not fit format {name}"):
        find_format(name).pack(np.array([code]))


def test_nothing_is_inside_every_format():
    assert find_format("b1").contains(np.zeros(0, np.int32))


def test_unknown_format_names_the_known_ones():
    with pytest.raises(TinyqError, match="s7.*b1, t2"):
        find_format("s7")
