from __future__ import annotations

import numpy as np
import pytest

from tinyq.errors import TinyqError
from tinyq.numerics.formats import FORMATS, find_format


def test_names_say_the_stored_bits():
    for name, entry in FORMATS.items():
        assert entry.name == name
        assert int(name[1:]) == entry.bits
        assert entry.codes_per_word * entry.bits == entry.word_bytes * 8 * entry.planes


@pytest.mark.parametrize(
    ("name", "codes", "expected"),
    [
        # Bit 0 of the first byte is the first code; 1 stands for -1; the word is padded with 0.
        ("b1", [-1, 1, 1, -1, 1, 1, 1, 1, -1], [0b00001001, 0b00000001, 0, 0]),
        # -1 is 0b11, 0 is 0b00, +1 is 0b01, from the low bits up.
        ("t2", [-1, 0, 1, -1, 1], [0b11010011, 0b00000001]),
        ("s4", [-8, 7, -1], [0x78, 0x0F]),
        ("u2", [3, 1, 2], [0b011, 0, 0, 0, 0b101, 0, 0, 0]),
        ("u4", [1, 15, 2], [0xF1, 0x02]),
        # Bit j of every code lies in word j.
        ("s2", [-2, 1, -1, 0], [0b0110, 0, 0, 0, 0b0101, 0, 0, 0]),
        ("s3", [-4, 3, 1], [0b110, 0, 0, 0, 0b010, 0, 0, 0, 0b001, 0, 0, 0]),
        ("p4", [0, 1, -1, 64, -2], [0x10, 0x79, 0x0A]),
        ("a4", [3, -10, 8, 1], [0xF5, 0x13]),
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
    [
        ("s2", 1, 8),
        ("s2", 33, 16),
        ("s3", 32, 12),
        ("p4", 3, 2),
        ("b1", 1, 4),
        ("b1", 32, 4),
        ("b1", 33, 8),
        ("t2", 5, 2),
        ("s4", 3, 2),
        ("s32", 3, 12),
    ],
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


def test_levels_are_the_codes_of_the_fields():
    entry = find_format("c2").with_levels((5, -3, 0, 5))
    assert (entry.lo, entry.hi, entry.table_bytes) == (-3, 5, 4)
    assert entry.pack(np.array([0, 5, -3, 0])).tolist() == [0b10_01_00_10]
    assert entry.unpack(np.array([0b11_01_00_10], np.uint8), 4).tolist() == [0, 5, -3, 5]
    assert not entry.contains(np.array([1]))


def test_ternary_levels_come_in_any_order():
    entry = find_format("n2").with_levels((-7, 0, 3))
    assert entry == find_format("n2").with_levels(entry.levels)
    assert entry.pack(np.array([3, -7, 0, 3])).tolist() == [0b01_00_10_01]


def test_a_basis_belongs_to_an_output_channel():
    entry = find_format("d2").with_basis(((3, 1), (10, 4)))
    codes = np.array([[4, 2, -4], [-6, 14, 6]])
    packed = entry.pack(codes)
    # Plane 0 has the signs of the first number, plane 1 those of the second; 1 is minus.
    words = packed.view("<u4").tolist()
    assert words == [[0b100, 0b110], [0b001, 0b100]]
    assert np.array_equal(entry.unpack(packed, 3), codes)
    assert not entry.contains(codes[::-1])
    assert entry.take(np.array([False, True])).coding.rows == ((10, 4),)
    turned = find_format("d2").with_basis(((3, 1), (10, 4)), axis=-1)
    assert turned.contains(codes.T) and not turned.contains(codes.T[:, ::-1])


def test_scales_belong_to_groups_of_a_row():
    entry = find_format("g2").with_groups(2, [[3, 5], [7, 0]])
    codes = np.array([[3, -3, 5], [0, 7, 0]])
    assert entry.pack(codes).tolist() == [[0b01_10_01], [0b01_00]]
    assert np.array_equal(entry.unpack(entry.pack(codes), 3), codes)
    assert not entry.contains(np.array([[5, 0, 0], [0, 0, 0]]))
    assert entry.table_bytes == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: find_format("c4").pack(np.array([1])), "no levels yet"),
        (lambda: find_format("c4").with_levels((1, 2)), "16 levels, not 2"),
        (lambda: find_format("c2").with_levels((1, 2, 3, 128)), "leave -127"),
        (lambda: find_format("n2").with_levels((1, 2, 3)), "-n, 0 and"),
        (lambda: find_format("s8").with_levels((1,)), "takes no levels"),
        (lambda: find_format("d2").with_basis(((1, 2, 3),)), "2 numbers"),
        (lambda: find_format("d2").with_basis(((100, 28),)), "reaches 128"),
        (lambda: find_format("d2").with_basis(((1, 2),), axis=1), "the first or the last"),
        (lambda: find_format("d2").with_basis(((1, 2),)).contains(np.ones((2, 1))), "1 channels"),
        (lambda: find_format("g2").with_groups(0, [[1]]), "at least one"),
        (lambda: find_format("g2").with_groups(2, [[-1]]), "negative"),
        (lambda: find_format("g2").with_groups(2, [[1]]).contains(np.ones((1, 3))), "do not fit"),
    ],
)
def test_tables_that_do_not_fit_are_refused(make, message):
    with pytest.raises(TinyqError, match=message):
        make()


def test_nothing_is_inside_every_format():
    assert find_format("b1").contains(np.zeros(0, np.int32))


def test_unknown_format_names_the_known_ones():
    with pytest.raises(TinyqError, match="s7.*b1, t2"):
        find_format("s7")
