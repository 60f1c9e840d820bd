"""What unpacks activations for int8 kernels: the codes of `Format.unpack`, no byte beside them."""

from __future__ import annotations

import itertools
import subprocess

import numpy as np
import pytest

from tests.harness import SANITIZE, STRICT, compile_c
from tinyq.graph import TensorType
from tinyq.kernels.text import UNPACKED, make_once, write_part
from tinyq.kernels.unpacking import UNPACKINGS, find_unpacking
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
def test_codes_are_those_of_the_format(compiler, rng, tmp_path):
    once = make_once()
    functions, cases, request, answers = [], [], b"", []
    for name, (rows, length) in itertools.product(UNPACKINGS, SHAPES):
        entry = find_format(name)
        unpacking = find_unpacking(TensorType((rows, length), entry))
        if once(unpacking.part.name):
            functions.append(write_part(unpacking.part, unpacking.part.name))
        arguments = ", ".join(("x", *map(str, unpacking.counts), "to"))
        call = f"{unpacking.part.name}({arguments})"
        cases.append(f"    case {len(cases)}:\n        {call};\n        break;")
        steps = rng.integers(0, (entry.hi - entry.lo) // entry.step + 1, (rows, length))
        codes = (entry.lo + entry.step * steps).astype(np.int32)
        packed = entry.pack(codes).tobytes()
        request += np.array([len(answers), len(packed), codes.size], "<i4").tobytes() + packed
        answers.append(codes.astype(np.int8).ravel())
    text = _MAIN.format(functions="\n".join(functions), cases="\n".join(cases))
    (tmp_path / "main.c").write_text(text, "utf-8")
    compile_c(tmp_path, ["main.c"], compiler, (*STRICT, *SANITIZE))
    done = subprocess.run([str(tmp_path / "program")], input=request, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int8), np.concatenate(answers))
