"""Many graphs in one image and one start of the emulator.

The first word of an input says which graph the rest is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType

import numpy as np

from tinyq.codegen import SourceTree
from tinyq.firmware.build import BuildOptions, build
from tinyq.graph import Graph
from tinyq.hardware.boards import Board
from tinyq.targets import default_target, open_link
from tinyq.targets.wire import payload_bytes

WORD = 4

_INSTANCE = """
#include "tq_model.h"

{includes}

/* Buffers that begin so many bytes behind a multiple of 4. */
static uint32_t moved_input[{input_bytes} / 4 + 1];
static uint32_t moved_output[{output_bytes} / 4 + 2];

static void copy(void *to, const void *from, int32_t count)
{{
    for (int32_t i = 0; i < count; i++) {{
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }}
}}

static void run(const void *input, void *output)
{{
    const uint32_t *words = input;
    const uint8_t *data = (const void *)(words + 1);
    uint8_t *answer = output;
    if ({shift} != 0) {{
        data = (const uint8_t *)moved_input + {shift};
        answer = (uint8_t *)moved_output + {shift};
        copy((uint8_t *)moved_input + {shift}, words + 1, {input_bytes} - 4);
        copy(answer, output, {output_bytes});
    }}
    switch (words[0]) {{
{cases}
    default:
        break;
    }}
    if ({shift} != 0) {{
        copy(output, answer, {output_bytes});
    }}
}}

const tq_model tq_model_instance = {{
    "many", {{0}}, {input_bytes}, {output_bytes}, 0, {layers}, run, 0, 0, 0, 0, 0,
}};
"""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A graph, its code, its inputs, and the packed answers that it must give."""

    graph: Graph
    tree: SourceTree
    inputs: np.ndarray
    answers: np.ndarray


def ask_device(
    cases: Sequence[Case],
    board: Board,
    folder: Path,
    model_cflags: tuple[str, ...] = (),
    extra: Mapping[PurePath, str] = MappingProxyType({}),
    shift: int = 0,
) -> list[np.ndarray]:
    """Build all graphs into one image and run it.

    Args:
        cases: Each with the same number of inputs.
        board: With an emulator.
        folder: Missing; the image is built there.
        model_cflags: Further flags of the graphs' sources.
        extra: Further sources.
        shift: Bytes behind a multiple of 4 at which the buffers of the graphs begin, 0 .. 3.

    Returns:
        The packed answers of each case, shape (inputs, bytes of its output).
    """
    samples = len(cases[0].inputs)
    # Whole words, because the inputs stand one behind the other.
    longest = max(case.inputs.shape[1] for case in cases)
    input_bytes = WORD + -(-longest // WORD) * WORD
    sizes = [case.answers.shape[1] for case in cases]
    requests = np.zeros((len(cases), samples, input_bytes), np.uint8)
    for index, case in enumerate(cases):
        requests[index, :, :WORD] = np.array([index], "<u4").view(np.uint8)
        requests[index, :, WORD : WORD + case.inputs.shape[1]] = case.inputs
    layers = max(len(case.graph.nodes) for case in cases)
    request, reply = payload_bytes(input_bytes, max(sizes), layers, board.batch_bytes)
    options = BuildOptions(payload_bytes=request, reply_bytes=reply, model_cflags=model_cflags)
    sources = _join_sources(cases, input_bytes, max(sizes), shift) | dict(extra)
    image = build(sources, board, folder, options)
    with closing(open_link(image, default_target(board))) as link:
        replies = link.infer(requests.reshape(-1, input_bytes))
    replies = replies.reshape(len(cases), samples, max(sizes))
    return [got[:, :size] for got, size in zip(replies, sizes, strict=True)]


def _join_sources(
    cases: Sequence[Case], input_bytes: int, output_bytes: int, shift: int
) -> dict[PurePath, str]:
    """Sources of all graphs, and one instance that chooses among them."""
    files = {path: text for case in cases for path, text in case.tree.files.items()}
    files[PurePath("tq_model_instance.c")] = _INSTANCE.format(
        includes="\n".join(f'#include "{case.graph.name}.h"' for case in cases),
        cases="\n".join(
            f"    case {index}:\n        {_write_call(case.graph)}\n        break;"
            for index, case in enumerate(cases)
        ),
        shift=shift,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        layers=max(len(case.graph.nodes) for case in cases),
    )
    return files


def _write_call(graph: Graph) -> str:
    """A call whose inputs, and whose outputs, stand one behind the other in whole words."""
    arguments = []
    for names, source in (
        (graph.inputs, "(const void *)(data"),
        (graph.outputs, "(void *)(answer"),
    ):
        at = 0
        for name in names:
            arguments.append(f"{source} + {at})")
            at += -(-graph.tensors[name].type.packed_bytes // WORD) * WORD
    return f"{graph.name}_run({', '.join(arguments)});"
