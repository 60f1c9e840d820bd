"""Instructions of tinyq's kernels on published layers, on an emulated Cortex-M.

    python benchmarks/kernels.py [--core armv7em] [--output benchmarks/results]

Writes kernels.json and kernels.md for the Cortex-M4, kernels-CORE.json and .md for another core.
Instructions are exact; emulation has no wait states. Each layer is measured with the fastest
kernel, with the one whose constants take least flash, and with the portable one.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.bench_layers import Layer, Row, measure_layers  # noqa: E402
from tests.cores import CORES, NAMES  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402

FIRST = "armv7em"
CONVOLUTIONS = (
    Layer("Conv2D", (32, 32, 3), 16),
    Layer("Conv2D", (32, 32, 16), 16),
    Layer("Conv2D", (16, 16, 32), 32),
    Layer("Conv2D", (8, 8, 64), 64),
    Layer("Conv2D", (32, 32, 16), 32, stride=2),
    Layer("Conv2D", (16, 16, 32), 64, stride=2),
    Layer("Conv2D", (32, 32, 16), 32, (1, 1), 2),
    Layer("Conv2D", (16, 16, 32), 64, (1, 1), 2),
    Layer("Conv2D", (96, 96, 3), 8, stride=2),
    Layer("Conv2D", (49, 10, 1), 64, (10, 4), 2),
    Layer("Conv2D", (48, 48, 8), 16, (1, 1)),
    Layer("Conv2D", (24, 24, 32), 32, (1, 1)),
    Layer("Conv2D", (12, 12, 64), 64, (1, 1)),
    Layer("Conv2D", (6, 6, 128), 128, (1, 1)),
    Layer("Conv2D", (3, 3, 256), 256, (1, 1)),
    Layer("DepthwiseConv2D", (48, 48, 8)),
    Layer("DepthwiseConv2D", (24, 24, 32)),
    Layer("DepthwiseConv2D", (25, 5, 64)),
    Layer("DepthwiseConv2D", (6, 6, 128)),
    Layer("DepthwiseConv2D", (24, 24, 32), stride=2),
    Layer("Dense", (640,), 128),
    Layer("Dense", (128,), 128),
    Layer("Dense", (64,), 10),
)
ADDITIONS = (Layer("Add", (32, 32, 16)),)
BINARY = (
    Layer("Conv2D", (8, 8, 64), 64),
    Layer("Conv2D", (8, 8, 128), 128),
    Layer("Dense", (1024,), 128),
)
CASES = (
    (CONVOLUTIONS + ADDITIONS, ("s8", "s8")),
    (CONVOLUTIONS, ("s8", "s4")),
    (CONVOLUTIONS, ("s8", "t2")),
    (BINARY, ("b1", "b1")),
)
COMMAND = "python benchmarks/kernels.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--core", choices=sorted(CORES), default=FIRST)
    options = parser.parse_args()
    output, core = options.output, options.core
    fast = (core, "generic")
    choices = {core: (fast, False), "smallest": (fast, True), "generic": (("generic",), False)}
    results: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (isas, smallest) in choices.items():
            results[name] = []
            for index, (layers, formats) in enumerate(CASES):
                place = Path(folder) / f"{name}-{index}"
                rows = measure_layers(
                    layers, formats, isas, place, board=CORES[core], smallest=smallest
                )
                results[name] += rows
                for row in rows:
                    print(f"{name:8} {_write_row(row)}", flush=True)
    wrong = [row.layer for rows in results.values() for row in rows if not row.exact]
    if wrong:
        sys.exit(f"error: not equal to the reference: {', '.join(wrong)}")
    output.mkdir(parents=True, exist_ok=True)
    name = "kernels" if core == FIRST else f"kernels-{core}"
    command = COMMAND if core == FIRST else f"{COMMAND} --core {core}"
    _write_json(results, core, command, output / f"{name}.json")
    (output / f"{name}.md").write_text(_write_report(results, core, command), "utf-8")


def _write_row(row: Row) -> str:
    return (
        f"{row.layer:38} {row.weights:3} {row.kernel:34} {row.instructions:11,} "
        f"{row.per_work:7.3f} {row.code_bytes:6,} {row.table_bytes:8,} {row.scratch_bytes:7,}"
    )


def _write_json(results: dict[str, list[Row]], core: str, command: str, path: Path) -> None:
    content = {
        "command": command,
        "machine": CORES[core].name,
        "rows": {name: [dataclasses.asdict(row) for row in rows] for name, rows in results.items()},
    }
    write_document(path, "benchmark", content, 1)


def _write_report(results: dict[str, list[Row]], core: str, command: str) -> str:
    lines = [
        f"# Kernels, instructions on an emulated {NAMES[core]}",
        "",
        f"`{command}`, QEMU machine {CORES[core].name}, arm-none-eabi-gcc -O2. Instructions are",
        "exact. Per MAC, padding counted as in publications; per element for sums.",
        "All outputs equal the reference bit for bit. Code is the whole program of one layer.",
        "A second line is the kernel whose constants take least flash, where it is another one.",
        "",
        "| layer | weights | kernel | instructions | per MAC | generic per MAC | code B "
        "| constants B | scratch B |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for fast, small, slow in zip(*results.values(), strict=True):
        lines.append(_write_cells(fast, fast.layer, fast.weights, f"{slow.per_work:.2f}"))
        if small.kernel != fast.kernel:
            lines.append(_write_cells(small, "", "", ""))
    return "\n".join(lines) + "\n"


def _write_cells(row: Row, layer: str, weights: str, slow: str) -> str:
    return (
        f"| {layer} | {weights} | {row.kernel} | {row.instructions:,} | {row.per_work:.3f} "
        f"| {slow} | {row.code_bytes:,} | {row.table_bytes:,} | {row.scratch_bytes:,} |"
    )


if __name__ == "__main__":
    main()
