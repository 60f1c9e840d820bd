"""A sample of the sweep over layer shapes: exact, not by portable C, and as dear as estimated."""

from __future__ import annotations

import pytest

from benchmarks import shapes
from benchmarks.shapes import Row, draw_shapes, read_peer, summarize, sweep, write_report
from tests.shaped_layers import HALF_UP, TFLITE, Shape, list_grid, make_graph, read_shape

SAMPLE = 20
# What the Cortex-M4 has kernels for, whatever the sizes; a pixel of a pool must fill a word.
GENERAL = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "PAD")
ROW = {
    "op": "DEPTHWISE_CONV_2D",
    "x": "28x28x72",
    "kernel": "5x5",
    "stride": "2x2",
    "dilation": "1x1",
    "padding": "same",
    "y": "14x14x72",
    "files": "3",
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[Row]:
    patched = pytest.MonkeyPatch()
    patched.setattr(shapes, "cache_folder", lambda: tmp_path_factory.mktemp("counts"))
    try:
        return sweep(draw_shapes([], SAMPLE, HALF_UP), "armv7em", {})
    finally:
        patched.undo()


def test_layers_of_all_shapes_are_exact(rows):
    assert len(rows) == SAMPLE
    assert not [row.shape.signature for row in rows if not row.count.exact]


def test_no_layer_of_a_general_kernel_is_generic(rows):
    generic = [row for row in rows if row.count.generic and row.count.instructions > shapes.SMALL]
    names = [row.shape.signature for row in generic if row.shape.operation in GENERAL]
    assert not [name for name in names if " b1 " not in name]


def test_estimates_of_large_layers_are_near_their_counts(rows):
    far = [
        f"{row.shape.signature}: {row.count.estimate} of {row.count.instructions}"
        for row in rows
        if row.count.instructions > shapes.SMALL
        and not row.count.generic
        and not 0.5 < (row.count.estimate or 0) / row.count.instructions < 2
    ]
    assert not far


def test_a_row_of_a_table_is_the_layer_that_it_says():
    shape = read_shape(ROW)
    assert shape == Shape(
        "DEPTHWISE_CONV_2D", (28, 28, 72), (5, 5), 72, (2, 2), (1, 1), "same", files=3
    )
    graph = make_graph(shape)
    assert graph.output.type.shape == (14, 14, 72)
    assert read_shape({**ROW, "op": "RESHAPE"}) is None


def test_points_of_the_grid_are_different_layers():
    signatures = [shape.signature for shape in list_grid()]
    assert len(set(signatures)) > 300
    assert {shape.rounding for shape in list_grid()} == {HALF_UP, TFLITE}


def test_the_report_names_layers_above_the_other_library(tmp_path, rows):
    first = next(row for row in rows if (row.shape.activations, row.shape.weights) == ("s8", "s8"))
    table = tmp_path / "peer.tsv"
    columns = {**ROW, "cmsis_nn_m4": "1000"}
    table.write_text("\n".join("\t".join(it) for it in (columns, columns.values())), "utf-8")
    peer = read_peer(table, "armv7em")
    assert list(peer.values()) == [1000]
    slow = Row(first.shape, first.count, max(first.count.instructions // 2, 1))
    found = summarize([slow])
    assert found["above"] == 1
    assert found["worst"] == pytest.approx(slow.ratio)
    assert f"{slow.count.instructions:,}" in write_report([slow], "armv7em", "a command")
