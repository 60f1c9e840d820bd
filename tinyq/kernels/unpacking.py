"""Unpacking: a kernel for int8 activations behind a function that unpacks codes of fewer bits.

The codes of ``u4``, ``u2``, ``s4``, ``s3``, ``s2`` and ``b1`` are int8 codes in fewer bits. A
kernel that reads int8 computes the same from them once each has a byte of its own:

    y = kernel(unpack(x), ...)

The unpacked operands lie at the start of the kernel's scratch memory. Each format that can be
unpacked has its functions in ``templates/kernels/unpacking/codes.j2`` and an entry here.

A kernel that can only store bytes leaves its outputs behind the operands, and they are packed:

    y = pack(kernel(unpack(x), ...))
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
from tinyq.kernels.leads import lead_freely
from tinyq.kernels.text import UNPACKED
from tinyq.numerics.formats import find_format

_ALIGNMENT = 8  # bytes, of what a kernel reads
_TEMPLATE = "kernels/unpacking/call.c.j2"
_SOURCE = "unpacking/codes.j2"


@dataclass(frozen=True, slots=True)
class Unpacking:
    """How rows of one format and length are unpacked, or packed.

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

    @property
    def packing(self) -> Part:
        """The C function, where bytes are packed."""
        return Part(_SOURCE, f"pack_{self.function}", f"tq_pack_{self.function}", shared=True)


@dataclass(frozen=True, slots=True)
class _Rooms:
    """Byte offsets in the scratch memory.

    Attributes:
        operands: Of each operand that is unpacked.
        output: Of outputs that are to be packed.
        kernel: Of the kernel's own scratch memory.
    """

    operands: Mapping[int, int]
    output: int
    kernel: int


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


def _pack_nibbles(rows: int, length: int) -> Unpacking:
    """Rows of an even length are one stream, those of an odd one end within a byte."""
    if length % 2 == 0:
        return Unpacking("nibbles", (rows * length,), rows * length * 1.7 + 12)
    return Unpacking("nibbles_odd", (rows, length), rows * (length * 4.3 + 8))


PACKINGS: Mapping[str, Unpack] = MappingProxyType({"s4": _pack_nibbles, "u4": _pack_nibbles})


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


def find_packing(kind: TensorType) -> Unpacking:
    """How a tensor is packed."""
    return PACKINGS[kind.format.name](kind.rows, kind.shape[-1])


def _bind_unpacked(kernel: Kernel, operands: tuple[int, ...], layer: LayerSpec) -> Bound | Refusal:
    entry = find_format(UNPACKED)
    inputs = tuple(
        replace(kind, format=entry) if index in operands else kind
        for index, kind in enumerate(layer.inputs)
    )
    wide = replace(layer, inputs=inputs)
    found, packing = kernel.bind(wide), None
    if isinstance(found, Refusal) and (packed := _bind_packed(kernel, wide)):
        found, packing = packed, find_packing(layer.output)
    if isinstance(found, Refusal):
        return found
    inner = found
    unpackings = {index: find_unpacking(layer.inputs[index]) for index in operands}
    rooms = _place(layer, operands, inner if packing else None)
    steps = [*unpackings.values(), *([packing] if packing else [])]
    cost = int(sum(it.instructions for it in steps))
    parts = {it.function: it.part for it in unpackings.values()}
    return Bound(
        layer,
        None if inner.instructions is None else inner.instructions + cost,
        inner.tables,
        inner.scratch_bytes + rooms.kernel,
        # They are unpacked before anything is written.
        tuple(sorted({*inner.in_place, *operands})),
        MappingProxyType({**inner.leads, **lead_freely(layer, operands)}),
        parts | ({f"pack_{packing.function}": packing.packing} if packing else {}),
        _list_values(layer, inner, unpackings, packing, rooms),
        calls_epilogue=inner.calls_epilogue,
        inner=inner,
        template=_TEMPLATE,
    )


def _bind_packed(kernel: Kernel, layer: LayerSpec) -> Bound | None:
    """The kernel with outputs in bytes, where these can be packed, or None.

    An epilogue's own function stores every format, so a kernel that calls it needs no packing.
    """
    if layer.output.format.name not in PACKINGS:
        return None
    output = replace(layer.output, format=find_format(UNPACKED))
    found = kernel.bind(replace(layer, output=output))
    return None if isinstance(found, Refusal) or found.calls_epilogue else found


def _place(layer: LayerSpec, operands: tuple[int, ...], packed: Bound | None) -> _Rooms:
    """Where everything lies in the scratch memory.

    Outputs that are to be packed lie over the last operand as far as their kernel lets them.
    """
    offsets, at, last = {}, 0, 0
    for index in operands:
        offsets[index] = last = at
        at += round_up(math.prod(layer.inputs[index].shape), _ALIGNMENT)
    if not packed:
        return _Rooms(offsets, at, at)
    size = round_up(math.prod(layer.output.shape), _ALIGNMENT)
    lead = round_up(max(packed.leads.get(operands[-1], size), 0), _ALIGNMENT)
    offsets[operands[-1]] = last + min(lead, size)
    return _Rooms(offsets, last, max(last + size, at + min(lead, size)))


def _list_values(
    layer: LayerSpec,
    inner: Bound,
    unpackings: Mapping[int, Unpacking],
    packing: Unpacking | None,
    rooms: _Rooms,
) -> Mapping[str, object]:
    """Parameters of the function, what it calls around the kernel, and the kernel's arguments."""
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
        *(
            _point(rooms.operands[index]) if index in rooms.operands else name
            for index, name in names.items()
        ),
        *tables,
        *finisher,
        _point(rooms.output) if packing else "y",
        *((_point(rooms.kernel),) if inner.scratch_bytes else ()),
    ]
    calls = [
        {
            "part": unpacking.part.name,
            "arguments": ", ".join(
                (names[index], *map(str, unpacking.counts), _point(rooms.operands[index]))
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
            "last": _call_packing(packing, rooms) if packing else "",
        }
    )


def _call_packing(packing: Unpacking, rooms: _Rooms) -> str:
    """The call that packs what the kernel has left."""
    counts = ", ".join(map(str, packing.counts))
    return f"{packing.packing.name}({_point(rooms.output)}, {counts}, y);"


def _point(offset: int) -> str:
    """Bytes behind the start of scratch."""
    return f"(void *)((int8_t *)scratch + {offset})" if offset else "scratch"
