"""The bench of tests/bitexact on an emulated device: kernels in one image, a case in each request.

Where ``int`` has 16 bits or words must be aligned, kernels meet what no host shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path, PurePath

import numpy as np

from tests.bitexact.bench import Case, write_program
from tinyq.codegen.emit import list_runtime
from tinyq.firmware.build import BuildOptions, build
from tinyq.hardware.boards import Board
from tinyq.targets import default_target, open_link
from tinyq.targets.wire import payload_bytes

WORD = 4

_MODEL = """
#include "tq_model.h"

{includes}

static void *memcpy(void *to, const void *from, unsigned count);

static void *memcpy(void *to, const void *from, unsigned count)
{{
    for (unsigned i = 0; i < count; i++) {{
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }}
    return to;
}}

{structs}

{functions}

typedef void (*wrapper)(void *const *x, const int32_t *geometry, int32_t *const *tables,
                        const int32_t *finishing, void *y);

{wrappers}

static wrapper find_wrapper(int32_t index)
{{
    const wrapper wrappers[] = {{{names}}};
    return wrappers[index];
}}

/* Where the block behind a size begins; at moves behind it. */
static void *take_block(uint8_t **at)
{{
    const int32_t bytes = *(const int32_t *)*at;
    uint8_t *const block = *at + 4;
    *at = block + (bytes + 3) / 4 * 4;
    return block;
}}

/* The case of Case.encode. The request's buffer may be written: a lost one is sent anew. */
static void run(const void *input, void *output)
{{
    uint8_t *at = (uint8_t *)(uintptr_t)input;
    const int32_t *const head = (const int32_t *)at;
    void *operands[4];
    int32_t *tables[5];
    at += 7 * 4;
    for (int32_t i = 0; i < head[1]; i++) {{
        operands[i] = take_block(&at);
    }}
    for (int32_t i = 0; i < head[2]; i++) {{
        tables[i] = take_block(&at);
    }}
    const int32_t *const geometry = (const int32_t *)at;
    void *const y = head[6] < 0 ? output : operands[head[6]];
    find_wrapper(head[0])(operands, geometry, tables, geometry + head[3], y);
    if (head[6] >= 0) {{
        memcpy(output, y, (unsigned)head[5]);
    }}
}}

const tq_model tq_model_instance = {{"bench", {{0}}, {input_bytes}, {output_bytes}, 0, 1, run,
    0, 0, 0, 0, 0}};
"""


def run_on_device(cases: Sequence[Case], board: Board, folder: Path) -> list[np.ndarray]:
    """Packed outputs of all cases, computed by the emulated board.

    Args:
        cases: Whose kernels fit into one image.
        board: With an emulator.
        folder: Missing; the image is built there.
    """
    samples = {case.function: case for case in cases}
    order = sorted(samples)
    encoded = [case.encode(order.index(case.function), WORD) for case in cases]
    input_bytes = max(map(len, encoded))
    output_bytes = max(case.output.packed_bytes for case in cases)
    sizes = {"{input_bytes}": str(input_bytes), "{output_bytes}": str(output_bytes)}
    skeleton = _MODEL
    for place, size in sizes.items():
        skeleton = skeleton.replace(place, size)
    text = write_program([samples[name] for name in order], skeleton)
    files = {PurePath(path.name): path.read_text("utf-8") for path in list_runtime()}
    files[PurePath("tq_model_instance.c")] = text
    request, reply = payload_bytes(input_bytes, output_bytes, 1, 8)
    options = BuildOptions(payload_bytes=request, reply_bytes=reply)
    image = build(files, board, folder, options)
    requests = np.zeros((len(cases), input_bytes), np.uint8)
    for row, data in zip(requests, encoded, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    with closing(open_link(image, default_target(board))) as link:
        replies = link.infer(requests)
    return [got[: case.output.packed_bytes] for case, got in zip(cases, replies, strict=True)]
