"""Kernels do not get slower unnoticed: exact counts of layers against benchmarks/baseline.json.

A count may rise by 2 %. A rise that is worth it is a new number in that file and a line in
CHANGELOG.md; so is a fall, or the next rise would hide in it.
"""

from __future__ import annotations

import json

import pytest

from tests.bench_layers import Layer, measure_layers
from tinyq.resources import ROOT

BASELINE = json.loads((ROOT / "benchmarks/baseline.json").read_text("utf-8"))
ISAS = ("armv7em", "generic")
LAYERS = {
    ("s8", "s8"): (
        Layer("Conv2D", (8, 8, 64), 64),
        Layer("Conv2D", (16, 16, 32), 64, (1, 1), 2),
        Layer("Conv2D", (49, 10, 1), 64, (10, 4), 2),
        Layer("Conv2D", (6, 6, 128), 128, (1, 1)),
        Layer("DepthwiseConv2D", (25, 5, 64)),
        Layer("Dense", (128,), 128),
        Layer("Add", (32, 32, 16)),
    ),
    ("s8", "t2"): (Layer("Conv2D", (6, 6, 128), 128, (1, 1)), Layer("Dense", (128,), 128)),
    ("b1", "b1"): (Layer("Conv2D", (8, 8, 64), 64), Layer("Dense", (1024,), 128)),
}
MOST_RISE = 0.02


@pytest.mark.parametrize("formats", LAYERS, ids="_".join)
def test_counts_stay(formats, tmp_path):
    rows = measure_layers(LAYERS[formats], formats, ISAS, tmp_path / "out")
    assert all(row.exact for row in rows)
    found = {f"{row.layer} {'_'.join(formats)}": row.instructions for row in rows}
    bounds = {name: BASELINE[name] for name in found}
    changed = {
        name: f"{count:,} instructions, the baseline has {bounds[name]:,}"
        for name, count in found.items()
        if abs(count - bounds[name]) > MOST_RISE * bounds[name]
    }
    assert not changed, changed


def test_the_baseline_has_no_other_layers():
    named = {f"{layer.title} {'_'.join(key)}" for key, layers in LAYERS.items() for layer in layers}
    assert set(BASELINE) == named
