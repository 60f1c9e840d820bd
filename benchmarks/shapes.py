"""A sweep over layer shapes: instructions of what `tinyq build` chooses, layer by layer.

    python benchmarks/shapes.py --layers TABLE [--peer COUNTS] [--core armv7em] [--count 500]
    python benchmarks/shapes.py --layers TABLE --all [--rounding tflite]
    python benchmarks/shapes.py --sample 40

TABLE has layers of other people's networks with the columns op, x, kernel, stride, dilation,
padding, y and files, separated by tabs: three quarters of the sweep are drawn from it, weighted by
files; the rest is a grid. COUNTS is a table of the same columns and instructions of another library
in ``cmsis_nn_m4``, ``cmsis_nn_m3`` and ``cmsis_nn_m55``. With ``--all`` all layers of the table are
counted and none of the grid. What was counted is kept in the user's cache folder under the layer's
signature, its program and the core, so a run that is killed goes on where it stopped.

Writes shapes.json, shapes.md and shapes.svg (``shapes-CORE`` for another core than the Cortex-M4).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.comparison.heatmap import Cell, draw_heatmap  # noqa: E402
from tests.cores import CORES, NAMES  # noqa: E402
from tests.shaped_layers import HALF_UP, ROUNDINGS, Shape, list_grid, make_graph, read_shape  # noqa: E402
from tinyq.codegen import emit  # noqa: E402
from tinyq.errors import TinyqError  # noqa: E402
from tinyq.firmware.build import read_version  # noqa: E402
from tinyq.firmware.toolchains import find_compiler  # noqa: E402
from tinyq.graph import Graph  # noqa: E402
from tinyq.hardware.boards import Board  # noqa: E402
from tinyq.measurement.layer_programs import LayerProgram, run_programs  # noqa: E402
from tinyq.selection import (  # noqa: E402
    Bounds,
    choose_kernels,
    gather_candidates,
    plan_kernels,
    prefer_isas,
)
from tinyq.selection.budget import Budget  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402
from tinyq.targets.native import cache_folder  # noqa: E402

FIRST = "armv7em"
PEERS: Mapping[str, str] = {
    "armv7em": "cmsis_nn_m4",
    "armv7m": "cmsis_nn_m3",
    "mve": "cmsis_nn_m55",
}
GRID_PART = 0.25
SMALL = 2000  # instructions of the other library below which a layer is a call and little else
_IMAGE = 24  # layers of one firmware
_MOST_BYTES = 900_000  # of constants, input and output of an image
_MOST_VALUES = 200_000  # of one layer's input or output: the emulated boards have 4 MB
_SEED = 14
# The firmware's own part, as `tinyq build` counts it for a board of this size.
_BUDGET = Budget(1_000_000, 320_000, 12_000, 12_000)


@dataclass(frozen=True, slots=True)
class Count:
    """What a layer needs.

    Attributes:
        kernel: What was chosen.
        instructions: Executed, exact.
        cycles: Estimated by the core's timings; None without any.
        table_bytes: Constants in flash.
        arena_bytes: Activations and scratch memory.
        exact: Whether the device's answer equals the reference's.
        estimate: Instructions that the choice was made by.
    """

    kernel: str
    instructions: int
    cycles: int | None
    table_bytes: int
    arena_bytes: int
    exact: bool
    estimate: int | None

    @property
    def generic(self) -> bool:
        """Whether it is portable C."""
        return "_generic" in self.kernel


@dataclass(frozen=True, slots=True)
class Row:
    """A layer on a core, and what another library needs for it."""

    shape: Shape
    count: Count
    peer: int | None

    @property
    def ratio(self) -> float | None:
        """Instructions as a part of the other library's."""
        return self.count.instructions / self.peer if self.peer else None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A layer with its choice of kernel."""

    shape: Shape
    graph: Graph
    bounds: Bounds
    key: str


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a table whose columns are separated by tabs."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def draw_shapes(rows: Sequence[Mapping[str, str]], count: int, rounding: str) -> list[Shape]:
    """Layers of the table, weighted by files, and points of the grid: no two are the same."""
    rng = np.random.default_rng(_SEED)
    read = [shape for row in rows if (shape := read_shape(row))]
    known = [s for s in {it.signature: it for it in read}.values() if _is_counted(s)]
    grid = [s for s in {it.signature: it for it in list_grid()}.values() if _is_counted(s)]
    wanted = min(len(known), round(count * (1 - GRID_PART)) if known else 0)
    drawn: list[Shape] = []
    if wanted:
        weights = np.array([shape.files for shape in known], np.float64)
        places = rng.choice(len(known), wanted, replace=False, p=weights / weights.sum())
        drawn = [replace(known[place], rounding=rounding) for place in places]
    points = rng.choice(len(grid), min(len(grid), count - wanted), replace=False)
    return drawn + [grid[place] for place in points]


def _is_counted(shape: Shape) -> bool:
    outputs = shape.outputs or shape.x[-1]
    pixels = int(np.prod(shape.x[:-1], dtype=np.int64))
    return max(pixels * shape.x[-1], pixels * outputs) <= _MOST_VALUES


def prepare(shape: Shape, isa: str, board: Board) -> Prepared | None:
    """Graph and kernels of a layer; None where tinyq has no such layer."""
    try:
        graph = make_graph(shape)
    except TinyqError as error:
        print(f"left out: {shape.title}: {error}", file=sys.stderr)
        return None
    bounds = choose_kernels(graph, gather_candidates(graph, prefer_isas(isa)), "balanced", _BUDGET)
    text = emit(graph, plan_kernels(graph, bounds.bounds), bounds.bounds).files
    program = "\0".join(f"{path}\0{text[path]}" for path in sorted(text, key=str))
    compiler = read_version(find_compiler(board))
    key = hashlib.sha256("\0".join((shape.signature, isa, compiler, program)).encode()).hexdigest()
    return Prepared(shape, graph, bounds.bounds, key)


def count_shapes(prepared: Sequence[Prepared], board: Board) -> list[Count]:
    """Counts of layers; what was counted before is read."""
    folder = cache_folder() / "shapes"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {it.key: folder / f"{it.key}.json" for it in prepared}
    missing = [it for it in prepared if not paths[it.key].exists()]
    done = 0
    for batch in _split(missing):
        programs = [LayerProgram(it.graph, it.bounds) for it in batch]
        with tempfile.TemporaryDirectory(prefix="tinyq-shapes-") as place:
            outcomes = run_programs(programs, board, Path(place) / "image")
        for it, outcome in zip(batch, outcomes, strict=True):
            (bound,) = it.bounds.values()
            count = Count(
                bound.kernel.name,
                outcome.instructions,
                outcome.cycles,
                bound.table_bytes,
                plan_kernels(it.graph, it.bounds).arena_bytes,
                outcome.exact,
                bound.instructions,
            )
            partial = paths[it.key].with_suffix(".partial")
            partial.write_text(json.dumps(asdict(count)) + "\n", "utf-8")
            partial.replace(paths[it.key])
        done += len(batch)
        print(f"{done} of {len(missing)} counted", file=sys.stderr, flush=True)
    return [Count(**json.loads(paths[it.key].read_text("utf-8"))) for it in prepared]


def _split(prepared: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """Batches that one image holds."""
    batch: list[Prepared] = []
    size = 0
    for it in prepared:
        own = sum(tensor.type.packed_bytes for tensor in it.graph.tensors.values())
        if batch and (len(batch) == _IMAGE or size + own > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(it)
        size += own
    if batch:
        yield batch


def read_peer(path: Path | None, isa: str) -> dict[tuple[str, ...], int]:
    """Instructions of another library by layer, whatever the rounding."""
    column = PEERS.get(isa, "")
    found = {}
    for row in read_table(path) if path else []:
        shape = read_shape(row)
        if shape and row.get(column):
            found[shape.layer] = int(row[column])
    return found


def sweep(shapes: Sequence[Shape], isa: str, peer: Mapping[tuple[str, ...], int]) -> list[Row]:
    """Count layers on a core."""
    board = CORES[isa]
    prepared = [it for shape in shapes if (it := prepare(shape, isa, board))]
    counts = count_shapes(prepared, board)
    return [
        Row(it.shape, count, peer.get(it.shape.layer) if _is_int8(it.shape) else None)
        for it, count in zip(prepared, counts, strict=True)
    ]


def _is_int8(shape: Shape) -> bool:
    return (shape.activations, shape.weights) == ("s8", "s8")


def summarize(rows: Sequence[Row]) -> dict[str, float | int | None]:
    """Figures over all rows."""
    ratios = np.array([row.ratio for row in rows if row.ratio])
    above = [row for row in rows if row.ratio and row.ratio > _allow(row)]
    return {
        "layers": len(rows),
        "generic": sum(row.count.generic for row in rows),
        "compared": len(ratios),
        "geometric_mean": float(np.exp(np.log(ratios).mean())) if len(ratios) else None,
        "worst": float(ratios.max()) if len(ratios) else None,
        "above": len(above),
    }


def _allow(row: Row) -> float:
    return 1.1 if row.peer and row.peer < SMALL else 1.0


def write_report(rows: Sequence[Row], isa: str, command: str) -> str:
    """Markdown: figures by operation and format, then every layer."""
    lines = [
        f"# Layer shapes, instructions on an emulated {NAMES[isa]}",
        "",
        f"`{command}`, QEMU machine {CORES[isa].name}, kernels as `tinyq build` chooses them",
        "(`balanced`). Instructions are counted, cycles are estimated from them without wait",
        "states. All outputs equal the reference bit for bit. The ratio is to CMSIS-NN, counted",
        "with the same compiler, where it has the layer.",
        "",
        "| operation | activations x weights | rounding | layers | generic | compared "
        "| geometric mean | worst | above 1 |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, part in _group(rows).items():
        lines.append(_write_summary(name, summarize(part)))
    lines.append(_write_summary(("all", "", ""), summarize(rows)))
    lines += [
        "",
        "| layer | formats | rounding | kernel | instructions | estimated cycles | CMSIS-NN "
        "| ratio | constants B | arena B |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    order = sorted(rows, key=lambda row: (-(row.ratio or 0.0), row.shape.signature))
    return "\n".join(lines + [_write_row(row) for row in order]) + "\n"


Group = tuple[str, str, str]


def _group(rows: Sequence[Row]) -> dict[Group, list[Row]]:
    groups: dict[Group, list[Row]] = {}
    for row in sorted(rows, key=lambda it: it.shape.signature):
        shape = row.shape
        formats = f"{shape.activations} x {shape.weights}"
        groups.setdefault((shape.operation, formats, shape.rounding), []).append(row)
    return groups


def _write_summary(name: Group, found: Mapping[str, float | int | None]) -> str:
    mean, worst = (_round(found[key]) for key in ("geometric_mean", "worst"))
    cells = (*name, found["layers"], found["generic"], found["compared"], mean, worst)
    return f"| {' | '.join(map(str, cells))} | {found['above']} |"


def _round(value: float | int | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _write_row(row: Row) -> str:
    shape, count = row.shape, row.count
    peer = f"{row.peer:,}" if row.peer else ""
    cycles = f"{count.cycles:,}" if count.cycles else ""
    return (
        f"| {shape.title} | {shape.activations} x {shape.weights} | {shape.rounding} "
        f"| {count.kernel} | {count.instructions:,} | {cycles} | {peer} | {_round(row.ratio)} "
        f"| {count.table_bytes:,} | {count.arena_bytes:,} |"
    )


def draw_cells(rows: Sequence[Row]) -> list[Cell]:
    """A cell for each layer of each operation and format: ratio, or how it was computed."""
    return [
        Cell(" ".join(name), row.shape.title, row.ratio, row.count.generic)
        for name, part in _group(rows).items()
        for row in sorted(part, key=lambda it: (it.ratio or 0.0, it.shape.signature))
    ]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=Path, help="table of layers of other people's networks")
    parser.add_argument("--peer", type=Path, help="table of another library's counts")
    parser.add_argument("--core", choices=sorted(CORES), default=FIRST)
    parser.add_argument("--count", type=int, default=500, help="layers of the sweep")
    parser.add_argument("--all", action="store_true", help="all layers of the table, and no grid")
    parser.add_argument("--rounding", choices=ROUNDINGS, default=HALF_UP)
    parser.add_argument("--sample", type=int, default=0, help="that many points of the grid alone")
    parser.add_argument("--output", type=Path, help="folder of the report; printed if none")
    words = parser.parse_args()
    rows = sweep(_choose(words), words.core, read_peer(words.peer, words.core))
    command = f"python benchmarks/shapes.py --core {words.core} --rounding {words.rounding}"
    report = write_report(rows, words.core, command)
    print(report)
    if words.output:
        save(words, rows, report, command)
    wrong = [row.shape.signature for row in rows if not row.count.exact]
    if wrong:
        print(f"error: not equal to the reference: {'; '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _choose(words: argparse.Namespace) -> list[Shape]:
    if words.sample:
        return draw_shapes([], words.sample, words.rounding)
    rows = read_table(words.layers) if words.layers else []
    if words.all:
        shapes = (shape for row in rows if (shape := read_shape(row)))
        return [replace(it, rounding=words.rounding) for it in shapes if _is_counted(it)]
    return draw_shapes(rows, words.count, words.rounding)


def save(words: argparse.Namespace, rows: Sequence[Row], report: str, command: str) -> None:
    """Write the report as text, data and picture."""
    name = "shapes" if words.core == FIRST else f"shapes-{words.core}"
    name = name if words.rounding == HALF_UP else f"{name}-{words.rounding}"
    words.output.mkdir(parents=True, exist_ok=True)
    (words.output / f"{name}.md").write_text(report, "utf-8")
    content = {
        "command": command,
        "machine": CORES[words.core].name,
        "summary": summarize(rows),
        "rows": [
            {"signature": row.shape.signature, **asdict(row.count), "peer": row.peer}
            for row in rows
        ],
    }
    write_document(words.output / f"{name}.json", "benchmark", content, 1)
    picture = draw_heatmap(f"Layer shapes on {NAMES[words.core]}", draw_cells(rows))
    (words.output / f"{name}.svg").write_text(picture, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
