"""Widening: a special kernel for int8 activations behind a function that unpacks them.

The codes of ``u4``, ``u2`` and ``b1`` are int8 codes in fewer bits. A kernel that reads int8
computes the same from them once each has a byte of its own:

    y = kernel(unpack(x), ...)

The unpacked operands lie at the start of the kernel's scratch memory. What unpacks a format is a
template ``templates/parts/widen/<format>.c.j2`` with the macros

    cost(rows, length)          instructions, about
    call(rows, length, x, to)   C call that unpacks rows of ``length`` codes
    write(rows, length, once)   the function that it calls, at its first use
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tinyq.codegen.kernels import SUFFIX, WIDE, WIDENINGS
from tinyq.codegen.rendering import make_environment
from tinyq.graph import TensorType
from tinyq.numerics.formats import find_format
from tinyq.support.resources import TEMPLATES

if TYPE_CHECKING:
    import jinja2

    from tinyq.codegen.layouts import Arrangement
    from tinyq.codegen.variants import Facts

_FOLDER = WIDENINGS.relative_to(TEMPLATES).as_posix()
_ALIGNMENT = 8  # bytes, of what a kernel reads


@dataclass(frozen=True, slots=True, eq=False)
class Widening:
    """Operands that are unpacked before a kernel runs.

    Attributes:
        facts: The node with its operands as the graph has them.
        operands: Which are unpacked.
        cost: Estimated instructions.
        scratch_bytes: Bytes of the unpacked operands.
    """

    facts: Facts
    operands: tuple[int, ...]
    cost: int
    scratch_bytes: int

    @property
    def offsets(self) -> dict[int, int]:
        """Byte offset of each unpacked operand in the scratch memory."""
        sizes = [_room(self.facts.inputs[index]) for index in self.operands]
        return {index: sum(sizes[:place]) for place, index in enumerate(self.operands)}


def widen(facts: Facts, operands: tuple[int, ...]) -> tuple[Facts, Widening]:
    """Facts with some operands as int8 codes, and what makes them so."""
    entry = find_format(WIDE)
    inputs = tuple(
        replace(kind, format=entry) if index in operands else kind
        for index, kind in enumerate(facts.inputs)
    )
    narrow = [facts.inputs[index] for index in operands]
    cost = sum(float(_read(kind.format.name).cost(kind.rows, kind.shape[-1])) for kind in narrow)
    room = sum(map(_room, narrow))
    return replace(facts, inputs=inputs), Widening(facts, operands, int(cost), room)


def write_widening(
    widening: Widening,
    function: str,
    kernel: str,
    arrangement: Arrangement,
    once: Callable[[str], bool],
    *,
    scratch: bool,
) -> str:
    """The C text of the function that unpacks operands and calls a kernel.

    Args:
        widening: What is unpacked.
        function: Name of the C function.
        kernel: Name of the one that it calls.
        arrangement: Constants of the kernel.
        once: Whether a name is used for the first time, see `tinyq.codegen.special`.
        scratch: Whether the kernel takes scratch memory of its own.
    """
    facts = widening.facts
    text: str = _open(f"{_FOLDER}{SUFFIX}").write(
        {
            "f": facts,
            "activations": facts.data,
            "offsets": widening.offsets,
            "tables": [table.name for table in arrangement.tables],
            "staged": arrangement.staged,
            "after": widening.scratch_bytes if scratch else 0,
            "format": WIDE,
        },
        function,
        kernel,
        once,
    )
    return text.strip("\n") + "\n"


def _room(kind: TensorType) -> int:
    return -(-math.prod(kind.shape) // _ALIGNMENT) * _ALIGNMENT


def _read(name: str) -> Any:
    return _open(f"{_FOLDER}/{name}{SUFFIX}")


@functools.cache
def _open(path: str) -> Any:
    """Macros of a template."""
    return _environment().get_template(path).module


@functools.cache
def _environment() -> jinja2.Environment:
    return make_environment()
