"""Epilogue functions: C functions that make an output code of one accumulator.

An epilogue has one text, ``templates/kernels/epilogues/<name>.c.j2``, and is here with the formats
that it may store.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinyq.graph.ops import EPILOGUES

_FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "raw": ("s32",),
        "requantize": ("s16", "s2", "s3", "s4", "s8", "u2", "u4", "u8"),
        "requantizeoffset": ("s16", "s4", "s8", "u2", "u4"),
        "requantizesingle": ("s16", "s4", "s8", "u2", "u4"),
        "requantizetwice": ("s16", "s8"),
        "requantizewide": ("s16", "s8"),
        "roundeven": ("s4", "s8", "u4"),
        "steps": ("s8", "u2", "u4"),
        "threshold": ("b1",),
    }
)
# No two of these share a format, so that the format alone tells them apart.
_UNNAMED = ("raw", "requantize", "threshold")


@dataclass(frozen=True, slots=True)
class EpilogueFunction:
    """An epilogue that stores one format.

    Attributes:
        epilogue: Class name of the epilogue in lower case.
        format: Name of the output format.
    """

    epilogue: str
    format: str

    @property
    def name(self) -> str:
        """C name."""
        return f"tq_{self.epilogue}_{self.format}"

    @property
    def tag(self) -> tuple[str, ...]:
        """Parts of a kernel's C name that tell the epilogue.

        The format alone for the common ones, for another one its name as well.
        """
        return (self.format,) if self.epilogue in _UNNAMED else (self.epilogue, self.format)

    @property
    def accumulator(self) -> str:
        """C type of the accumulators that it takes."""
        return find_accumulator(self.epilogue)

    @property
    def struct(self) -> str:
        """Name of the C struct with its constants."""
        return f"tq_{self.epilogue}_epilogue"

    @property
    def template(self) -> str:
        """Its text, below ``templates``."""
        return f"kernels/epilogues/{self.epilogue}.c.j2"


@functools.cache
def list_epilogues() -> tuple[EpilogueFunction, ...]:
    """All epilogue functions, by name."""
    return tuple(EpilogueFunction(name, it) for name, formats in _FORMATS.items() for it in formats)


def find_epilogue(epilogue: str, number_format: str) -> EpilogueFunction | None:
    """The function of an epilogue for an output format, None where there is none."""
    known = number_format in _FORMATS.get(epilogue, ())
    return EpilogueFunction(epilogue, number_format) if known else None


def find_accumulator(epilogue: str) -> str:
    """C type of the accumulators that an epilogue takes, by its name in lower case."""
    found = {name.lower(): entry.accumulator for name, entry in EPILOGUES.items()}
    return found[epilogue]
