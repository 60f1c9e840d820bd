"""What a graph shows to the outside: its inputs and outputs in C, on the wire and in data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tinyq.graph import Graph, GraphBuilder
from tinyq.graph.ops.reshape import Reshape
from tinyq.numerics.formats import Codes

INPUT, OUTPUT = "input", "output"
WORD_BYTES = 4
"""Where the tensors of a sample begin on the wire."""
MOST_CHARACTERS = 40
"""Of a label; C tells 63 characters of a name apart, and a suffix may follow."""
# Words of C and C++, of their older dialects, and of the generated text.
_WORDS = """
alignas alignof and and_eq arena arm asm auto bitand bitor bool break case catch char class compl
complex concept const const_cast constexpr context continue decltype default delete do double
dynamic_cast else enum explicit export extern false final float for friend goto i386 if imaginary
import inline int int8_t int16_t int32_t int64_t kept layers linux long mips module mutable
namespace new noexcept not not_eq null nullptr operator or or_eq override private protected public
register reinterpret_cast requires restrict return short signed size_t sizeof sparc static
static_assert static_cast struct switch template this thread_local throw true try typedef typeid
typename typeof uint8_t uint16_t uint32_t uint64_t union unix unsigned using virtual void volatile
wchar_t while word xor xor_eq
"""
_RESERVED = frozenset(_WORDS.split())


def label_ports(graph: Graph) -> Mapping[str, str]:
    """A C identifier for each input and each output, by tensor name.

    One input alone is ``input``, one output alone is ``output``. Several have the names of their
    tensors in small letters, with underscores for whatever C does not allow, and a number where two
    would be the same.
    """
    labels: dict[str, str] = {}
    for names, single in ((graph.inputs, INPUT), (graph.outputs, OUTPUT)):
        if len(names) == 1:
            labels[names[0]] = single
    taken = {*labels.values(), *_RESERVED}
    for names, single in ((graph.inputs, INPUT), (graph.outputs, OUTPUT)):
        for name in names:
            if name not in labels:
                labels[name] = _choose(name, single, taken, graph.name)
                taken.add(labels[name])
    return MappingProxyType({name: labels[name] for name in (*graph.inputs, *graph.outputs)})


def name_ports(graph: Graph) -> tuple[str, ...]:
    """The labels by which a device names inputs and outputs; none where there is one of each."""
    if len(graph.inputs) == len(graph.outputs) == 1:
        return ()
    return tuple(label_ports(graph).values())


def _choose(name: str, single: str, taken: Iterable[str], prefix: str) -> str:
    stem = re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")[:MOST_CHARACTERS].strip("_")
    starts = (f"{prefix.lower()}_", "tq_")
    if not stem or stem[0].isdigit() or stem.startswith(starts):
        stem = f"{single}_{stem}".strip("_")
    label, count = stem, 1
    while label in taken:
        count += 1
        label = f"{stem}_{count}"
    return label


def own_outputs(builder: GraphBuilder, names: Iterable[str]) -> tuple[str, ...]:
    """Outputs for `GraphBuilder.build`: different tensors, each computed by a node.

    An input, a constant or a tensor that is an output already is copied: the caller gives each
    output bytes of its own.

    Args:
        builder: The graph so far; copies are added to it.
        names: Tensors that are the model's outputs, in its order.

    Returns:
        The names themselves, or those of copies, ``NAME_copy``.
    """
    found: list[str] = []
    for name in names:
        if name in found or not builder.is_computed(name):
            copy = f"{name}_copy"
            while builder.has(copy):
                copy += "_"
            name = builder.apply(copy, Reshape(builder.type(name).shape), name)
        found.append(name)
    return tuple(found)


def keep_value(builder: GraphBuilder, state: str, value: str) -> None:
    """Let a state take the value of any tensor when a step ends; what no node computes is copied.

    Args:
        builder: The graph so far.
        state: Added with `GraphBuilder.add_state`.
        value: A tensor of its type.
    """
    if not builder.is_computed(value):
        copy = f"{state}_next"
        while builder.has(copy):
            copy += "_"
        value = builder.apply(copy, Reshape(builder.type(value).shape), value)
    builder.keep(state, value)


def packed_bytes(graph: Graph, names: Iterable[str]) -> int:
    """Bytes of a sample of some inputs or outputs, as `pack_codes` lays them out."""
    sizes = [graph.tensors[name].type.packed_bytes for name in names]
    return sizes[0] if len(sizes) == 1 else sum(map(_whole, sizes))


def pack_codes(graph: Graph, codes: Mapping[str, Codes]) -> npt.NDArray[np.uint8]:
    """Codes as the firmware takes or gives them: the tensors of a sample one behind the other.

    Args:
        graph: The graph.
        codes: Codes of tensors by name, shapes (batch, *tensor shape), in the order of the model.

    Returns:
        uint8, shape (batch, `packed_bytes`): of one tensor its packed bytes; of several each from a
        multiple of 4 bytes on, with zeros between and behind them.
    """
    parts = []
    for name, values in codes.items():
        packed = graph.tensors[name].type.format.pack(values)
        size = graph.tensors[name].type.packed_bytes
        rows = np.asarray(packed, np.uint8).reshape(len(values), size)
        room = 0 if len(codes) == 1 else _whole(size) - size
        parts.append(np.pad(rows, ((0, 0), (0, room))))
    return np.concatenate(parts, axis=1)


def unpack_codes(
    graph: Graph, names: Iterable[str], packed: npt.NDArray[np.uint8]
) -> dict[str, Codes]:
    """The inverse of `pack_codes`: codes by name, shapes (batch, *tensor shape)."""
    found: dict[str, Codes] = {}
    start = 0
    for name in names:
        kind = graph.tensors[name].type
        shape = kind.shape or (1,)
        rows = packed[:, start : start + kind.packed_bytes]
        rows = np.ascontiguousarray(rows).reshape(len(packed), *shape[:-1], -1)
        found[name] = kind.format.unpack(rows, shape[-1]).reshape(len(packed), *kind.shape)
        start += _whole(kind.packed_bytes)
    return found


def _whole(size: int) -> int:
    return -(-size // WORD_BYTES) * WORD_BYTES
