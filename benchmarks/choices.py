"""The MLPerf Tiny networks by each objective of `tinyq build --optimize`.

    python benchmarks/choices.py --data DIR

Writes benchmarks/results/choices.json and choices.md. Instructions are counted on the emulated
core, sizes are those of the image for the board. Without the data there is nothing to measure.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.mlperf_tiny import (  # noqa: E402
    BOARD,
    EMULATED,
    NETWORKS,
    RESULTS,
    ask_data,
    load_inputs,
    render_table,
)
from tinyq.firmware.sections import function_sizes  # noqa: E402
from tinyq.graph import Graph  # noqa: E402
from tinyq.hardware.boards import find_board  # noqa: E402
from tinyq.importers.tflite import import_tflite  # noqa: E402
from tinyq.measurement.run import measure  # noqa: E402
from tinyq.project import Project, Selection, create_project  # noqa: E402
from tinyq.selection import EXPLANATIONS, OBJECTIVES  # noqa: E402
from tinyq.support.datasets import Dataset  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402

SAMPLES = 2
COMMAND = "python benchmarks/choices.py --data ../shared/data/mlperf_tiny"


@dataclass(frozen=True, slots=True)
class Row:
    """One network by one objective.

    Attributes:
        network: Its name.
        optimize: The objective.
        instructions: Of one inference on the emulated core, mean.
        mismatches: Output codes that differ from the reference's.
        flash_bytes: Image for the board.
        ram_bytes: Variables and stack reserve of that image.
        arena_bytes: Part of them.
        code_bytes: Kernels and generated calls.
        table_bytes: Constants as they lie in flash.
        weight_bytes: Constants of the graph.
    """

    network: str
    optimize: str
    instructions: float
    mismatches: int
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    code_bytes: int
    table_bytes: int
    weight_bytes: int


def measure_choice(
    network: str, graph: Graph, codes: np.ndarray, optimize: str, folder: Path
) -> Row:
    """Build for the board and for the emulated one, and run."""
    meaning, selection = graph.input.type, Selection(optimize=optimize)
    real = (codes[:SAMPLES] - meaning.zero_point) * float(meaning.scale or 1.0)
    emulated = create_project(graph, find_board(EMULATED), folder / "run", kernels=selection)
    measured = measure(emulated, "qemu", Dataset(real, None))
    project = create_project(graph, find_board(BOARD), folder / "board", kernels=selection)
    assert measured.instructions is not None
    return Row(
        network=network,
        optimize=optimize,
        instructions=measured.instructions,
        mismatches=measured.mismatches,
        flash_bytes=project.image.flash_bytes,
        ram_bytes=project.image.ram_bytes,
        arena_bytes=project.plan.arena_bytes,
        code_bytes=measure_code(project),
        table_bytes=sum(entry.table_bytes for entry in project.chosen.values()),
        weight_bytes=sum(project.graph.constant_bytes(node) for node in project.graph.nodes),
    )


def measure_code(project: Project) -> int:
    """Bytes of the kernels and of the calls."""
    sizes, name = function_sizes(project.image.elf), project.graph.name
    return sum(sizes.get(f"{name}.c", {}).values()) + sizes[""][f"{name}_run"]


def render_report(rows: list[Row]) -> str:
    """The page with the table."""
    columns = ("network", "optimize", "instructions", "flash", "RAM", "arena", "kernels' code")
    columns += ("tables", "constants of the graph", "mismatches")
    cells: list[tuple[object, ...]] = [
        (row.network, row.optimize, f"{row.instructions:,.0f}")
        + tuple(f"{value:,}" for value in (row.flash_bytes, row.ram_bytes, row.arena_bytes))
        + tuple(f"{value:,}" for value in (row.code_bytes, row.table_bytes, row.weight_bytes))
        + (row.mismatches,)
        for row in rows
    ]
    meanings = "\n".join(f"* `{name}`: {meaning}" for name, meaning in EXPLANATIONS.items())
    return "\n\n".join(
        (
            "# What kernels are chosen for",
            f"Made by `{COMMAND}`. Instructions are the mean of {SAMPLES} inputs, counted on "
            f"{EMULATED} in QEMU; bytes are those of the image for `{BOARD}`. Kernels are chosen "
            "by estimates, without `--tune`.",
            meanings,
            render_table(columns, cells),
            "",
        )
    )


def main() -> None:
    """Measure, print and write the table."""
    data = ask_data(__doc__)
    if data is None:
        return
    rows = []
    for network, (model, inputs) in NETWORKS.items():
        graph = import_tflite(data / f"models/{model}.tflite", "half_up")
        codes, _ = load_inputs(data / inputs, graph)
        for optimize in OBJECTIVES:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure_choice(network, graph, codes, optimize, Path(folder)))
            print(rows[-1], flush=True)
    content = {"command": COMMAND, "board": BOARD, "emulated": EMULATED}
    content |= {"rows": [asdict(row) for row in rows]}
    RESULTS.mkdir(exist_ok=True)
    write_document(RESULTS / "choices.json", "benchmark", content, 1)
    (RESULTS / "choices.md").write_text(render_report(rows), "utf-8")


if __name__ == "__main__":
    main()
