"""What unpacks activations for int8 kernels, and packs their outputs: the codes of the format."""

from __future__ import annotations

import itertools
import subprocess

import numpy as np
import pytest

from tests.harness import SANITIZE, STRICT, compile_c
from tinyq.graph import TensorType
from tinyq.kernels.text import UNPACKED, make_once, write_part
from tinyq.kernels.unpacking import PACKINGS, UNPACKINGS, find_packing, find_unpacking
from tinyq.numerics.formats import find_format

LENGTHS = (1, 2, 3, 4, 6, 7, 8, 12, 27, 28, 31, 32, 33, 36, 64, 65, 100)
SHAPES = list(itertools.product((1, 2, 5), LENGTHS))

# Blocks of memory have the sizes of the operands, so that a sanitizer sees what lies outside.
_MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

{functions}

static void run(int32_t index, const void *x, void *to)
{{
    switch (index) {{
{cases}
    default:
        break;
    }}
}}

int main(void)
{{
    int32_t head[3];
    while (fread(head, sizeof head, 1, stdin) == 1) {{
        void *x = malloc((size_t)head[1]);
        void *to = malloc(((size_t)head[2] + 7) / 8 * 8);
        if (fread(x, 1, (size_t)head[1], stdin) != (size_t)head[1]) {{
            return 4;
        }}
        run(head[0], x, to);
        fwrite(to, 1, (size_t)head[2], stdout);
        free(x);
        free(to);
    }}
    return 0;
}}
"""


def test_all_codes_of_the_formats_are_wide_codes():
    wide = find_format(UNPACKED)
    assert UNPACKINGS
    for name in UNPACKINGS:
        entry = find_format(name)
        assert entry.bits < wide.bits
        assert wide.lo <= entry.lo
        assert entry.hi <= wide.hi
        assert not (entry.table or entry.levels)


@pytest.mark.parametrize(
    "compiler", [pytest.param(name, marks=pytest.mark.requires(name)) for name in ("gcc", "clang")]
)
@pytest.mark.parametrize("packs", [False, True])
def test_codes_are_those_of_the_format(compiler, packs, rng, tmp_path):
    once = make_once()
    functions, cases, request, answers = [], [], b"", []
    for name, (rows, length) in itertools.product(PACKINGS if packs else UNPACKINGS, SHAPES):
        entry = find_format(name)
        found = (find_packing if packs else find_unpacking)(TensorType((rows, length), entry))
        part = found.packing if packs else found.part
        if once(part.name):
            functions.append(write_part(part, part.name))
        arguments = ", ".join(("x", *map(str, found.counts), "to"))
        call = f"{part.name}({arguments})"
        cases.append(f"    case {len(cases)}:\n        {call};\n        break;")
        steps = rng.integers(0, (entry.hi - entry.lo) // entry.step + 1, (rows, length))
        codes = (entry.lo + entry.step * steps).astype(np.int32)
        apart = codes.astype(np.int8).tobytes()
        given, wanted = entry.pack(codes).tobytes(), apart
        if packs:
            # The last word is read whole.
            given, wanted = apart + bytes(-len(apart) % 4), given
        request += np.array([len(answers), len(given), len(wanted)], "<i4").tobytes() + given
        answers.append(np.frombuffer(wanted, np.int8))
    text = _MAIN.format(functions="\n".join(functions), cases="\n".join(cases))
    (tmp_path / "main.c").write_text(text, "utf-8")
    compile_c(tmp_path, ["main.c"], compiler, (*STRICT, *SANITIZE))
    done = subprocess.run([str(tmp_path / "program")], input=request, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int8), np.concatenate(answers))
