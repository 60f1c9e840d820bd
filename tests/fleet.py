"""Every emulated board: built as `tinyq build` does, the same models and the reference's answers.

python -m tests.fleet [--graphs N] [--seed N] [BOARD ...]     prints the table of cores
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.mixed_model import mixed_model
from tests.random_graphs import draw_graph, draw_inputs
from tinyq.errors import BudgetError
from tinyq.firmware.build import Image
from tinyq.graph import Graph, reference
from tinyq.hardware.boards import Board, load_boards
from tinyq.project import create_project
from tinyq.targets import open_link

SAMPLES = 6


@dataclass(frozen=True, slots=True)
class Run:
    """One model on one emulated board.

    Attributes:
        image: What ran.
        mismatches: Output bytes that differ from the reference's, over all samples.
        instructions: Mean executed instructions per inference.
    """

    image: Image
    mismatches: int
    instructions: float


def emulated_boards() -> tuple[Board, ...]:
    """Boards that an emulator stands for, one for each machine."""
    chosen = {}
    for board in load_boards().values():
        machine = board.qemu_machine or board.simavr_mcu
        # Of boards that share a machine, the one that says so: runner.
        if machine and (machine not in chosen or board.runner != "serial"):
            chosen[machine] = board
    return tuple(chosen.values())


def emulator(board: Board) -> str:
    """The target that emulates a board."""
    return "qemu" if board.qemu_machine else "simavr"


def run_graph(graph: Graph, board: Board, folder: Path, seed: int) -> Run:
    """Build a graph for a board, run it in the emulator, compare with the reference.

    Raises:
        BudgetError: The board is too small.
    """
    codes = draw_inputs(np.random.default_rng((seed, 1)), graph, SAMPLES)
    inputs = graph.input.type.format.pack(codes).reshape(SAMPLES, -1)
    expected = graph.output.type.format.pack(reference.run(graph, codes)).reshape(SAMPLES, -1)
    image = create_project(graph, board, folder).image
    link = open_link(image, emulator(board), counting=True)
    try:
        answers = link.infer(inputs)
        counts = link.instruction_counts()
    finally:
        link.close()
    total = sum(layer.total for layer in counts.layers)
    return Run(image, int((answers != expected).sum()), total / counts.runs)


def fitting_graphs(
    board: Board, count: int, folder: Path, seed: int
) -> Iterator[tuple[Graph, Run]]:
    """Run random graphs until as many have fitted into the board's memory."""
    fitted, index = 0, 0
    while fitted < count:
        assert index < 20 * count, f"hardly any graph fits into {board.name}"
        graph = draw_graph(np.random.default_rng((seed, index, 5)), f"model_{index}")
        index += 1
        try:
            result = run_graph(graph, board, folder / graph.name, seed + index)
        except BudgetError:
            continue
        fitted += 1
        yield graph, result


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where an answer differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("boards", nargs="*", help="all emulated ones when none is named")
    parser.add_argument("--graphs", type=int, default=8, help="random graphs on each board")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    row = "{:18} {:8} {:24} {:>12} {:>8} {:>10} {:>7} {:>10}"
    print(row.format(*_HEADER))
    wrong = 0
    for board in emulated_boards():
        if options.boards and board.name not in options.boards:
            continue
        with tempfile.TemporaryDirectory(prefix="tinyq-fleet-") as folder:
            drawn = list(fitting_graphs(board, options.graphs, Path(folder), options.seed))
            runs = [run for _, run in drawn]
            try:
                runs.append(run_graph(mixed_model(), board, Path(folder) / "mixed", options.seed))
            except BudgetError:
                cells = ["-", "-", "too little"]
            else:
                image = runs[-1].image
                numbers = (runs[-1].instructions, image.flash_bytes, image.ram_bytes)
                cells = [f"{number:,.0f}" for number in numbers]
        mismatches = sum(run.mismatches for run in runs)
        wrong += mismatches
        machine = f"{emulator(board)} {board.qemu_machine or board.simavr_mcu}"
        print(row.format(board.name, board.isa, machine, *cells, len(runs), mismatches), flush=True)
    return 1 if wrong else 0


_HEADER = (
    *("board", "isa", "emulator", "instructions", "flash B", "RAM B"),
    *("models", "mismatches"),
)

if __name__ == "__main__":
    sys.exit(main())
