"""What a build folder is and how its kernels are chosen, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyq.firmware.build import Image
from tinyq.graph import Graph
from tinyq.hardware.boards import Board
from tinyq.memory.planner import MemoryPlan
from tinyq.selection import Candidates


@dataclass(frozen=True, slots=True)
class Setting:
    """What kernels are counted for.

    Attributes:
        board: What is built for.
        isas: Instruction sets whose kernels may be used, best first.
        cflags: Compiler flags after all others.
    """

    board: Board
    isas: tuple[str, ...]
    cflags: tuple[str, ...] = ()


Tuner = Callable[[Graph, Candidates, Setting], Candidates]
"""Puts counts in the place of the candidates' estimates, see `tinyq.measurement.counting`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a build may take at most; 0 for what the board has.

    Attributes:
        flash_bytes: Flash of the whole image.
        ram_bytes: RAM of the whole image, its stack and buffers too.
        cycles: Of one inference, as estimated; instructions where no kernel was counted.
    """

    flash_bytes: int = 0
    ram_bytes: int = 0
    cycles: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """How kernels are chosen.

    Attributes:
        isas: Instruction sets whose kernels may be used, best first; None for those that the
            board's core runs.
        optimize: The objective, one of `tinyq.selection.OBJECTIVES`.
        tuner: Counts candidates; None to go by estimates.
        weights_in_ram: Whether start-up code copies the constants of all layers to RAM, whose
            loads wait for nothing.
        limits: What the build may take.
        eager: Whether layers go by rows for ``ram`` where all fits without.
    """

    isas: tuple[str, ...] | None = None
    optimize: str = "balanced"
    tuner: Tuner | None = None
    weights_in_ram: bool = False
    limits: Limits = Limits()
    eager: bool = True


@dataclass(frozen=True, slots=True)
class LayerKernel:
    """The kernel of a layer, or one that it was chosen from.

    Attributes:
        layer: Node of the graph.
        kernel: Its name, see `tinyq.kernels`.
        chosen: Whether it is the one.
        instructions: Of one inference; None where nothing is known.
        cycles: Estimated from counts, see `tinyq.measurement.profile`; None without such counts.
        counted: Whether instructions were counted; an estimate otherwise.
        table_bytes: Constants of the layer as they lie in flash.
        code_bytes: Machine code, shared with other layers or not; estimated unless counted.
        scratch_bytes: RAM while it runs.
    """

    layer: str
    kernel: str
    chosen: bool
    instructions: int | None
    cycles: int | None
    counted: bool
    table_bytes: int
    code_bytes: int
    scratch_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """A build folder that exists on disk.

    Attributes:
        folder: Where it is.
        graph: The integer graph after all passes.
        plan: Where its tensors live.
        image: The linked firmware.
        graph_digest: SHA-256 of the graph, hexadecimal.
        optimize: Objective by which kernels were chosen.
        isas: Instruction sets whose kernels might be used, best first.
        kernels: All kernels that fitted each layer, in execution order.
        cflags: Compiler flags that the selection of kernels asked for.
    """

    folder: Path
    graph: Graph
    plan: MemoryPlan
    image: Image
    graph_digest: str
    optimize: str
    isas: tuple[str, ...]
    kernels: tuple[LayerKernel, ...]
    cflags: tuple[str, ...]

    @property
    def chosen(self) -> Mapping[str, LayerKernel]:
        """The kernel of each layer that has one."""
        return {entry.layer: entry for entry in self.kernels if entry.chosen}


def describe_kernel(kernel: str) -> str:
    """A kernel's name; manifests of earlier versions have that of its file."""
    return kernel.partition(".")[0]
