"""Layers by CMSIS-NN and by tinyq's kernels on the emulated Cortex-M4: same bytes, instructions.

    python benchmarks/cmsis_nn.py --cmsis-nn DIR

DIR has CMSIS-NN's Include/ and an archive built for the Cortex-M4 with
CMSIS_NN_USE_SINGLE_ROUNDING. Without it there is nothing to compare, and the script says so.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.hardware.boards import find_board
from tinyq.measurement.run import Measurement, measure
from tinyq.numerics.formats import find_format
from tinyq.project import create_project
from tinyq.support.datasets import Dataset

BOARD = "mps2-an386"
SAMPLES = 3
SAME = Window((3, 3), padding=(1, 1, 1, 1))
POINT = Window((1, 1))
# name, operation, weights, input shape, output channels, window
LAYERS: tuple[tuple[str, str, str, tuple[int, ...], int, Window | None], ...] = (
    ("conv 3x3 16x16x32-32", "Conv2D", "s8", (16, 16, 32), 32, SAME),
    ("conv 3x3 16x16x32-32", "Conv2D", "s4", (16, 16, 32), 32, SAME),
    ("conv 1x1 12x12x64-64", "Conv2D", "s8", (12, 12, 64), 64, POINT),
    ("conv 1x1 12x12x64-64", "Conv2D", "s4", (12, 12, 64), 64, POINT),
    ("depthwise 3x3 24x24x32", "DepthwiseConv2D", "s8", (24, 24, 32), 32, SAME),
    ("depthwise 3x3 24x24x32", "DepthwiseConv2D", "s4", (24, 24, 32), 32, SAME),
    ("dense 640-128", "Dense", "s8", (640,), 128, None),
)


def make_layer(
    operation: str, weights: str, shape: tuple[int, ...], channels: int, window: Window | None
) -> Graph:
    """A graph of one layer with random constants; accumulators spread over the output's codes."""
    rng = np.random.default_rng(0)
    form = find_format(weights)
    builder = GraphBuilder.start("layer", TensorType(shape, find_format("s8"), 1 / 32, 3))
    epilogue = Requantize("s8", 0.1, -5, -128, 127)
    kinds: dict[str, Callable[[], tuple[int, ...]]] = {
        "Conv2D": lambda: (channels, *window.size, shape[2]),
        "DepthwiseConv2D": lambda: (*window.size, channels),
        "Dense": lambda: (channels, shape[0]),
    }
    codes = rng.integers(form.lo, form.hi + 1, kinds[operation]())
    depth = codes.size // channels
    spread = np.sqrt(depth) * 74 * float(codes.std())
    shift = 31 + round(np.log2(spread / 60))
    tables = {
        "bias": rng.integers(-1000, 1000, channels),
        "multiplier": rng.integers(2**30, 2**31 - 1, channels),
        "shift": np.full(channels, shift),
    }
    constants = [
        builder.constant(f"layer/{key}", tables[key], find_format("s32")) for key in epilogue.names
    ]
    arguments = (epilogue, 3) if window is None else (epilogue, window, 3)
    w = builder.constant("layer/weights", codes, form)
    return builder.build(
        builder.apply("layer", OPERATIONS[operation](*arguments), "input", w, *constants)
    )


def run_layer(graph: Graph, folder: Path, cmsis_nn: Path | None) -> tuple[Measurement, int]:
    """Build and measure; returns the measurement and the bytes of the arena."""
    project = create_project(graph, find_board(BOARD), folder, cmsis_nn=cmsis_nn)
    x = np.random.default_rng(1).uniform(-4, 4, (SAMPLES, *graph.input.type.shape))
    return measure(project, "qemu", Dataset(x.astype(np.float32), None)), project.plan.arena_bytes


def main() -> None:
    """Print one row per layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cmsis-nn", type=Path)
    chosen = parser.parse_args().cmsis_nn
    if chosen is None:
        print("nothing to compare with: pass --cmsis-nn DIR")
        return
    print("layer | weights | per MAC | arena bytes | flash bytes | mismatches: tinyq / CMSIS-NN")
    with tempfile.TemporaryDirectory() as name:
        for title, operation, weights, *sizes in LAYERS:
            graph = make_layer(operation, weights, *sizes)
            runs = (
                run_layer(graph, Path(name) / "own", None),
                run_layer(graph, Path(name) / "arm", chosen),
            )
            macs = sum(layer.macs for layer in runs[0][0].layers)
            cells = (
                " / ".join(f"{run.instructions / macs:.2f}" for run, _ in runs),
                " / ".join(f"{arena:,}" for _, arena in runs),
                " / ".join(f"{run.flash_bytes:,}" for run, _ in runs),
                " / ".join(f"{run.mismatches}" for run, _ in runs),
            )
            print(" | ".join((title, weights, *cells)))
        arm = runs[1][0]
        print(f"{BOARD} in QEMU, {arm.toolchain}, {SAMPLES} inputs each; both equal the reference")
        print("where mismatches are 0. Instructions are of the whole layer, counted, not cycles.")
        print("Flash is the whole firmware, start-up and protocol included.")


if __name__ == "__main__":
    main()
