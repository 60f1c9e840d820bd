"""A build folder: the graph, its generated C, the firmware of one board, and what they are.

DIR/graph.tqg        the integer graph
DIR/project.json     board, sizes, digests, memory plan, the kernel of each layer and its rivals
DIR/model/           the generated C
DIR/firmware/        start-up, port, protocol
DIR/Makefile         builds firmware.elf again without Python (or the files of another build system)
DIR/firmware.elf     what runs
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tinyq
from tinyq.codegen import (
    Budget,
    Candidates,
    Choice,
    check_objective,
    choose_kernels,
    emit,
    gather_candidates,
    plan_kernels,
    prefer_isas,
)
from tinyq.errors import BudgetError, TinyqError
from tinyq.firmware.build import BuildOptions, Costs, Image, build
from tinyq.firmware.build_systems import DIRECT
from tinyq.firmware.cmsis_nn import ISA, find_cmsis_nn
from tinyq.graph import Graph
from tinyq.graph.passes import simplify
from tinyq.graph.storage import digest, load_graph, save_graph
from tinyq.hardware.boards import Board, find_board
from tinyq.memory.planner import MemoryPlan, plan
from tinyq.support.documents import check_schema, write_document
from tinyq.support.folders import check_replaceable, stage
from tinyq.targets.wire import payload_bytes

MANIFEST = "project.json"
GRAPH = "graph.tqg"

# Flash of start-up, port and protocol, about; and what they have in RAM beside their buffers.
_FIRMWARE_BYTES, _VARIABLE_BYTES = 5120, 128
_MOST_TRIES = 4

_PAGED = ("avr",)  # instruction sets that read no constants from flash
# Compiler flags by objective: where flash comes first, loops in C may be slower for it.
_CFLAGS: Mapping[str, tuple[str, ...]] = MappingProxyType({"size": ("-Os",)})


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
class Selection:
    """How kernels are chosen.

    Attributes:
        isas: Instruction sets whose kernels may be used, best first; None for those that the
            board's core runs.
        optimize: The objective, one of `tinyq.codegen.OBJECTIVES`.
        tuner: Counts candidates; None to go by estimates.
        weights_in_ram: Whether start-up code copies the constants of all layers to RAM, whose
            loads wait for nothing.
    """

    isas: tuple[str, ...] | None = None
    optimize: str = "balanced"
    tuner: Tuner | None = None
    weights_in_ram: bool = False


@dataclass(frozen=True, slots=True)
class LayerKernel:
    """The kernel of a layer, or one that it was chosen from.

    Attributes:
        layer: Node of the graph.
        kernel: File name of the template.
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


@dataclass(frozen=True, slots=True)
class _Job:
    """What is built, for which board, where, and with which kernels."""

    graph: Graph
    board: Board
    folder: Path
    options: BuildOptions
    isas: tuple[str, ...]
    optimize: str


def create_project(
    graph: Graph,
    board: Board,
    folder: Path,
    build_system: str = DIRECT,
    cmsis_nn: str | Path | None = None,
    kernels: Selection | None = None,
) -> Project:
    """Generate, compile and link a graph for a board.

    The folder is replaced as a whole when everything has succeeded, and untouched otherwise.

    Args:
        graph: A verified integer graph.
        board: What to build for.
        folder: Missing, empty, or an earlier project.
        build_system: What runs the compiler, see `tinyq.firmware.build_systems`.
        cmsis_nn: Folder or address of CMSIS-NN, whose functions then compute the layers that they
            cover, see `tinyq.firmware.cmsis_nn.find_cmsis_nn`.
        kernels: How kernels are chosen.

    Raises:
        TinyqError: The folder holds something else, or the graph cannot be built.
    """
    selection = kernels or Selection()
    check_replaceable(folder, MANIFEST, "a build folder")
    check_objective(selection.optimize)
    cflags = _list_flags(selection, board)
    simplified = simplify(graph)
    own = selection.isas or prefer_isas(board.isa)
    isas = (ISA, *own) if cmsis_nn else own
    library = find_cmsis_nn(cmsis_nn, simplified, isas) if cmsis_nn else None
    options = dataclasses.replace(
        capacities(simplified, board), build_system=build_system, library=library, cflags=cflags
    )
    candidates, setting = gather_candidates(simplified, isas), Setting(board, isas, cflags)
    if selection.tuner:
        candidates = selection.tuner(simplified, candidates, setting)
    with stage(folder) as staged:
        job = _Job(simplified, board, staged, options, isas, selection.optimize)
        choice, memory, image = _build_fitting(job, candidates, find_budget(board, options))
        made = describe_project(simplified, memory, image, choice, setting)
        save_graph(simplified, staged / GRAPH)
        write_manifest(made, staged / MANIFEST)
    placed = dataclasses.replace(image, elf=folder / image.elf.name)
    return dataclasses.replace(made, folder=folder, image=placed)


def _list_flags(selection: Selection, board: Board) -> tuple[str, ...]:
    """Compiler flags that a selection asks for."""
    flags = _CFLAGS.get(selection.optimize, ())
    if not selection.weights_in_ram:
        return flags
    if board.isa in _PAGED:
        raise TinyqError(
            "the core's constants are in RAM anyway, one layer's at a time",
            where=f"board {board.name}",
            remedy="build without --weights-in-ram",
        )
    return (*flags, "-DTQ_CONSTANTS_IN_RAM")


def open_project(folder: Path) -> Project:
    """Read a build folder.

    Raises:
        TinyqError: It is missing, incomplete, or made by another version.
    """
    manifest = _read_manifest(folder)
    graph = load_graph(folder / GRAPH)
    graph_digest = digest(graph)
    if graph_digest != manifest["graph_digest"]:
        raise TinyqError(
            "the graph file is not the one that the firmware was built from",
            where=str(folder / GRAPH),
            remedy="build the model again",
        )
    elf = folder / manifest["image"].pop("elf")
    if not elf.is_file():
        raise TinyqError("the firmware is missing", where=str(elf), remedy="build the model again")
    image = Image(elf=elf, board=find_board(manifest["board"]), **manifest["image"])
    kernels = tuple(LayerKernel(**entry) for entry in manifest["layers"])
    overrides = {entry.layer: entry.kernel for entry in kernels if entry.chosen}
    isas = tuple(manifest["kernels"])
    memory = plan_kernels(graph, isas, overrides)
    return Project(
        folder,
        graph,
        memory,
        image,
        graph_digest,
        manifest["optimize"],
        isas,
        kernels,
        tuple(manifest["cflags"]),
    )


def repeat_kernels(project: Project) -> Selection:
    """The choice of a project for parts of its graph: the layers that both have keep theirs."""
    chosen = {entry.layer: entry.kernel for entry in project.kernels if entry.chosen}

    def keep(graph: Graph, candidates: Candidates, setting: Setting) -> Candidates:
        return {
            name: tuple(entry for entry in found if entry.kernel == chosen.get(name)) or found
            for name, found in candidates.items()
        }

    return Selection(project.isas, project.optimize, keep)


def build_for_host(project: Project) -> Image:
    """The same model as a program on this machine, in the folder host/ of the project."""
    tree = emit(project.graph, plan(project.graph))
    host = find_board("host")
    options = capacities(project.graph, host)
    return build(tree.files, host, project.folder / "host", options)


def flash_costs(choice: Choice) -> Costs:
    """Bytes of each layer's tables as they lie in flash, with the kernel that wants them so."""
    return tuple(
        (f"{layer.node} by {describe_kernel(layer.chosen.kernel)}", layer.chosen.table_bytes)
        for layer in choice.layers
    )


def describe_kernel(kernel: str) -> str:
    """A kernel's file name for people."""
    return kernel.partition(".")[0]


def find_budget(board: Board, options: BuildOptions) -> Budget:
    """The memory of a board, and about what of it the firmware itself takes."""
    buffers = options.payload_bytes + (options.reply_bytes or options.payload_bytes)
    return Budget(
        board.flash_bytes,
        board.ram_bytes,
        _FIRMWARE_BYTES,
        board.stack_bytes + buffers + _VARIABLE_BYTES,
    )


def _build_fitting(
    job: _Job, candidates: Candidates, budget: Budget
) -> tuple[Choice, MemoryPlan, Image]:
    """Choose and build; where the board turns out too small, choose again within what is left."""
    choice = choose_kernels(job.graph, candidates, job.optimize, budget)
    for _ in range(_MOST_TRIES):
        memory = plan_kernels(job.graph, job.isas, choice.overrides)
        try:
            return choice, memory, _build(job, choice, memory)
        except BudgetError as error:
            budget, failure = _tighten(budget, choice, memory, error), error
            other = choose_kernels(job.graph, candidates, job.optimize, budget)
        if other.overrides == choice.overrides:
            break
        choice = other
    raise failure


def _tighten(budget: Budget, choice: Choice, memory: MemoryPlan, error: BudgetError) -> Budget:
    """The budget as the linker saw it: what is left for kernels is less than was thought."""
    if error.flash_excess:
        left = choice.flash_bytes - error.flash_excess
        budget = dataclasses.replace(budget, firmware_flash_bytes=budget.flash_bytes - left)
    if error.ram_excess:
        left = memory.arena_bytes - error.ram_excess
        budget = dataclasses.replace(budget, firmware_ram_bytes=budget.ram_bytes - left)
    return budget


def _build(job: _Job, choice: Choice, memory: MemoryPlan) -> Image:
    costs = dataclasses.replace(
        job.options, flash_costs=flash_costs(choice), ram_costs=_ram_costs(job.graph, memory)
    )
    sources = emit(job.graph, memory, job.isas, choice.overrides).files
    return build(sources, job.board, job.folder, costs)


def _ram_costs(graph: Graph, memory: MemoryPlan) -> Costs:
    """Bytes of each activation that lives in the arena, by the node that computes it."""
    return tuple(
        (node.name, graph.tensors[node.output].type.packed_bytes)
        for node in graph.nodes
        if node.output in memory.offsets
    )


def capacities(graph: Graph, board: Board) -> BuildOptions:
    """Payload sizes of requests and replies."""
    request, reply = payload_bytes(
        graph.input.type.packed_bytes,
        graph.output.type.packed_bytes,
        len(graph.nodes),
        board.batch_bytes,
    )
    return BuildOptions(payload_bytes=request, reply_bytes=reply)


def describe_project(
    graph: Graph, memory: MemoryPlan, image: Image, choice: Choice, setting: Setting
) -> Project:
    """What a build has made, in the folder of its image."""
    return Project(
        image.elf.parent,
        graph,
        memory,
        image,
        digest(graph),
        choice.objective,
        setting.isas,
        list_kernels(choice),
        setting.cflags,
    )


def write_manifest(project: Project, path: Path) -> None:
    """Write project.json, by which `open_project` knows a folder."""
    image = project.image
    fields = {
        field.name: getattr(image, field.name)
        for field in dataclasses.fields(image)
        if field.name not in ("elf", "board")
    }
    manifest = {
        "tinyq_version": tinyq.__version__,
        "model": project.graph.name,
        "graph_digest": project.graph_digest,
        "board": image.board.name,
        "image": {"elf": image.elf.name, **fields},
        "arena_bytes": project.plan.arena_bytes,
        "arena_proven": project.plan.proven,
        "kernels": list(project.isas),
        "cflags": list(project.cflags),
        "optimize": project.optimize,
        "layers": [dataclasses.asdict(entry) for entry in project.kernels],
    }
    write_document(path, "project", manifest)


def list_kernels(choice: Choice) -> tuple[LayerKernel, ...]:
    """All candidates of all layers, with the chosen ones marked."""
    return tuple(
        LayerKernel(
            layer=layer.node,
            kernel=entry.kernel,
            chosen=entry is layer.chosen,
            instructions=entry.instructions,
            cycles=entry.cycles,
            counted=entry.counted,
            table_bytes=entry.table_bytes,
            code_bytes=sum(entry.code.values()),
            scratch_bytes=entry.scratch_bytes,
        )
        for layer in choice.layers
        for entry in layer.candidates
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    remedy = "name a folder that `tinyq build MODEL -o DIR` has written"
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise TinyqError("is not a build folder", where=str(folder), remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise TinyqError(f"cannot be read ({error})", where=str(path), remedy=remedy) from None
    return check_schema(manifest, "project", path, "build the model again")
