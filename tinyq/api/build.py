from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tinyq.api.arguments import Names, PathLike, Progress, as_board, as_path
from tinyq.api.finished import requiring_finished
from tinyq.api.kernel_tables import list_kernel_parts
from tinyq.api.load import load
from tinyq.api.stream import describe, read_option, stream_as_asked
from tinyq.errors import TinyqError
from tinyq.graph.streaming import Streamed
from tinyq.hardware.boards import Board
from tinyq.memory.rows import Chain
from tinyq.project import Limits, Project, Selection, check_request, create_project
from tinyq.selection import EXPLANATIONS, GENERIC
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table

KERNELS = ("tinyq", "generic", "cmsis-nn")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Built(Shown):
    """A build folder and what its firmware needs.

    Attributes:
        project: Graph, memory plan, image and kernels.
        tuned: Whether kernels were counted on the emulated core before they were chosen.
        streamed: How the step that was built belongs to its window; None for a network as it is.
    """

    project: Project
    tuned: bool = False
    streamed: Streamed | None = None

    @property
    def folder(self) -> Path:
        """Where it was written."""
        return self.project.folder

    @property
    def flash_bytes(self) -> int:
        """Code and constants of the firmware."""
        return self.project.image.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """Variables and stack reserve of the firmware."""
        return self.project.image.ram_bytes

    @property
    def arena_bytes(self) -> int:
        """Activations, part of `ram_bytes`."""
        return self.project.plan.arena_bytes

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        project, image, board = self.project, self.project.image, self.project.image.board
        return stamp(
            "build",
            {
                "model": project.graph.name,
                "board": board.name,
                "folder": str(project.folder),
                "elf": str(image.elf),
                "flash_bytes": image.flash_bytes,
                "flash_limit_bytes": board.flash_bytes,
                "ram_bytes": image.ram_bytes,
                "ram_limit_bytes": board.ram_bytes,
                "arena_bytes": project.plan.arena_bytes,
                "arena_proven": project.plan.proven,
                "state_bytes": project.plan.state_bytes,
                "chains": [
                    {
                        "layers": [node.name for node in chain.nodes],
                        "rows": [member.rows for member in chain.members],
                        "ring_bytes": chain.ring_bytes,
                    }
                    for chain in project.plan.chains
                ],
                "optimize": project.optimize,
                "meaning": EXPLANATIONS[project.optimize],
                "layers": [asdict(entry) for entry in project.kernels],
                "graph_digest": project.graph_digest,
                "firmware_digest": image.firmware_digest,
                "toolchain": image.toolchain,
            },
        )

    def parts(self) -> list[Part]:
        """Kernels of the layers, memory against the board's."""
        project, image, board = self.project, self.project.image, self.project.image.board
        title = f"kernels for {project.optimize}: {EXPLANATIONS[project.optimize]}"
        proof = "proven optimal" if project.plan.proven else "not proven optimal"
        return [
            *list_kernel_parts(title, project.kernels, rivals=self.tuned, clock_hz=board.clock_hz),
            Table(
                f"{project.graph.name} for {board.title}",
                ("memory", "needed B", "of B", "share"),
                (
                    _budget_row("flash", image.flash_bytes, board.flash_bytes),
                    _budget_row("RAM", image.ram_bytes, board.ram_bytes),
                ),
                right=("needed B", "of B", "share"),
            ),
            f"activations take {project.plan.arena_bytes:,} bytes of RAM, {proof}"
            + (f"; state takes {project.plan.state_bytes:,}" if project.plan.state_bytes else ""),
            *map(_describe_chain, project.plan.chains),
            f"firmware: {image.elf}",
            *(describe(self.streamed) if self.streamed else ()),
        ]


def build(
    model: Any,
    board: str | Board,
    output: PathLike,
    *,
    build_system: str = "gcc",
    kernels: str = "tinyq",
    cmsis_nn: str | None = None,
    optimize: str = "balanced",
    tune: bool = False,
    weights_in_ram: bool = False,
    max_flash: int = 0,
    max_ram: int = 0,
    max_cycles: int = 0,
    rounding: str = "half_up",
    trust: bool = False,
    inputs: Names = None,
    outputs: Names = None,
    unfinished: bool = False,
    stream: str | None = None,
    progress: Progress | None = None,
) -> Built:
    """Turn a model into C and firmware for a board.

    Args:
        model: Whatever `tinyq.load` takes.
        board: Name from `tinyq.boards()`.
        output: Folder to write: missing, empty, or an earlier build, which is replaced whole.
        build_system: What runs the compiler: ``gcc``, ``make``, ``cmake`` or ``platformio``.
        kernels: ``tinyq``: those of the core; ``generic``: portable C alone; ``cmsis-nn``.
        cmsis_nn: Folder with CMSIS-NN's headers and archive, or its address for PlatformIO.
        optimize: What kernels are chosen for: ``balanced``, ``speed``, ``size`` (flash) or
            ``ram``, within the board's memory.
        tune: Whether the kernels of each layer are counted on the emulated core first.
        weights_in_ram: Whether the weights are copied to RAM at start.
        max_flash: Bytes of flash that the image may take; 0 for what the board has.
        max_ram: Bytes of RAM that it may take, stack and buffers too; 0 for what the board has.
        max_cycles: Cycles that one inference may take, as estimated from counts with ``tune``, or
            instructions without; 0 for any number.
        rounding: As of `tinyq.load`.
        trust: As of `tinyq.load`.
        inputs: As of `tinyq.load`.
        outputs: As of `tinyq.load`.
        unfinished: Whether a model is taken although the method of a layer has not come to its end.
        stream: ``time=AXIS[,step=N][,carry=1]``: the model becomes a step that takes the newest N
            frames along an axis of its inputs, see `tinyq.stream`.
        progress: Called with the kernels counted and all kernels, where ``tune`` is set.

    Raises:
        TinyqError: An argument is wrong, the folder holds something else, or the model cannot be
            built for the board.
    """
    check_kernels(kernels, cmsis_nn)
    if stream is not None:
        read_option(stream)
    chosen, folder = as_board(board), as_path(output)
    isas = GENERIC if kernels == "generic" else None
    limits = Limits(max_flash, max_ram, max_cycles)
    selection = Selection(isas, optimize, None, weights_in_ram, limits)
    check_request(chosen, folder, build_system, selection)
    tuner = None
    if tune:
        from tinyq.measurement.counting import count_candidates

        tuner = partial(count_candidates, progress=progress)
    selection = replace(selection, tuner=tuner)
    with requiring_finished(unfinished):
        graph = load(model, rounding, trust, inputs, outputs)
    streamed = None if stream is None else stream_as_asked(graph, stream)
    taken = streamed.graph if streamed else graph
    made = create_project(taken, chosen, folder, build_system, cmsis_nn, selection)
    return Built(made, tune, streamed)


def check_kernels(kernels: str, cmsis_nn: str | None) -> None:
    """Check that the two options about kernels belong together.

    Raises:
        TinyqError: They do not, or there are no such kernels.
    """
    if kernels not in KERNELS:
        raise TinyqError(
            f"there are no kernels {kernels!r}",
            where="--kernels",
            remedy="choose tinyq, generic or cmsis-nn",
        )
    if (kernels == "cmsis-nn") != (cmsis_nn is not None):
        raise TinyqError(
            "CMSIS-NN is chosen by both its name and its folder",
            where="--kernels",
            remedy="pass --kernels cmsis-nn --cmsis-nn DIR, where DIR has Include and the archive",
        )


def _describe_chain(chain: Chain) -> str:
    """Which layers go by rows, and what lies between them."""
    layers = ", ".join(f"{it.node.name} ({it.rows})" for it in chain.members)
    rings = f"{chain.ring_bytes:,} bytes of RAM hold the rows between them"
    return f"by rows, so many at a time: {layers}; {rings}"


def _budget_row(memory: str, needed: int, limit: int) -> tuple[str, str, str, str]:
    if not limit:
        return memory, f"{needed:,}", "-", "-"
    return memory, f"{needed:,}", f"{limit:,}", f"{needed / limit:.1%}"
