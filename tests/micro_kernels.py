"""A bench for micro-kernels: each is called alone on an emulated core, and counted.

All calls of a core are in one image and one inference. Memory of a call is one block: what it reads
lies there first, what it writes is compared behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from tinyq.codegen.emit import list_runtime
from tinyq.firmware.build import BuildOptions, build
from tinyq.hardware.boards import Board
from tinyq.kernels.base import Part
from tinyq.kernels.ctext import write_words
from tinyq.kernels.text import write_part
from tinyq.targets import open_link
from tinyq.targets.wire import payload_bytes

_ALIGNMENT = 256  # what lies across panels tells by its address where they end

_INSTANCE = """#include "tq_assembly.h"
#include "tq_model.h"

#include <stdint.h>
#include <string.h>

{functions}

static uint64_t memory[{words}] __attribute__((aligned(256)));

static void *at(int32_t offset)
{{
    return (uint8_t *)memory + offset;
}}

{data}

static void run(const void *input, void *output)
{{
    (void)input;
{calls}
    TQ_MARK({marks});
}}

const tq_model tq_model_instance = {{"micro", {{0}}, 4, {output_bytes}, 0, {marks}, run, 0, 0,
                                     0, 0, 0}};
"""


@dataclass(frozen=True, slots=True)
class Read:
    """An operand that a call reads."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Written:
    """An operand that a call writes, and what is to be there."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Updated:
    """An operand that a call reads and writes: what is there before, and what behind."""

    before: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class End:
    """The address behind an operand, by its index."""

    index: int


Argument = Read | Written | Updated | End | int


@dataclass(frozen=True, slots=True)
class MicroCall:
    """A call of a micro-kernel.

    Attributes:
        part: The micro-kernel.
        arguments: In the order of its C parameters.
        needs: Functions that it calls, and types that it names.
    """

    part: Part
    arguments: tuple[Argument, ...]
    needs: tuple[Part, ...] = ()

    @property
    def expected(self) -> bytes:
        """All that it writes."""
        written = (a for a in self.arguments if isinstance(a, Written | Updated))
        return b"".join(argument.values.tobytes() for argument in written)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call wrote, and its instructions with those that pass its arguments."""

    written: bytes
    instructions: int


def run_calls(calls: Sequence[MicroCall], board: Board, folder: Path) -> list[Outcome]:
    """Build all calls into one image and run them once.

    Args:
        calls: What to call.
        board: With an emulator.
        folder: Missing; the image is built there.
    """
    sizes = [_round_up(len(call.expected)) for call in calls]
    text = _write_program(calls, sizes)
    request, reply = payload_bytes(4, sum(sizes), 2 * len(calls), 0)
    files = {PurePath(path.name): path.read_text("utf-8") for path in list_runtime()}
    files[PurePath("tq_model_instance.c")] = text
    image = build(files, board, folder, BuildOptions(request, reply))
    with closing(open_link(image, "qemu", counting=True)) as link:
        output = link.infer(np.zeros((1, 4), np.uint8)).tobytes()
        counts = link.instruction_counts()
    assert counts is not None
    starts = np.cumsum([0, *sizes])
    return [
        Outcome(output[start : start + len(call.expected)], counts.layers[2 * index].max)
        for index, (call, start) in enumerate(zip(calls, starts, strict=False))
    ]


def _write_program(calls: Sequence[MicroCall], sizes: Sequence[int]) -> str:
    functions: dict[str, str] = {}
    data, lines, room, to = [], [], 0, 0
    for index, call in enumerate(calls):
        name = call.part.name_in(f"kernel_{index}")
        for part, known in (*((it, it.name) for it in call.needs), (call.part, name)):
            functions.setdefault(known, write_part(part, known))
        offsets = _place(call.arguments)
        arguments = [_write(argument, offsets, call) for argument in call.arguments]
        lines.append("    memset(memory, 0xa5, sizeof memory);")
        for place, argument in enumerate(call.arguments):
            if isinstance(argument, Read | Updated):
                found = argument.before if isinstance(argument, Updated) else argument.values
                words = np.frombuffer(_pad(found.tobytes()), "<u4")
                table = f"data_{index}_{place}"
                data.append(
                    f"static const uint32_t {table}[{len(words)}] = {{\n{write_words(words)}\n}};"
                )
                lines.append(f"    memcpy(at({offsets[place]}), {table}, sizeof {table});")
        lines.append(f"    TQ_MARK({2 * index});")
        # Each in a function of its own, so that all pass their arguments alike.
        data.append(
            f"static __attribute__((noinline)) void call_{index}(void)\n{{\n"
            f"    {name}({', '.join(arguments)});\n}}"
        )
        lines.append(f"    call_{index}();")
        lines.append(f"    TQ_MARK({2 * index + 1});")
        behind = to
        for place, argument in enumerate(call.arguments):
            if isinstance(argument, Written | Updated):
                size = argument.values.nbytes
                lines.append(
                    f"    memcpy((uint8_t *)output + {behind}, at({offsets[place]}), {size});"
                )
                behind += size
        to += sizes[index]
        room = max(room, offsets[-1])
    return _INSTANCE.format(
        functions="\n".join(functions.values()),
        words=room // 8,
        data="\n".join(data),
        calls="\n".join(lines),
        marks=2 * len(calls),
        output_bytes=sum(sizes),
    )


def _place(arguments: Sequence[Argument]) -> list[int]:
    """Offset of each operand, then the end; blocks do not touch."""
    offsets, offset = [], 0
    for argument in arguments:
        offsets.append(offset)
        if isinstance(argument, Read | Written | Updated):
            offset += _round_up(argument.values.nbytes) + _ALIGNMENT
    return [*offsets, offset]


def _write(argument: Argument, offsets: Sequence[int], call: MicroCall) -> str:
    if isinstance(argument, int):
        return str(argument)
    if isinstance(argument, End):
        operand = call.arguments[argument.index]
        assert isinstance(operand, Read | Written)
        return f"at({offsets[argument.index] + operand.values.nbytes})"
    place = next(i for i, other in enumerate(call.arguments) if other is argument)
    return f"at({offsets[place]})"


def _round_up(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _pad(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
