"""MLPerf Tiny's streaming wake word as a step: answers, instructions, memory, beside the window.

    python benchmarks/streaming.py --model str_ww_ref_model.tflite

The model is that of mlcommons/tiny (benchmark/training/streaming_wakeword/trained_models). Writes
benchmarks/results/streaming.json and .md. Without the model there is nothing to measure, and the
script says so. Frames are made: spectra that wander and now and then jump, over all codes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import tinyq  # noqa: E402
from tests.mlperf_tiny import DATA  # noqa: E402
from tinyq.firmware.build import Image  # noqa: E402
from tinyq.graph import Graph  # noqa: E402
from tinyq.graph.interface import pack_codes, unpack_codes  # noqa: E402
from tinyq.graph.passes import simplify  # noqa: E402
from tinyq.graph.reference import run_batched  # noqa: E402
from tinyq.graph.streaming import Streamed, stream  # noqa: E402
from tinyq.hardware.boards import find_board  # noqa: E402
from tinyq.project import Project, Selection, build_for_host, create_project  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402
from tinyq.targets import open_link  # noqa: E402

RESULTS = ROOT / "benchmarks/results"
MODEL = DATA / "models/str_ww_ref_model.tflite"
BOARD, EMULATED = "nucleo-l4r5zi", "mps2-an386"
ROUNDINGS = ("half_up", "tflite")
ANSWERS = 1000  # compared, from the first whole window on
# M cycles a frame of 32 ms on the NUCLEO-L4R5ZI-P in the published results, features included.
RECORD_MCYCLES = 2.146


@dataclass(frozen=True, slots=True)
class Row:
    """The network under one rounding rule, as a window or as a step.

    Attributes:
        version: ``window`` or ``step``.
        rounding: Rule of the import.
        answers: Frames whose answers were compared with the window's.
        different_answers: How many of the window's answers differ from the one before: what there
            is to be right about.
        host_mismatches: Output codes that differ from the window's in C on this machine.
        device_mismatches: The same on the emulated Cortex-M4.
        macs: Multiply-accumulates of a frame.
        instructions: Of a frame, the most of all frames, in the network's layers.
        cycles: Of a frame, estimated from counted instructions, loads and branches.
        board_cycles: On the board of the record, estimated: with what its flash makes wait.
        state_bytes: Kept from frame to frame.
        arena_bytes: Activations.
        flash_bytes: Code and constants of the whole firmware.
        ram_bytes: Variables and stack reserve of the whole firmware.
        toolchain: Compiler.
    """

    version: str
    rounding: str
    answers: int
    different_answers: int
    host_mismatches: int
    device_mismatches: int
    macs: int
    instructions: int
    cycles: int
    board_cycles: int
    state_bytes: int
    arena_bytes: int
    flash_bytes: int
    ram_bytes: int
    toolchain: str


def draw_frames(rng: np.random.Generator, count: int, shape: Sequence[int]) -> np.ndarray:
    """Codes of frames that wander by a few steps, and jump once in about twenty frames."""
    walk = rng.normal(0.0, 9.0, (count, *shape)).cumsum(axis=0)
    jumps = np.cumsum(rng.random(count) < 0.05)
    levels = rng.uniform(-128.0, 128.0, (int(jumps.max()) + 1, *shape))
    return np.clip(np.rint(levels[jumps] + 40.0 * np.sin(walk / 40.0)), -128, 127).astype(np.int32)


def ask(project: Project, image: Image, target: str, codes: np.ndarray) -> tuple[np.ndarray, int]:
    """Output codes of samples in their order, and the most instructions of one in the layers."""
    graph = project.graph
    with closing(open_link(image, target, counting=target == "qemu")) as link:
        packed = np.asarray(link.infer_sequence(pack_codes(graph, {graph.input.name: codes})))
        counts = link.instruction_counts()
    answers = unpack_codes(graph, graph.outputs, packed.reshape(len(codes), -1))
    return answers[graph.output.name], sum(it.max for it in counts.layers) if counts else 0


def measure_version(
    streamed: Streamed, version: str, rounding: str, frames: np.ndarray, folder: Path
) -> Row:
    """One of both networks on the same frames."""
    step = version == "step"
    graph = streamed.graph if step else streamed.window
    ends = range(streamed.frames, len(frames) + 1)
    windows = np.stack([frames[end - streamed.frames : end] for end in ends])
    wanted = run_batched(streamed.window, windows)
    codes = frames[:, None] if step else windows
    project = create_project(
        graph, find_board(EMULATED), folder, kernels=Selection(optimize="speed")
    )
    host, _ = ask(project, build_for_host(project), "host", codes)
    some = codes if step else codes[:8]  # a window takes as long as forty steps
    device, instructions = ask(project, project.image, "qemu", some)
    first = streamed.frames - 1 if step else 0
    cycles, board_cycles = estimate_cycles(graph, folder.with_name("board"))
    return Row(
        version=version,
        rounding=rounding,
        answers=len(device) - first,
        different_answers=int((np.diff(wanted, axis=0) != 0).any(axis=1).sum()),
        host_mismatches=int((host[first:] != wanted).sum()),
        device_mismatches=int((device[first:] != wanted[: len(device) - first]).sum()),
        macs=streamed.macs[int(step)],
        instructions=instructions,
        cycles=cycles,
        board_cycles=board_cycles,
        state_bytes=streamed.state_bytes if step else 0,
        arena_bytes=project.plan.arena_bytes,
        flash_bytes=project.image.flash_bytes,
        ram_bytes=project.image.ram_bytes,
        toolchain=project.image.toolchain,
    )


def estimate_cycles(graph: Graph, folder: Path) -> tuple[int, int]:
    """Cycles of an inference on the core alone, and on the board, where flash makes it wait."""
    create_project(graph, find_board(BOARD), folder, kernels=Selection(optimize="speed"))
    found = tinyq.profile(folder)
    board = found.profile.prediction
    return int(found.cycles or 0), int(board.cycles if board else 0)


def render_report(rows: Sequence[Row], command: str) -> str:
    """The page with the table."""
    columns = (
        *("version", "rounding", "MACs", "instructions", "cycles", "on the board", "state B"),
        *("arena B", "flash B", "answers", "codes that differ, host", "emulated M4"),
    )
    lines = [" | ".join(columns), " | ".join(["---", "---", *["--:"] * 10])]
    lines += [
        f"{it.version} | {it.rounding} | {it.macs:,} | {it.instructions:,} | {it.cycles:,} | "
        f"{it.board_cycles:,} | {it.state_bytes:,} | {it.arena_bytes:,} | {it.flash_bytes:,} | "
        f"{it.answers:,} | {it.host_mismatches} | {it.device_mismatches}"
        for it in rows
    ]
    table = "\n".join(f"| {line} |" for line in lines)
    return (
        "# MLPerf Tiny's streaming wake word, a frame at a time\n\n"
        f"Written by `{command}`. Instructions are counted on the emulated Cortex-M4, the most of "
        f"all frames. Cycles are\nestimates, from instructions, loads and branches of one frame; "
        f"those on the board are of the {BOARD}, whose flash makes the\ncore wait. Answers are "
        "compared code by code with the window's.\n\n"
        f"{table}\n\nThe published results recompute the window: {RECORD_MCYCLES} M cycles a "
        "frame on the NUCLEO-L4R5ZI-P,\nfeatures included, which are not part of this table.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL, help="the int8 .tflite file")
    parser.add_argument("--answers", type=int, default=ANSWERS, help="how many are compared")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    if not arguments.model.is_file():
        print(f"no model in {arguments.model}: give --model, see the top of this script")
        return 0
    rows = []
    for rounding in ROUNDINGS:
        streamed = stream(simplify(tinyq.load(arguments.model, rounding)))
        count = arguments.answers + streamed.frames - 1
        shape = streamed.window.input.type.shape[1:]
        frames = draw_frames(np.random.default_rng(0), count, shape)
        for version in ("window", "step"):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "build"
                rows.append(measure_version(streamed, version, rounding, frames, place))
    command = "python benchmarks/streaming.py --model str_ww_ref_model.tflite"
    content = {"command": command, "rows": [asdict(row) for row in rows]}
    write_document(arguments.output / "streaming.json", "benchmark", content)
    page = render_report(rows, command)
    (arguments.output / "streaming.md").write_text(page, "utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
