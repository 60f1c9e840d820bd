"""Layers whose activations are unpacked for int8 kernels, beside the generic kernels.

    python benchmarks/unpacked.py

Writes benchmarks/results/unpacked.json and unpacked.md. Instructions are counted on the emulated
Cortex-M4; flash is that of the whole image, RAM that of the arena.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.mlperf_tiny import RESULTS, render_table  # noqa: E402
from tests.bench_layers import BOARD, Layer, make_graph, measure_network  # noqa: E402
from tinyq.selection import choose_kernels, gather_candidates, prefer_isas  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402

CONV = Layer("Conv2D", (12, 12, 28), 24)
CASES = (
    (CONV, "u4", "s2"),
    (CONV, "u4", "s8"),
    (CONV, "u2", "s2"),
    (Layer("Dense", (256,), 64), "u4", "s4"),
    (Layer("DepthwiseConv2D", (12, 12, 24)), "u4", "s8"),
)
# How kernels are chosen, and the core whose kernels there are.
WAYS = (("generic", "generic"), ("balanced", "armv7em"), ("speed", "armv7em"))
COMMAND = "python benchmarks/unpacked.py"


@dataclass(frozen=True, slots=True)
class Row:
    """One layer with the kernel that one objective chose."""

    layer: str
    activations: str
    weights: str
    optimize: str
    kernel: str
    instructions: int
    flash_bytes: int
    arena_bytes: int
    exact: bool


def count(layer: Layer, formats: tuple[str, str], way: tuple[str, str], folder: Path) -> Row:
    """Choose a kernel for a layer and run it."""
    objective, isa = way
    graph, isas = make_graph(layer, "layer", *formats), prefer_isas(isa)
    goal = "speed" if objective == isa else objective
    choice = choose_kernels(graph, gather_candidates(graph, isas), goal)
    kernel = next(iter(choice.bounds.values())).kernel.name
    found = measure_network(graph, isas, {"layer": kernel}, folder, BOARD)
    sizes = found.flash_bytes, found.arena_bytes, found.exact
    return Row(layer.title, *formats, objective, kernel, found.instructions, *sizes)


def main() -> None:
    """Count and write the table."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for layer, *formats in CASES:
            for way in WAYS:
                place = Path(folder) / str(len(rows))
                rows.append(count(layer, (formats[0], formats[1]), way, place))
                print(rows[-1], flush=True)
    content = {"command": COMMAND, "machine": BOARD, "rows": [asdict(row) for row in rows]}
    write_document(RESULTS / "unpacked.json", "benchmark", content, 1)
    header = ("layer", "formats", "optimize", "kernel", "instructions", "flash", "arena", "exact")
    table = render_table(
        header,
        [
            (
                row.layer,
                f"{row.activations} {row.weights}",
                row.optimize,
                f"`{row.kernel}`",
                f"{row.instructions:,}",
                f"{row.flash_bytes:,}",
                f"{row.arena_bytes:,}",
                "yes" if row.exact else "NO",
            )
            for row in rows
        ],
    )
    text = f"# Activations unpacked for int8 kernels\n\n`{COMMAND}`, {BOARD} in QEMU.\n\n{table}\n"
    (RESULTS / "unpacked.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
