"""Instruction estimates of the generic kernels, fitted to counts on the emulated Cortex-M4.

    python benchmarks/generic.py

Writes templates/kernels/generic.json, by which `tinyq build` compares generic kernels with special
ones where it does not count (`--tune`). Estimates are instructions per multiply-accumulate, per
line of a window and per value of the output: least squares without negative terms.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.bench_layers import BOARD, Layer, make_graph, measure_layers  # noqa: E402
from tinyq.kernels.estimates import TABLE, Work  # noqa: E402
from tinyq.kernels.layer import measure_work  # noqa: E402

WINDOWS = (
    Layer("Conv2D", (8, 8, 8), 8),
    Layer("Conv2D", (8, 8, 32), 16),
    Layer("Conv2D", (12, 12, 8), 8, (1, 1)),
    Layer("Conv2D", (6, 6, 64), 16, (1, 1)),
    Layer("Conv2D", (12, 12, 8), 8, (5, 5), 2),
)
DEPTHWISE = (
    Layer("DepthwiseConv2D", (12, 12, 8)),
    Layer("DepthwiseConv2D", (6, 6, 64)),
    Layer("DepthwiseConv2D", (12, 12, 8), 0, (5, 5), 2),
)
DENSE = (Layer("Dense", (32,), 16), Layer("Dense", (256,), 16), Layer("Dense", (64,), 64))
ADDITIONS = (Layer("Add", (8, 8, 8)), Layer("Add", (16, 16, 16)))
CASES = {
    ("s8", "s8"): (WINDOWS, DEPTHWISE, DENSE, ADDITIONS),
    ("s8", "s4"): (WINDOWS, DEPTHWISE, DENSE),
    ("s8", "t2"): (WINDOWS, DEPTHWISE, DENSE),
    ("s8", "b1"): (WINDOWS, DEPTHWISE, DENSE),
    ("u4", "s8"): (WINDOWS, DEPTHWISE, DENSE),
    ("u4", "s4"): (WINDOWS, DEPTHWISE, DENSE),
    ("u4", "t2"): (WINDOWS, DEPTHWISE, DENSE),
    ("b1", "b1"): (WINDOWS, DEPTHWISE, DENSE),
    ("u2", "s8"): (WINDOWS, DEPTHWISE, DENSE),
    ("u2", "s4"): (WINDOWS, DEPTHWISE, DENSE),
    ("u2", "t2"): (WINDOWS, DEPTHWISE, DENSE),
    ("u2", "b1"): (WINDOWS, DEPTHWISE, DENSE),
    ("u2", "s2"): (WINDOWS, DEPTHWISE, DENSE),
    ("u2", "s3"): (WINDOWS, DEPTHWISE, DENSE),
}
ISAS = ("generic",)


def fit(layers: tuple[Layer, ...], formats: tuple[str, str], folder: Path) -> tuple[str, dict]:
    """Name of the kernel that these layers share, and its coefficients."""
    rows = measure_layers(layers, formats, ISAS, folder)
    graphs = [make_graph(layer, "layer", *formats) for layer in layers]
    works = [measure_work(graph, graph.nodes[0]) for graph in graphs]
    matrix = np.array([_terms(work) for work in works], float)
    counts = np.array([row.instructions for row in rows], float)
    # Relative errors count, so that small layers matter as much as large ones.
    found, _ = nnls(matrix / counts[:, None], np.ones(len(counts)))
    error = float(np.abs(matrix @ found / counts - 1).max())
    keys = ("mac", "line", "element")
    entry = {key: round(float(value), 2) for key, value in zip(keys, found, strict=True)}
    return rows[0].kernel, {**entry, "largest_error": round(error, 3), "layers": len(rows)}


def _terms(work: Work) -> tuple[int, int, int]:
    return work.macs, work.lines, work.elements


def main() -> None:
    """Count, fit and write the table."""
    kernels = {}
    with tempfile.TemporaryDirectory() as folder:
        for formats, groups in CASES.items():
            for index, layers in enumerate(groups):
                name, entry = fit(layers, formats, Path(folder) / f"{'_'.join(formats)}-{index}")
                kernels[name] = entry
                print(name, entry, flush=True)
    content = {"command": "python benchmarks/generic.py", "machine": BOARD, "kernels": kernels}
    TABLE.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
