"""Layer programs: generated programs of one layer each, run side by side on an emulated core.

All share one image and one inference. The device makes the input data itself and answers with a
hash of each program's output, so that the serial line carries four bytes of each; the reference
must give the same hash. A program's instructions are those between two marks of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import numpy as np

from tinyq.codegen import emit
from tinyq.errors import BoardError, LinkError, ModelError
from tinyq.firmware.build import BuildOptions, Image, build
from tinyq.firmware.sections import function_sizes
from tinyq.graph import Graph, GraphBuilder, Node, reference
from tinyq.hardware.boards import Board, load_boards
from tinyq.measurement.profile import estimate_layers
from tinyq.selection import Bounds, plan_kernels
from tinyq.targets import open_link
from tinyq.targets.wire import payload_bytes

# The device makes its data by a linear congruence and answers with FNV-1a.
MULTIPLIER, INCREMENT = 1664525, 1013904223
PRIME, OFFSET = 16777619, 2166136261

_MARK = re.compile(r"^( *)TQ_MARK\((\d+)\);\n", re.MULTILINE)
_INSTANCE = """#include "tq_model.h"

{includes}

static uint32_t data[{input_words}];
static uint32_t result[{output_words}];

/* FNV-1a over the first bytes of result. */
static uint32_t hash_result(uint32_t count)
{{
    const uint8_t *bytes = (const uint8_t *)result;
    uint32_t hash = {offset}u;
    for (uint32_t i = 0; i < count; i++) {{
        hash = (hash ^ bytes[i]) * {prime}u;
    }}
    return hash;
}}

static void run(const void *input, void *output)
{{
    uint32_t *const hashes = (uint32_t *)output;
    uint32_t state = 1u;
    (void)input;
    for (uint32_t i = 0; i < {input_words}u; i++) {{
        state = state * {multiplier}u + {increment}u;
        data[i] = state ^ (state >> 15);
    }}
{calls}
    TQ_MARK({marks});
}}

const tq_model tq_model_instance = {{"program", {{0}}, 4, {output_bytes}, 0, {marks}, run,
    0, 0, 0, 0, 0}};
"""


@dataclass(frozen=True, slots=True)
class LayerProgram:
    """A program to run.

    Attributes:
        graph: One layer, or several that are counted together.
        bounds: The kernel of each node.
    """

    graph: Graph
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program needs.

    Attributes:
        instructions: Executed in one inference, exact.
        cycles: Of them, estimated by the core's timings; None where there are none.
        flash_loads: Reads of constants in flash, counted; None without timings.
        code: Bytes of its functions by their names; the call itself is in ``run``.
        exact: Whether the device's output equals the reference's.
    """

    instructions: int
    cycles: int | None
    flash_loads: int | None
    code: Mapping[str, int]
    exact: bool


def find_stand_in(board: Board) -> Board:
    """The emulated board that runs a board's kernels: of its core, the one with the most RAM.

    Raises:
        LinkError: No emulator is known for the core.
    """
    core = _core(board)
    stand_ins = [it for it in load_boards().values() if it.qemu_machine and it.isa == board.isa]
    if not stand_ins:
        raise LinkError(
            f"no emulator counts instructions of {board.isa} cores",
            where=f"board {board.name}",
            remedy="build without --tune: kernels are then chosen by estimates",
        )
    return max(stand_ins, key=lambda it: (_core(it) == core, it.ram_bytes, it.name))


def isolate(graph: Graph, node: Node) -> Graph | None:
    """A graph of one node alone; None where its data have several shapes or formats.

    Layers with the same sizes and formats give the same text but for their constants.
    """
    data = [graph.tensors[name] for name in node.inputs if not graph.tensors[name].is_constant]
    if len({(tensor.type.shape, tensor.type.format) for tensor in data}) != 1:
        return None
    builder = GraphBuilder.start("layer", data[0].type)
    names = {tensor.name: "input" for tensor in data}
    for index, tensor in enumerate({it.name: it for it in graph.constants(node)}.values()):
        meaning = tensor.type
        assert tensor.codes is not None
        names[tensor.name] = builder.constant(
            f"constant_{index}", tensor.codes, meaning.format, meaning.scale, meaning.zero_point
        )
    try:
        return builder.build(
            builder.apply("layer_0", node.op, *(names[name] for name in node.inputs))
        )
    except ModelError:
        return None


def run_programs(
    programs: Sequence[LayerProgram], board: Board, folder: Path, cflags: tuple[str, ...] = ()
) -> tuple[Outcome, ...]:
    """Build programs into one image and run each of them once.

    Args:
        programs: What to run.
        board: An emulated board.
        folder: Missing; the image is built there.
        cflags: Compiler flags after all others.

    Raises:
        BudgetError: Together they are too large for the board.
    """
    named = [
        replace(program, graph=replace(program.graph, name=f"program_{index}"))
        for index, program in enumerate(programs)
    ]
    files: dict[PurePath, str] = {}
    for index, program in enumerate(named):
        memory = plan_kernels(program.graph, program.bounds)
        text = emit(program.graph, memory, program.bounds).files
        files |= _number_marks(text, 2 * index, len(program.graph.nodes))
    graphs = [program.graph for program in named]
    files[PurePath("tq_model_instance.c")] = _write_instance(graphs)
    marks, output_bytes = 2 * len(graphs), 4 * len(graphs)
    request, reply = payload_bytes(4, output_bytes, marks, 0)
    image = build(files, board, folder, BuildOptions(request, reply, cflags))
    with closing(open_link(image, "qemu")) as link:
        hashes = link.infer(np.zeros((1, 4), np.uint8)).view("<u4").reshape(-1)
    costs, sizes = _count(image), function_sizes(image.elf)
    return tuple(
        Outcome(
            *costs[2 * index],
            _list_code(sizes, graph.name),
            int(hashes[index]) == expect_hash(graph),
        )
        for index, graph in enumerate(graphs)
    )


def expect_hash(graph: Graph) -> int:
    """Hash of the reference's output for the data that the device makes."""
    entry = graph.input.type
    words, state = [], 1
    for _ in range(-(-entry.packed_bytes // 4)):
        state = (state * MULTIPLIER + INCREMENT) & 0xFFFFFFFF
        words.append(state ^ (state >> 15))
    data = np.array(words, "<u4").view(np.uint8)[: entry.packed_bytes]
    rows = data.reshape(1, *entry.shape[:-1], -1)
    codes = entry.format.unpack(rows, entry.shape[-1]).reshape(1, *entry.shape)
    output = graph.output.type.format.pack(reference.run(graph, codes)).reshape(-1)
    found = OFFSET
    for byte in output.tolist():
        found = ((found ^ byte) * PRIME) & 0xFFFFFFFF
    return found


def _count(image: Image) -> list[tuple[int, int | None, int | None]]:
    """Instructions, cycles and loads from flash of each layer of an image."""
    packed = np.zeros(4, np.uint8)
    try:
        costs = estimate_layers(image, packed)
        return [(cost.instructions, cost.cycles, cost.flash_loads) for cost in costs]
    except BoardError:
        with closing(open_link(image, "qemu", counting=True)) as link:
            link.infer(packed[None])
            counts = link.instruction_counts()
    assert counts is not None, "counting was asked for"
    return [(layer.max, None, None) for layer in counts.layers]


def _core(board: Board) -> str:
    return next((flag for flag in board.cflags if flag.startswith("-mcpu")), "")


def _number_marks(files: Mapping[PurePath, str], first: int, layers: int) -> dict[PurePath, str]:
    """A program's own two marks, in an inference of all programs; those between layers go."""
    kept = {0: first, layers: first + 1}

    def number(found: re.Match[str]) -> str:
        place = int(found[2])
        return f"{found[1]}TQ_MARK({kept[place]});\n" if place in kept else ""

    return {path: _MARK.sub(number, text) for path, text in files.items()}


def _list_code(sizes: Mapping[str, Mapping[str, int]], name: str) -> dict[str, int]:
    """Functions of a program; a source whose functions are all inlined has none but the run."""
    return {**sizes.get(f"{name}.c", {}), "run": sizes[""][f"{name}_run"]}


def _write_instance(graphs: Sequence[Graph]) -> str:
    return _INSTANCE.format(
        includes="\n".join(f'#include "{graph.name}.h"' for graph in graphs),
        calls="\n".join(_write_call(index, graph) for index, graph in enumerate(graphs)),
        marks=2 * len(graphs),
        output_bytes=4 * len(graphs),
        input_words=max(-(-graph.input.type.packed_bytes // 4) for graph in graphs),
        output_words=max(-(-graph.output.type.packed_bytes // 4) for graph in graphs),
        multiplier=MULTIPLIER,
        increment=INCREMENT,
        prime=PRIME,
        offset=OFFSET,
    )


def _write_call(index: int, graph: Graph) -> str:
    source = f"(const {graph.input.type.format.c_type} *)data"
    target = f"({graph.output.type.format.c_type} *)result"
    return (
        f"    {graph.name}_run({source}, {target});\n"
        f"    hashes[{index}] = hash_result({graph.output.type.packed_bytes}u);"
    )
