"""The demo's network on every board: built where a compiler is there, generated for the others.

python -m tests.footprint [BOARD ...]     prints the table
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.selected import emit_for
from tinyq.errors import BudgetError, ToolMissing
from tinyq.exports import export
from tinyq.firmware.build import Image
from tinyq.firmware.toolchains import TOOLCHAINS, find_compiler
from tinyq.graph import Graph
from tinyq.graph.passes import simplify
from tinyq.graph.storage import load_graph, save_graph
from tinyq.hardware.boards import Board, find_board, load_boards
from tinyq.project import capacities, create_project
from tinyq.selection import (
    Budget,
    choose_kernels,
    gather_candidates,
    plan_kernels,
    prefer_isas,
)

# What the firmware takes besides the network's own constants and activations.
CODE_BYTES = 16384
VARIABLE_BYTES = 512
# What builds the boards that no compiler here is for.
PACKAGES = {"arduino": "arduino", "zephyr": "zephyr"}


@dataclass(frozen=True, slots=True)
class Need:
    """Memory that a graph takes on a board, estimated before anything is compiled, in bytes."""

    flash_bytes: int
    ram_bytes: int

    def fits(self, board: Board) -> bool:
        """Whether a board has as much; one without limits has."""
        return all(
            not limit or need <= limit
            for need, limit in (
                (self.flash_bytes, board.flash_bytes),
                (self.ram_bytes, board.ram_bytes),
            )
        )


def draw_demo_graph(seed: int = 0) -> Graph:
    """Return the demo's network, quantized as in the demo, calibrated with random images.

    Formats, shapes and sizes are the demo's; the weights are not trained.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np

    import tinyq
    from tinyq.training import calibrate
    from tinyq.training.lowering.network import import_keras
    from tinyq.training.networks import DIGITS_RECIPE, digits_network

    keras.utils.set_random_seed(seed)
    quantized = tinyq.quantize(digits_network(), DIGITS_RECIPE)
    calibrate(quantized, np.random.default_rng(seed).random((64, 8, 8, 1)))
    return import_keras(quantized, "digits")


def saved_demo_graph(folder: Path) -> Graph:
    """Return the graph as a user has it: written to a file and read again."""
    path = folder / "digits.tqg"
    save_graph(draw_demo_graph(), path)
    return load_graph(path)


def estimate(graph: Graph, board: Board) -> Need:
    """Return what a graph needs, from its constants, its activations and the board's stack."""
    simplified = simplify(graph)
    constants = [simplified.constant_bytes(node) for node in simplified.nodes]
    sizes = capacities(simplified, board)
    candidates = gather_candidates(simplified, prefer_isas(board.isa))
    choice = choose_kernels(simplified, candidates, "ram", Budget(0, 0, 0, 0))
    return Need(
        flash_bytes=sum(constants) + CODE_BYTES,
        ram_bytes=plan_kernels(simplified, choice.bounds).arena_bytes
        + board.stack_bytes
        + board.line_bytes
        + sizes.payload_bytes
        + (sizes.reply_bytes or sizes.payload_bytes)
        # AVR reads constants from RAM, one layer's at a time.
        + (max(constants) if board.port == "avr" else 0)
        + VARIABLE_BYTES,
    )


def built_boards() -> tuple[Board, ...]:
    """Boards for whose core there is a compiler to install."""
    return tuple(board for board in load_boards().values() if board.toolchain in TOOLCHAINS)


def foreign_boards() -> tuple[Board, ...]:
    """Boards that another build system builds."""
    return tuple(board for board in load_boards().values() if board.toolchain in PACKAGES)


def smallest_boards() -> tuple[Board, ...]:
    """Of each port the board with the least RAM; stm32 and, of AVR, the one with most RAM."""
    ordered = sorted(built_boards(), key=lambda board: -board.ram_bytes)
    chosen = {board.port: board for board in ordered}
    # The smallest AVR is too small for nearly everything.
    largest = next(board for board in ordered if board.port == "avr")
    more = (find_board("stm32"), largest)
    return tuple({board.name: board for board in (*chosen.values(), *more)}.values())


def generate(graph: Graph, board: Board) -> str:
    """Return the C of a graph for a board, with the kernels of its core."""
    simplified, isas = simplify(graph), prefer_isas(board.isa)
    tree = emit_for(simplified, isas)
    return "".join(tree.files.values())


def _describe(graph: Graph, board: Board, folder: Path) -> tuple[str, str, str]:
    """Return what came out, flash and RAM."""
    need = estimate(graph, board)
    if board.toolchain in PACKAGES:
        generate(graph, board)
        export(graph, PACKAGES[board.toolchain], folder)
        estimated = (f"~{need.flash_bytes:,}", f"~{need.ram_bytes:,}")
        return f"exported for {board.toolchain}", *estimated
    try:
        find_compiler(board)
    except ToolMissing as missing:
        return missing.message, "-", "-"
    try:
        image: Image = create_project(graph, board, folder).image
    except BudgetError as error:
        if need.fits(board):
            raise
        return f"too small: {error.message}", "-", "-"
    return "built", f"{image.flash_bytes:,}", f"{image.ram_bytes:,}"


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where a board that is large enough is refused."""
    parser = argparse.ArgumentParser(prog="python -m tests.footprint", description=__doc__)
    parser.add_argument("boards", nargs="*", help="all when none is named")
    names = parser.parse_args(words).boards
    row = "{:20} {:8} {:>10} {:>10} {:>10} {:>10}  {}"
    print(row.format("board", "isa", "flash B", "of", "RAM B", "of", "demo model"))
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="tinyq-footprint-") as folder:
        graph = saved_demo_graph(Path(folder))
        for board in (*built_boards(), *foreign_boards()):
            if names and board.name not in names:
                continue
            try:
                outcome, flash, ram = _describe(graph, board, Path(folder) / board.name)
            except BudgetError as error:
                outcome, flash, ram = f"REFUSED: {error.message}", "-", "-"
                wrong += 1
            limits = [f"{size:,}" if size else "-" for size in (board.flash_bytes, board.ram_bytes)]
            cells = (flash, limits[0], ram, limits[1])
            print(row.format(board.name, board.isa, *cells, outcome), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
