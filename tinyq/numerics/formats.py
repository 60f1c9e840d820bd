"""Number formats: which integers a tensor may hold and how they lie in memory.

A name is a letter and the stored bits: ``b1`` binary, ``t2`` ternary, ``s8`` signed, ``u4``
unsigned, and the formats of weights alone: ``p4`` powers of two, ``a4`` sums of two of them,
``c4`` a codebook for each tensor, ``n2`` ternary with two magnitudes, ``g2`` ternary with a scale
for each group, ``d2`` a basis for each output channel. *Codes* are the integers themselves (int32
arrays, one element per value), whatever the format; *fields* are the stored bits of a code, and
*packed* is the byte image that the C code reads. Packing runs along the innermost axis and pads
every row to a whole word, so that a pixel's channels always begin at an address.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tinyq.errors import TinyqError
from tinyq.numerics.packing import (
    MOST,
    OUTSIDE,
    Basis,
    Codebook,
    Coding,
    Listed,
    Range,
    Scales,
    Signs,
    check_integers,
)

Codes = npt.NDArray[np.int32]

_GIVEN = MappingProxyType({"levels": "levels", "basis": "basis", "scales": "groups"})


@dataclass(frozen=True, slots=True)
class Format:
    """One number format; with a table in its coding it is the format of one tensor.

    Attributes:
        name: Tag used in kernel names, such as ``t2``.
        bits: Stored bits per code: 1, 2, 3, 4, 8, 16 or 32.
        coding: Which codes there are, and what is stored for each.
        word_bytes: Bytes of the C type.
        c_type: C type through which a packed row is addressed.
        meaning: One line for people.
        planes: 1 where the bits of a code lie together; else the bits of a code, each of which is
            in a word of its own, 32 codes to a group of ``planes`` words.

    Twin: tq_get_s8 and its siblings in templates/runtime/tq_formats.h.
    """

    name: str
    bits: int
    coding: Coding
    word_bytes: int
    c_type: str
    meaning: str
    planes: int = 1

    @property
    def lo(self) -> int:
        """Smallest code."""
        return self.coding.span[0]

    @property
    def hi(self) -> int:
        """Largest code."""
        return self.coding.span[1]

    @property
    def step(self) -> int:
        """Distance of neighbouring codes; 2 for binary (-1, +1), else 1."""
        return self.coding.step

    @property
    def table(self) -> str:
        """What each tensor brings along, ``levels``, ``basis`` or ``scales``; empty for most."""
        return self.coding.table

    @property
    def levels(self) -> tuple[int, ...]:
        """Code of each field; empty where a formula says it, or no table is given yet."""
        return self.coding.levels if isinstance(self.coding, Listed) else ()

    @property
    def values(self) -> tuple[int, ...]:
        """The table as integers in the order of the C array; empty for a format without."""
        return self.coding.values

    @property
    def codes_per_word(self) -> int:
        """Codes to whose multiple each row is padded."""
        return self.word_bytes * 8 * self.planes // self.bits

    @property
    def table_bytes(self) -> int:
        """Bytes of the table."""
        return len(self.values)

    def row_bytes(self, length: int) -> int:
        """Bytes of one packed row of ``length`` codes."""
        return -(-length // self.codes_per_word) * self.word_bytes * self.planes

    def tensor_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of a packed tensor of ``shape``; a scalar counts as one row of one code."""
        *outer, inner = shape or (1,)
        return int(np.prod(outer, dtype=np.int64)) * self.row_bytes(inner)

    def with_levels(self, levels: Iterable[int]) -> Format:
        """This format with the codes that one tensor may hold.

        Args:
            levels: Code of each field, -127 .. 127, 2**bits of them. Codes may come twice; a code
                is stored as the first field that means it. For ``n2`` -n, 0 and +p, in any order.

        Raises:
            TinyqError: The format has no levels of its own, or these do not fit it.
        """
        codes = self._check("levels", levels)
        if self.name == "n2":
            codes = _order_ternary(codes)
        elif len(codes) != 1 << self.bits:
            raise TinyqError(f"format {self.name} has {1 << self.bits} levels, not {len(codes)}")
        return replace(self, coding=Codebook(codes))

    def with_basis(self, basis: Iterable[Iterable[int]], axis: int = 0) -> Format:
        """This format with the basis of each output channel of one tensor.

        Args:
            basis: ``bits`` integers for each output channel; a channel's magnitudes sum up to at
                most 127.
            axis: Axis of the output channels: 0, or -1 for a depthwise convolution.

        Raises:
            TinyqError: The format has no basis, or this one does not fit it.
        """
        rows = tuple(self._check("basis", row) for row in basis)
        if not rows or any(len(row) != self.bits for row in rows):
            raise TinyqError(f"format {self.name} has {self.bits} numbers for each channel")
        most = max(sum(map(abs, row)) for row in rows)
        if most > MOST:
            raise TinyqError(f"a basis reaches {most}, more than {MOST}")
        return replace(self, coding=Basis(rows, _check_axis(axis)))

    def with_groups(self, size: int, scales: npt.ArrayLike) -> Format:
        """This format with the scales of one tensor.

        Args:
            size: Codes that share a scale. Groups begin anew in each row of the innermost axis;
                the last one of a row may be shorter.
            scales: Integers 0 .. 127, shape (*outer axes of the tensor, groups of a row).

        Raises:
            TinyqError: The format has no groups, or these do not fit it.
        """
        array = np.asarray(scales)
        if size < 1 or array.ndim < 2 or not array.size:
            raise TinyqError("scales need the axes of the weights, and groups at least one code")
        rows = tuple(self._check("scales", row) for row in array.reshape(len(array), -1).tolist())
        if min(map(min, rows)) < 0:
            raise TinyqError("the scale of a group is negative")
        return replace(self, coding=Scales(rows, operator.index(size)))

    def take(self, kept: npt.NDArray[np.bool_]) -> Format:
        """The format of a tensor that keeps some of its output channels.

        Args:
            kept: Which, one element per output channel.
        """
        return replace(self, coding=self.coding.take(kept))

    def contains(self, codes: npt.NDArray[np.integer]) -> bool:
        """Whether every element of ``codes`` is a code of this format."""
        if codes.size == 0:
            return True
        if self.table and not self.values:
            raise TinyqError(
                f"format {self.name} has no {self.table} yet",
                remedy=f"give them with with_{_GIVEN[self.table]}",
            )
        low, high = self.coding.span
        if int(codes.min()) < low or int(codes.max()) > high:
            return False
        if isinstance(self.coding, Range):
            return True
        return bool((self.coding.encode(codes.astype(np.int64)) != OUTSIDE).all())

    def pack(self, codes: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Pack codes along the innermost axis, least significant bits first.

            word = sum_i (field(code_i) << (bits * i))
            word_j = sum_i (bit j of field(code_i) << i)            for formats in planes

        Padding fields are 0.

        Args:
            codes: Integers of this format, any shape.

        Returns:
            uint8, shape (..., row_bytes).

        Raises:
            TinyqError: A code lies outside the format.
        """
        codes = np.atleast_1d(np.asarray(codes))
        if not self.contains(codes):
            raise TinyqError(
                f"codes {codes.min()} .. {codes.max()} do not fit format {self.name} "
                f"({self.lo} .. {self.hi})",
                remedy="quantize to the format's range before packing",
            )
        padding = -codes.shape[-1] % self.codes_per_word
        fields = np.pad(
            self.coding.encode(codes.astype(np.int64)).astype(np.uint64),
            [(0, 0)] * (codes.ndim - 1) + [(0, padding)],
        )
        count = fields.shape[-1] // self.codes_per_word
        groups = fields.reshape(*codes.shape[:-1], count, self.codes_per_word)
        if self.planes == 1:
            shifts = np.arange(self.codes_per_word, dtype=np.uint64) * np.uint64(self.bits)
            words = (groups << shifts).sum(axis=-1, dtype=np.uint64)
        else:
            planes = (groups[..., None, :] >> self._planes()[:, None]) & np.uint64(1)
            places = np.arange(self.codes_per_word, dtype=np.uint64)
            words = (planes << places).sum(axis=-1, dtype=np.uint64)
        little = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
        little = little.reshape(*words.shape, 8)[..., : self.word_bytes]
        row_bytes = self.row_bytes(codes.shape[-1])
        return np.ascontiguousarray(little).reshape(*codes.shape[:-1], row_bytes)

    def unpack(self, packed: npt.NDArray[np.uint8], length: int) -> Codes:
        """Inverse of ``pack``.

        Args:
            packed: uint8, shape (..., row_bytes).
            length: Codes per row.

        Returns:
            int32, shape (..., length).
        """
        outer, count = packed.shape[:-1], packed.shape[-1] // self.word_bytes
        elements = packed.reshape(*outer, count, self.word_bytes).astype(np.uint64)
        byte_shifts = np.arange(self.word_bytes, dtype=np.uint64) * np.uint64(8)
        words = (elements << byte_shifts).sum(axis=-1, dtype=np.uint64)
        if self.planes == 1:
            shifts = np.arange(self.codes_per_word, dtype=np.uint64) * np.uint64(self.bits)
            fields = (words[..., None] >> shifts) & np.uint64((1 << self.bits) - 1)
        else:
            planes = words.reshape(*outer, count // self.planes, self.planes, 1)
            places = np.arange(self.codes_per_word, dtype=np.uint64)
            bits = (planes >> places) & np.uint64(1)
            fields = (bits << self._planes()[:, None]).sum(axis=-2, dtype=np.uint64)
        fields = fields.reshape(*outer, count // self.planes * self.codes_per_word)[..., :length]
        return np.asarray(self.coding.decode(fields.astype(np.int64)), np.int32)

    def _planes(self) -> npt.NDArray[np.uint64]:
        return np.arange(self.planes, dtype=np.uint64)

    def _check(self, table: str, numbers: Iterable[int]) -> tuple[int, ...]:
        if self.table != table:
            raise TinyqError(
                f"format {self.name} takes no {table}",
                remedy=f"use one of {', '.join(f.name for f in _ALL if f.table == table)}",
            )
        return check_integers(numbers, f"{table} of format {self.name}")


def _order_ternary(codes: tuple[int, ...]) -> tuple[int, ...]:
    low, middle, high = sorted(codes) if len(codes) == 3 else (0, 1, 0)
    if middle:
        raise TinyqError("format n2 has the three levels -n, 0 and +p")
    return (0, high, low)


def _check_axis(axis: int) -> int:
    if operator.index(axis) not in (0, -1):
        raise TinyqError("output channels are the first or the last axis")
    return operator.index(axis)


def _signed(bits: int, word_bytes: int, c_type: str) -> Format:
    half = 1 << (bits - 1)
    coding = Range(bits, -half, half - 1)
    return Format(f"s{bits}", bits, coding, word_bytes, c_type, f"signed {bits}-bit integer")


def _unsigned(bits: int, word_bytes: int, c_type: str) -> Format:
    coding = Range(bits, 0, (1 << bits) - 1)
    return Format(f"u{bits}", bits, coding, word_bytes, c_type, f"unsigned {bits}-bit integer")


def _planar(plain: Format) -> Format:
    """The same codes with each bit in a word of its own."""
    meaning = f"{plain.meaning} in bit planes"
    return replace(plain, word_bytes=4, c_type="uint32_t", meaning=meaning, planes=plain.bits)


def _indexed(name: str, coding: Coding, meaning: str) -> Format:
    return Format(name, int(name[1:]), coding, 1, "uint8_t", meaning)


def _list_both_signs(*magnitudes: int) -> Listed:
    """Four bits: a sign above the index of a magnitude."""
    return Listed((*magnitudes, *(-magnitude for magnitude in magnitudes)))


def _based(bits: int) -> Format:
    meaning = f"{bits} signs in bit planes, each times a number of the output channel"
    return Format(f"d{bits}", bits, Basis(), 4, "uint32_t", meaning, planes=bits)


_ALL = (
    Format("b1", 1, Signs(), 4, "uint32_t", "binary: bit 0 is +1, bit 1 is -1"),
    _indexed("t2", Range(2, -1, 1), "ternary: two's complement of -1, 0, +1 in 2 bits"),
    _planar(_signed(2, 1, "uint8_t")),
    _planar(_signed(3, 1, "uint8_t")),
    _signed(4, 1, "uint8_t"),
    _signed(8, 1, "int8_t"),
    _signed(16, 2, "int16_t"),
    _signed(32, 4, "int32_t"),
    _planar(_unsigned(2, 1, "uint8_t")),
    _unsigned(4, 1, "uint8_t"),
    _unsigned(8, 1, "uint8_t"),
    _unsigned(16, 2, "uint16_t"),
    _indexed("p4", _list_both_signs(0, 1, 2, 4, 8, 16, 32, 64), "power of two: sign and exponent"),
    # Two low bits choose 0, 1, 4 or 8, the next one adds 2.
    _indexed(
        "a4",
        _list_both_signs(0, 1, 4, 8, 2, 3, 6, 10),
        "sum of two powers of two: sign and both terms",
    ),
    _indexed("c2", Codebook(), "index into a codebook of 4 integers"),
    _indexed("c4", Codebook(), "index into a codebook of 16 integers"),
    _indexed("n2", Codebook(), "ternary with two magnitudes: bit 0 is +p, bit 1 is -n"),
    _indexed("g2", Scales(), "ternary, scaled by groups: bit 0 is +1, bit 1 is -1"),
    _based(2),
    _based(3),
)

FORMATS: Mapping[str, Format] = MappingProxyType({entry.name: entry for entry in _ALL})


def find_format(name: str) -> Format:
    """The format called ``name``.

    Raises:
        TinyqError: There is no such format.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise TinyqError(
            f"there is no number format {name!r}", remedy=f"use one of {', '.join(FORMATS)}"
        ) from None
