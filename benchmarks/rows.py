"""Networks with and without chains by rows: arena, instructions, answers of an emulated Cortex-M4.

    python benchmarks/rows.py MODEL[:ARENA] ...

ARENA is the limit in bytes; without one the arena is as small as `--optimize ram` makes it. Each
model is built by `--optimize balanced` without chains, then with them, and answers of both are
compared with the reference. Adds to benchmarks/results/rows.json and writes rows.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tinyq.codegen import emit  # noqa: E402
from tinyq.firmware.build import build  # noqa: E402
from tinyq.graph import Graph, reference  # noqa: E402
from tinyq.graph.interface import pack_codes, unpack_codes  # noqa: E402
from tinyq.graph.passes import simplify  # noqa: E402
from tinyq.hardware.boards import find_board  # noqa: E402
from tinyq.models import load_model  # noqa: E402
from tinyq.project import capacities  # noqa: E402
from tinyq.selection import (  # noqa: E402
    Budget,
    Choice,
    Fusion,
    choose_kernels,
    fuse_layers,
    gather_candidates,
    plan_kernels,
    prefer_isas,
)
from tinyq.targets import open_link  # noqa: E402

RESULTS = ROOT / "benchmarks/results"
EMULATED = "mps2-an386"
HEAD = """# Chains of layers by rows

`python benchmarks/rows.py MODEL[:ARENA] …`: arenas as planned for a Cortex-M4, instructions counted
by QEMU (mps2-an386), answers compared with the reference. Without chains: `balanced`. With chains:
the arena that was asked for by `balanced`, or the smallest (`--optimize ram`: at most 1.3 times the
instructions that it takes without chains, by estimates).

| model | asked B | arena B without | with | ratio | M instructions without | with | ratio | \
layers of chains | codes that differ |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A network with and without chains.

    Attributes:
        model: Name of its file.
        asked: Arena that was asked for; 0 for the smallest.
        arena: Bytes without and with chains.
        proven: Whether no plan with these chains and kernels needs fewer bytes.
        instructions: Counted, without and with.
        chains: Layers of each chain.
        mismatches: Codes of the outputs that differ from the reference's.
    """

    model: str
    asked: int
    arena: tuple[int, int]
    proven: bool
    instructions: tuple[int, int]
    chains: tuple[int, ...]
    mismatches: int


def measure(path: Path, asked: int) -> Row:
    """Build a model twice and run it."""
    graph, isas = simplify(load_model(path)), prefer_isas("armv7em")
    candidates = gather_candidates(graph, isas)
    plain = choose_kernels(graph, candidates)
    objective = "balanced" if asked else "ram"
    budget = Budget(ram_bytes=asked)
    fused = fuse_layers(graph, candidates, objective, budget, Fusion(isas))
    first, second = run(graph, plain), run(graph, fused)
    memory = plan_kernels(graph, fused.bounds, fused.chains)
    return Row(
        path.stem,
        asked,
        (plan_kernels(graph, plain.bounds).arena_bytes, memory.arena_bytes),
        memory.proven,
        (first[0], second[0]),
        tuple(len(chain.members) for chain in fused.chains),
        first[1] + second[1],
    )


def run(graph: Graph, choice: Choice) -> tuple[int, int]:
    """Instructions of an inference, and codes that differ from the reference's."""
    board = find_board(EMULATED)
    memory = plan_kernels(graph, choice.bounds, choice.chains)
    files = emit(graph, memory, choice.bounds).files
    draw = np.random.default_rng(1)
    given = {
        name: draw.integers(-128, 128, (1, *graph.tensors[name].type.shape))
        for name in graph.inputs
    }
    codes = {
        name: np.clip(it, graph.tensors[name].type.format.lo, graph.tensors[name].type.format.hi)
        for name, it in given.items()
    }
    codes = {name: it.astype(np.int32) for name, it in codes.items()}
    wanted = reference.run_named_batched(graph, codes)
    with tempfile.TemporaryDirectory(prefix="tinyq-rows-") as folder:
        image = build(files, board, Path(folder) / "out", capacities(graph, board))
        with closing(open_link(image, "qemu", counting=True)) as link:
            found = unpack_codes(graph, graph.outputs, link.infer(pack_codes(graph, codes)))
            counts = link.instruction_counts()
    assert counts is not None, "counting was asked for"
    wrong = sum(int((found[name] != wanted[name]).sum()) for name in graph.outputs)
    return counts.per_run, wrong


def write_page(rows: Sequence[Row]) -> str:
    """The results as a table."""
    lines = [*HEAD.splitlines(), *map(_write_row, rows)]
    return "\n".join(lines) + "\n"


def _write_row(it: Row) -> str:
    (before, after), (first, second) = it.arena, it.instructions
    cells = (
        it.model,
        f"{it.asked:,}" if it.asked else "smallest",
        f"{before:,}",
        f"{after:,}" + ("" if it.proven else " (not proven)"),
        f"{after / before:.2f}",
        f"{first / 1e6:.2f}",
        f"{second / 1e6:.2f}",
        f"{second / first:.3f}",
        ", ".join(map(str, it.chains)) or "-",
        str(it.mismatches),
    )
    return f"| {' | '.join(cells)} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measure models and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL[:ARENA]")
    store = RESULTS / "rows.json"
    known = json.loads(store.read_text()) if store.is_file() else []
    found = {(it["model"], it["asked"]): it for it in known}
    for word in parser.parse_args(words).models:
        path, _, asked = word.partition(":")
        row = measure(Path(path), int(asked or 0))
        found[row.model, row.asked] = asdict(row)
        rows = [found[key] for key in sorted(found)]
        store.write_text(json.dumps(rows, indent=1) + "\n")
        (RESULTS / "rows.md").write_text(write_page([Row(**it) for it in rows]))
        print(row, flush=True)


if __name__ == "__main__":
    main()
