"""Number formats: which integers a tensor may hold and how they lie in memory.

A name is a letter and the stored bits: ``b1`` binary, ``t2`` ternary, ``s4 s8 s32`` signed,
``u4`` unsigned. *Codes* are the integers themselves (int32 arrays, one element per value);
*packed* is the byte image that the C code reads. Packing runs along the innermost axis and pads
every row to a whole storage unit, so that a pixel's channels always begin at an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tinyq.errors import TinyqError

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Format:
    """One number format.

        codes = {lo, lo + step, ..., hi}

    Attributes:
        name: Tag used in kernel names, such as ``t2``.
        bits: Stored bits per code: 1, 2, 4, 8, 16 or 32.
        lo: Smallest code.
        hi: Largest code.
        step: Distance of neighbouring codes; 2 for binary (-1, +1), else 1.
        unit_bytes: Bytes of the storage unit to which each row is padded.
        c_type: C type through which a packed row is addressed.
        meaning: One line for people.

    Twin: tq_get_s8 and its siblings in templates/runtime/tq_formats.h.
    """

    name: str
    bits: int
    lo: int
    hi: int
    step: int
    unit_bytes: int
    c_type: str
    meaning: str

    @property
    def per_unit(self) -> int:
        """Codes per storage unit."""
        return self.unit_bytes * 8 // self.bits

    def row_bytes(self, length: int) -> int:
        """Bytes of one packed row of ``length`` codes."""
        return -(-length // self.per_unit) * self.unit_bytes

    def tensor_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of a packed tensor of ``shape``; a scalar counts as one row of one code."""
        *outer, inner = shape or (1,)
        return int(np.prod(outer, dtype=np.int64)) * self.row_bytes(inner)

    def contains(self, codes: npt.NDArray[np.integer]) -> bool:
        """Whether every element of ``codes`` is a code of this format."""
        if codes.size == 0:
            return True
        wide = codes.astype(np.int64)
        inside = wide.min() >= self.lo and wide.max() <= self.hi
        return bool(inside and (self.step == 1 or ((wide - self.lo) % self.step == 0).all()))

    def pack(self, codes: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Pack codes along the innermost axis, least significant bits first.

            byte = sum_i (field(code_i) << (bits * i))

        The field of a code is its two's complement, but for binary, where 0 means +1 and 1
        means -1. Padding fields are 0.

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
        wide = codes.astype(np.int64)
        wide = (wide < 0).astype(np.int64) if self.step == 2 else wide & ((1 << self.bits) - 1)
        padding = -codes.shape[-1] % self.per_unit
        fields = np.pad(wide.astype(np.uint64), [(0, 0)] * (codes.ndim - 1) + [(0, padding)])
        units = fields.reshape(*codes.shape[:-1], fields.shape[-1] // self.per_unit, self.per_unit)
        shifts = np.arange(self.per_unit, dtype=np.uint64) * np.uint64(self.bits)
        words = (units << shifts).sum(axis=-1, dtype=np.uint64)
        little = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
        little = little.reshape(*words.shape, 8)[..., : self.unit_bytes]
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
        outer, count = packed.shape[:-1], packed.shape[-1] // self.unit_bytes
        units = packed.reshape(*outer, count, self.unit_bytes).astype(np.uint64)
        byte_shifts = np.arange(self.unit_bytes, dtype=np.uint64) * np.uint64(8)
        words = (units << byte_shifts).sum(axis=-1, dtype=np.uint64)
        shifts = np.arange(self.per_unit, dtype=np.uint64) * np.uint64(self.bits)
        fields = (words[..., None] >> shifts) & np.uint64((1 << self.bits) - 1)
        codes = fields.reshape(*outer, count * self.per_unit)[..., :length].astype(np.int64)
        if self.step == 2:
            codes = 1 - 2 * codes
        elif self.lo < 0:
            codes = codes - ((codes >> (self.bits - 1)) << self.bits)
        return np.asarray(codes, np.int32)


def _signed(bits: int, unit_bytes: int, c_type: str) -> Format:
    half = 1 << (bits - 1)
    return Format(
        f"s{bits}", bits, -half, half - 1, 1, unit_bytes, c_type, f"signed {bits}-bit integer"
    )


_ALL = (
    Format("b1", 1, -1, 1, 2, 4, "uint32_t", "binary: bit 0 is +1, bit 1 is -1"),
    Format("t2", 2, -1, 1, 1, 1, "uint8_t", "ternary: two's complement of -1, 0, +1 in 2 bits"),
    _signed(4, 1, "uint8_t"),
    _signed(8, 1, "int8_t"),
    _signed(16, 2, "int16_t"),
    _signed(32, 4, "int32_t"),
    Format("u4", 4, 0, 15, 1, 1, "uint8_t", "unsigned 4-bit integer"),
    Format("u8", 8, 0, 255, 1, 1, "uint8_t", "unsigned 8-bit integer"),
    Format("u16", 16, 0, 65535, 1, 2, "uint16_t", "unsigned 16-bit integer"),
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
