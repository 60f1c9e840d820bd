"""Kernels do not get slower unnoticed: exact counts of layers against benchmarks/baseline.json.

A count may rise by 2 %. A rise that is worth it is a new number in that file and a line in
CHANGELOG.md; so is a fall, or the next rise would hide in it.
"""

from __future__ import annotations

import pytest

from tests.bench_layers import Layer, measure_layers
from tests.cores import CORES
from tinyq.support.documents import read_document
from tinyq.support.resources import ROOT

BASELINE = read_document(ROOT / "benchmarks/baseline.json", "baseline", "take the committed one")
_FEW = (
    Layer("Conv2D", (8, 8, 64), 64),
    Layer("Conv2D", (16, 16, 32), 64, (1, 1), 2),
    Layer("Conv2D", (6, 6, 128), 128, (1, 1)),
    Layer("DepthwiseConv2D", (25, 5, 64)),
    Layer("Dense", (128,), 128),
    Layer("Add", (16, 16, 32)),
)
LAYERS = {
    ("armv7em", "s8", "s8"): (
        Layer("Conv2D", (8, 8, 64), 64),
        Layer("Conv2D", (16, 16, 32), 64, (1, 1), 2),
        Layer("Conv2D", (49, 10, 1), 64, (10, 4), 2),
        Layer("Conv2D", (6, 6, 128), 128, (1, 1)),
        Layer("DepthwiseConv2D", (25, 5, 64)),
        Layer("Dense", (128,), 128),
        Layer("Add", (32, 32, 16)),
    ),
    ("armv7em", "s8", "t2"): (
        Layer("Conv2D", (6, 6, 128), 128, (1, 1)),
        Layer("Dense", (128,), 128),
    ),
    ("armv7em", "b1", "b1"): (
        Layer("Conv2D", (8, 8, 64), 64),
        Layer("Conv2D", (8, 8, 32), 32),
        Layer("Dense", (1024,), 128),
    ),
    ("armv7m", "s8", "s8"): _FEW,
    ("armv6m", "s8", "s8"): _FEW,
}
# With the kernels whose constants are smallest.
PACKED = {
    ("armv7em", "s8", "s4"): (
        Layer("Conv2D", (8, 8, 64), 64),
        Layer("Conv2D", (16, 16, 32), 64, stride=2),
        Layer("Conv2D", (6, 6, 128), 128, (1, 1)),
        Layer("Dense", (128,), 128),
    ),
}
CASES = [(case, False) for case in LAYERS] + [(case, True) for case in PACKED]
MOST_RISE = 0.02


@pytest.mark.parametrize(("case", "packed"), CASES)
def test_counts_stay(case, packed, tmp_path):
    core, *formats = case
    layers = (PACKED if packed else LAYERS)[case]
    rows = measure_layers(
        layers,
        tuple(formats),
        (core, "generic"),
        tmp_path / "out",
        board=CORES[core],
        smallest=packed,
    )
    assert all(row.exact for row in rows)
    found = {name_row(row.layer, case, packed): row.instructions for row in rows}
    bounds = {name: BASELINE[name] for name in found}
    changed = {
        name: f"{count:,} instructions, the baseline has {bounds[name]:,}"
        for name, count in found.items()
        if abs(count - bounds[name]) > MOST_RISE * bounds[name]
    }
    assert not changed, changed


def test_the_baseline_has_no_other_layers():
    named = {
        name_row(layer.title, case, packed)
        for case, packed in CASES
        for layer in (PACKED if packed else LAYERS)[case]
    }
    assert set(BASELINE) == named


def name_row(layer: str, case: tuple[str, ...], packed: bool) -> str:
    core, *formats = case
    words = [layer, "_".join(formats), *(["packed"] if packed else [])]
    return " ".join(words if core == "armv7em" else [*words, core])
