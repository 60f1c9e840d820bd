"""Unpacking: a kernel for int8 activations behind a function that unpacks codes of fewer bits.

The codes of ``u4``, ``u2``, ``s4``, ``s3``, ``s2`` and ``b1`` are int8 codes in fewer bits. A
kernel that reads int8 computes the same from them once each has a byte of its own:

    y = kernel(unpack(x), ...)

The unpacked operands lie at the start of the kernel's scratch memory. Each format that can be
unpacked has its functions in ``templates/kernels/unpacking/codes.j2`` and an entry here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tinyq.graph import TensorType
from tinyq.kernels.base import Bound, Kernel, Part, Refusal
from tinyq.kernels.geometry import divide_up, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.text import UNPACKED
from tinyq.numerics.formats import find_format

_ALIGNMENT = 8  # bytes, of what a kernel reads
_TEMPLATE = "kernels/unpacking/call.c.j2"
_SOURCE = "unpacking/codes.j2"


@dataclass(frozen=True, slots=True)
class Unpacking:
    """How rows of one format and length are unpacked.

    Attributes:
        function: What the C function is called behind ``tq_unpack_``; also its macro.
        counts: Numbers that it takes between source and target.
        instructions: Estimate for all rows.
    """

    function: str
    counts: tuple[int, ...]
    instructions: float

    @property
    def part(self) -> Part:
        """Its C function."""
        return Part(_SOURCE, self.function, f"tq_unpack_{self.function}", shared=True)


Unpack = Callable[[int, int], Unpacking]
"""How ``rows`` rows of ``length`` codes are unpacked."""


def _unpack_planes(
    name: str, word_cost: int, even_cost: float, odd_cost: float, rows: int, length: int
) -> Unpacking:
    """Rows of whole words, 32 codes each; rows without a remainder are one."""
    cost = even_cost if length % 4 == 0 else odd_cost
    total = rows * (divide_up(length, 32) * word_cost + length * cost)
    counts = (1, rows * length) if length % 32 == 0 else (rows, length)
    return Unpacking(f"{name}_odd" if length % 4 else name, counts, total)


def _unpack_nibbles(
    name: str, even_cost: float, odd_cost: float, rows: int, length: int
) -> Unpacking:
    """Rows of an even length are one stream, those of an odd one end within a byte."""
    if length % 2 == 0:
        return Unpacking(name, (rows * length,), rows * length * even_cost + 10)
    return Unpacking(f"{name}_odd", (rows, length), rows * (length * odd_cost + 8))


UNPACKINGS: Mapping[str, Unpack] = MappingProxyType(
    {
        "b1": functools.partial(_unpack_planes, "b1", 14, 2.25, 7),
        "u2": functools.partial(_unpack_planes, "u2", 20, 3.25, 8.9),
        "u4": functools.partial(_unpack_nibbles, "u4", 2.25, 4.4),
        "s2": functools.partial(_unpack_planes, "s2", 20, 3.75, 9.9),
        "s3": functools.partial(_unpack_planes, "s3", 26, 5.25, 12.9),
        "s4": functools.partial(_unpack_nibbles, "s4", 3.25, 5.9),
    }
)


def unpack_for(kernel: Kernel, operands: tuple[int, ...]) -> Kernel:
    """A kernel for int8 activations as one for activations of fewer bits.

    Args:
        kernel: A kernel that reads `UNPACKED`.
        operands: Indexes of those that are unpacked.
    """
    return replace(
        kernel, unpacked=operands, binder=functools.partial(_bind_unpacked, kernel, operands)
    )


def find_unpacking(kind: TensorType) -> Unpacking:
    """How a tensor is unpacked."""
    return UNPACKINGS[kind.format.name](kind.rows, kind.shape[-1])


def _bind_unpacked(kernel: Kernel, operands: tuple[int, ...], layer: LayerSpec) -> Bound | Refusal:
    entry = find_format(UNPACKED)
    inputs = tuple(
        replace(kind, format=entry) if index in operands else kind
        for index, kind in enumerate(layer.inputs)
    )
    inner = kernel.bind(replace(layer, inputs=inputs))
    if isinstance(inner, Refusal):
        return inner
    unpackings = {index: find_unpacking(layer.inputs[index]) for index in operands}
    offsets, room = _place(layer, operands)
    cost = int(sum(it.instructions for it in unpackings.values()))
    return Bound(
        layer,
        None if inner.instructions is None else inner.instructions + cost,
        inner.tables,
        inner.scratch_bytes + room,
        # They are unpacked before anything is written.
        tuple(sorted({*inner.in_place, *operands})),
        {it.function: it.part for it in unpackings.values()},
        _list_values(layer, inner, unpackings, offsets, room),
        calls_epilogue=inner.calls_epilogue,
        inner=inner,
        template=_TEMPLATE,
    )


def _place(layer: LayerSpec, operands: tuple[int, ...]) -> tuple[dict[int, int], int]:
    """Byte offset of each unpacked operand in the scratch memory, and of what follows."""
    offsets, at = {}, 0
    for index in operands:
        offsets[index] = at
        at += round_up(math.prod(layer.inputs[index].shape), _ALIGNMENT)
    return offsets, at


def _list_values(
    layer: LayerSpec,
    inner: Bound,
    unpackings: Mapping[int, Unpacking],
    offsets: Mapping[int, int],
    room: int,
) -> Mapping[str, object]:
    """Parameters of the function, what it calls first, and what it calls the kernel with."""
    names = {index: f"x_{index + 1}" if len(layer.data) > 1 else "x" for index in layer.data}
    tables = [table.name for table in inner.tables]
    finisher = ("epilogue",) if inner.calls_epilogue else ()
    parameters = [
        *(f"const {layer.inputs[index].format.c_type} *{name}" for index, name in names.items()),
        *(f"const uint32_t *{name}" for name in tables),
        *(f"const tq_{layer.epilogue}_epilogue *{name}" for name in finisher),
        f"{layer.output.format.c_type} *y",
        "void *scratch",
    ]
    arguments = [
        *(_point(offsets[index]) if index in offsets else name for index, name in names.items()),
        *tables,
        *finisher,
        "y",
        *((_point(room),) if inner.scratch_bytes else ()),
    ]
    calls = [
        {
            "part": unpacking.part.name,
            "arguments": ", ".join(
                (names[index], *map(str, unpacking.counts), _point(offsets[index]))
            ),
        }
        for index, unpacking in unpackings.items()
    ]
    return MappingProxyType(
        {
            "format": layer.inputs[next(iter(unpackings))].format.name,
            "parameters": parameters,
            "arguments": arguments,
            "calls": calls,
        }
    )


def _point(offset: int) -> str:
    """Bytes behind the start of scratch."""
    return f"(void *)((int8_t *)scratch + {offset})" if offset else "scratch"
