"""The C runtime headers against their Python twins."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from tests.harness import SANITIZE, STRICT, compile_c
from tinyq.graph.ops.window import Window
from tinyq.numerics import rounding
from tinyq.numerics.formats import find_format
from tinyq.support.resources import TEMPLATES

pytestmark = pytest.mark.requires("gcc")

PUT_FORMATS = ("b1", "s2", "s3", "u2", "s4", "u4", "s8", "u8", "s32")

_PROGRAM = """
#include <stdio.h>
#include <string.h>

#include "tq_arith.h"
#include "tq_dot.h"
#include "tq_formats.h"
#include "tq_window.h"

int main(void)
{{
    int32_t v[{columns}];
    while (fread(v, 1, sizeof v, stdin) == sizeof v) {{
        int64_t result[{results}];
        {body}
        fwrite(result, 1, sizeof result, stdout);
    }}
    return 0;
}}
"""


@pytest.fixture
def evaluate(tmp_path):
    """Compile a C statement that fills ``result`` from the int32 row ``v``; run it on rows."""

    def run(body: str, rows: np.ndarray, results: int = 1) -> np.ndarray:
        rows = np.ascontiguousarray(rows, "<i4")
        for path in (TEMPLATES / "runtime").glob("*.h"):
            shutil.copy(path, tmp_path)
        text = _PROGRAM.format(columns=rows.shape[1], body=body, results=results)
        (tmp_path / "main.c").write_text(text, "utf-8")
        compile_c(tmp_path, ["main.c"], "gcc", (*STRICT, *SANITIZE))
        done = subprocess.run(
            [str(tmp_path / "program")], input=rows.tobytes(), capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        return np.frombuffer(done.stdout, "<i8").reshape(len(rows), results)

    return run


def test_requantize(evaluate, rng):
    count = 200_000
    acc = rng.integers(-(2**30), 2**30, count)
    acc[:50_000] >>= rng.integers(0, 30, 50_000)
    bias = rng.integers(-(2**30), 2**30, count)
    multiplier = rng.integers(-(2**31), 2**31, count)
    shift = rng.integers(1, 63, count)
    edges = np.array(
        [
            (a, b, m, s)
            for a in (-(2**30), -1, 0, 1, 2**30 - 1)
            for b in (-(2**30), 0, 2**30)
            for m in (-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1)
            for s in (1, 2, 31, 32, 33, 61, 62)
        ]
    )
    rows = np.concatenate([edges, np.stack([acc, bias, multiplier, shift], -1)])
    got = evaluate("result[0] = tq_requantize(v[0], v[1], v[2], v[3]);", rows)[:, 0]
    assert np.array_equal(got, rounding.requantize(*rows.astype(np.int64).T))


def test_threshold(evaluate):
    values = [-(2**31), -(2**31) + 1, -7, -1, 0, 1, 6, 2**31 - 2, 2**31 - 1]
    rows = np.array([(a, t, f) for a in values for t in values for f in (0, 1)])
    got = evaluate("result[0] = tq_threshold(v[0], v[1], v[2]);", rows)[:, 0]
    assert np.array_equal(got, rounding.compare(*rows.astype(np.int64).T))


def test_divide_half_up(evaluate):
    rows = np.array([(t, c) for t in range(-1500, 1501) for c in range(1, 40)])
    rows = np.concatenate([rows, [(2**29 - 1, 1), (1 - 2**29, 1), (2**29 - 1, 2**29)]])
    got = evaluate("result[0] = tq_divide_half_up(v[0], v[1]);", rows)[:, 0]
    assert np.array_equal(got, rounding.divide_half_up(*rows.astype(np.int64).T))


def test_clip(evaluate):
    rows = np.array([(v, -5, 9) for v in (-(2**31), -6, -5, -4, 0, 8, 9, 10, 2**31 - 1)])
    got = evaluate("result[0] = tq_clip((int64_t)v[0] * 1000000007, v[1], v[2]);", rows)[:, 0]
    assert np.array_equal(got, np.clip(rows[:, 0] * 1000000007, -5, 9))


def test_popcount(evaluate, rng):
    rows = np.concatenate([rng.integers(-(2**31), 2**31, 50_000), [0, -1, 1, -(2**31)]])
    got = evaluate("result[0] = tq_popcount32((uint32_t)v[0]);", rows[:, None])[:, 0]
    assert np.array_equal(got, np.bitwise_count(rows.astype(np.uint32)))


def test_spread(evaluate):
    values = np.arange(1 << 16)
    wanted = sum(((values >> bit) & 1) << (2 * bit) for bit in range(16))
    got = evaluate("result[0] = tq_spread16((uint32_t)v[0]);", values[:, None])[:, 0]
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("name", ["t2", *PUT_FORMATS])
def test_get(evaluate, rng, name):
    number_format = find_format(name)
    length = 70
    codes = rng.integers(number_format.lo, number_format.hi + 1, (50, length))
    if number_format.step == 2:
        codes = codes | 1
    packed = number_format.pack(codes)
    padded = np.pad(packed, [(0, 0), (0, -packed.shape[1] % 4)])
    body = (
        f"{number_format.c_type} row[{padded.shape[1] // number_format.word_bytes}];"
        "memcpy(row, v, sizeof row);"
        f"for (int32_t k = 0; k < {length}; k++) {{ result[k] = tq_get_{name}(row, k); }}"
    )
    assert np.array_equal(evaluate(body, padded.view("<i4"), length), codes)


@pytest.mark.parametrize("name", PUT_FORMATS)
def test_put_writes_whole_rows(evaluate, rng, name):
    number_format = find_format(name)
    lengths = np.arange(1, 71)
    codes = rng.integers(number_format.lo, number_format.hi + 1, (len(lengths), 70))
    if number_format.step == 2:
        codes = codes | 1
    size = -(-number_format.row_bytes(70) // 8) * 8
    body = (
        f"{number_format.c_type} row[{size // number_format.word_bytes}];"
        "memset(row, 0xa5, sizeof row);"
        "uint32_t word = 0;"
        "for (int32_t k = 0; k < v[0]; k++) {"
        f"    word = tq_put_{name}(row, k, v[0], word, v[k + 1]);"
        "}"
        f"if (word != 0 || tq_words_{name}(v[0]) * (int32_t)sizeof *row > (int32_t)sizeof row) {{"
        "    return 5;"
        "}"
        "memcpy(result, row, sizeof row);"
    )
    rows = np.concatenate([lengths[:, None], codes], -1)
    got = evaluate(body, rows, size // 8).view(np.uint8).reshape(len(lengths), size)
    for length, line, values in zip(lengths, got, codes, strict=True):
        wanted = np.full(size, 0xA5, np.uint8)
        wanted[: number_format.row_bytes(length)] = number_format.pack(values[:length])
        assert np.array_equal(line, wanted), f"{name}, {length} codes"


def test_taps_inside(evaluate):
    rows = np.array(
        [
            (origin, size, dilation, length)
            for origin in range(-7, 9)
            for size in range(1, 5)
            for dilation in range(1, 4)
            for length in range(1, 8)
        ]
    )
    got = evaluate(
        "const tq_taps taps = tq_taps_inside(v[0], v[1], v[2], v[3]);"
        "result[0] = taps.first; result[1] = taps.end;",
        rows,
        2,
    )
    for (origin, size, dilation, length), (first, end) in zip(rows, got, strict=True):
        inside = [i for i in range(size) if 0 <= origin + i * dilation < length]
        assert list(range(first, end)) == inside


def test_taps_are_those_of_the_patches():
    window = Window((3, 2), (2, 1), (2, 3), (1, 2, 2, 0))
    image = np.ones((1, 6, 5, 1))
    patches = window.patches(image, 0)[0, ..., 0]
    for r, c in np.ndindex(patches.shape[:2]):
        for i, j in np.ndindex(patches.shape[2:]):
            inside = 0 <= r * 2 - 1 + i * 2 < 6 and 0 <= c - 2 + j * 3 < 5
            assert patches[r, c, i, j] == inside


def _read_products(name: str) -> str:
    """Dot products of a format in bit planes, without what sums its planes."""
    text = (TEMPLATES / "runtime" / f"tq_dot_{name}.h").read_text("utf-8")
    return text[text.index("/* Signs:") :]


@pytest.mark.parametrize(("name", "planes"), [("u2", 2), ("s3", 3)])
def test_formats_in_bit_planes_have_one_text(name, planes):
    """A change of one header is made in all: they differ in names and in the number of planes."""
    text = _read_products("s2")
    for function in ("tq_sum_s2(x", "tq_sum_row_s2(x", "tq_get_s2(x", "tq_dot_s2_"):
        text = text.replace(function, function.replace("s2", name))
    text = text.replace("x += 2;", f"x += {planes};").replace("x + 2 * i", f"x + {planes} * i")
    assert text == _read_products(name), "make the change in tq_dot_s2.h, tq_dot_u2.h, tq_dot_s3.h"
