"""A graph becomes a build folder: kernels chosen, C generated, compiled and linked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tinyq.codegen import emit
from tinyq.errors import BudgetError, TinyqError
from tinyq.firmware.build import BuildOptions, Image, build, check_budget
from tinyq.firmware.build_systems import DIRECT, find_build_system
from tinyq.firmware.cmsis_nn import ISA, find_cmsis_nn
from tinyq.firmware.settings import Costs
from tinyq.graph import Graph
from tinyq.graph.interface import name_ports, packed_bytes
from tinyq.graph.passes import simplify
from tinyq.graph.storage import digest, save_graph
from tinyq.hardware.boards import Board, find_board
from tinyq.memory.planner import MemoryPlan, plan
from tinyq.memory.states import measure_states
from tinyq.project.manifest import GRAPH, MANIFEST, write_manifest
from tinyq.project.records import LayerKernel, Limits, Project, Selection, Setting, describe_kernel
from tinyq.selection import (
    Budget,
    Candidates,
    Choice,
    Fusion,
    check_objective,
    fuse_layers,
    gather_candidates,
    plan_kernels,
    prefer_isas,
)
from tinyq.selection.fusion import Tune
from tinyq.support.folders import check_replaceable, stage
from tinyq.targets.wire import payload_bytes

# Flash of start-up, port and protocol, about; and what they have in RAM beside their buffers.
_FIRMWARE_BYTES, _VARIABLE_BYTES = 5120, 128
_MOST_TRIES = 4

_PAGED = ("avr",)  # instruction sets that read no constants from flash
# Compiler flags by objective: where flash comes first, loops in C may be slower for it.
_CFLAGS: Mapping[str, tuple[str, ...]] = MappingProxyType({"size": ("-Os",)})


@dataclass(frozen=True, slots=True)
class _Job:
    """What is built, for which board, where, and with which kernels."""

    graph: Graph
    board: Board
    folder: Path
    options: BuildOptions
    isas: tuple[str, ...]
    selection: Selection


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
    check_request(board, folder, build_system, selection)
    cflags = _list_flags(selection, board)
    simplified = simplify(graph)
    own = selection.isas or prefer_isas(board.isa)
    isas = (ISA, *own) if cmsis_nn else own
    library = find_cmsis_nn(cmsis_nn, simplified, isas) if cmsis_nn else None
    options = dataclasses.replace(
        capacities(simplified, board), build_system=build_system, library=library, cflags=cflags
    )
    candidates, setting = gather_candidates(simplified, isas), Setting(board, isas, cflags)
    tune = _bind_tuner(selection, setting)
    if tune:
        candidates = tune(simplified, candidates)
    budget = find_budget(board, options, measure_states(simplified))
    with stage(folder) as staged:
        job = _Job(simplified, board, staged, options, isas, selection)
        budget = _limit(budget, selection.limits)
        choice, memory, image = _build_fitting(job, candidates, budget, tune)
        made = describe_project(simplified, memory, image, choice, setting)
        save_graph(simplified, staged / GRAPH)
        write_manifest(made, staged / MANIFEST)
    placed = dataclasses.replace(image, elf=folder / image.elf.name)
    return dataclasses.replace(made, folder=folder, image=placed)


def check_request(board: Board, folder: Path, build_system: str, kernels: Selection) -> None:
    """Check all of a build that is known before its graph; arguments as of `create_project`.

    Raises:
        TinyqError: The folder holds something else, or there is no such build system or objective.
    """
    check_replaceable(folder, MANIFEST, "a build folder")
    find_build_system(build_system)
    check_objective(kernels.optimize)
    _check_limits(kernels.limits)
    _list_flags(kernels, board)


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


def repeat_kernels(project: Project) -> Selection:
    """The choice of a project for parts of its graph: the layers that both have keep theirs."""
    chosen = {it.layer: describe_kernel(it.kernel) for it in project.kernels if it.chosen}

    def keep(graph: Graph, candidates: Candidates, setting: Setting) -> Candidates:
        return {
            name: tuple(entry for entry in found if entry.kernel.name == chosen.get(name)) or found
            for name, found in candidates.items()
        }

    return Selection(project.isas, project.optimize, keep, eager=False)


def build_for_host(project: Project) -> Image:
    """The same model as a program on this machine, in the folder host/ of the project."""
    tree = emit(project.graph, plan(project.graph))
    host = find_board("host")
    options = capacities(project.graph, host)
    return build(tree.files, host, project.folder / "host", options)


def flash_costs(choice: Choice) -> Costs:
    """Bytes of each layer's tables as they lie in flash, with the kernel that wants them so."""
    return tuple(
        (f"{node} by {bound.kernel.name}", bound.table_bytes)
        for node, bound in choice.bounds.items()
    )


def find_budget(board: Board, options: BuildOptions, state_bytes: int) -> Budget:
    """The memory of a board, and about what of it the firmware itself and the state take."""
    buffers = options.payload_bytes + (options.reply_bytes or options.payload_bytes)
    return Budget(
        board.flash_bytes,
        board.ram_bytes,
        _FIRMWARE_BYTES,
        board.stack_bytes + board.line_bytes + buffers + state_bytes + _VARIABLE_BYTES,
    )


def _bind_tuner(selection: Selection, setting: Setting) -> Tune | None:
    """The tuner of a selection for a board."""
    tuner = selection.tuner
    return None if tuner is None else lambda graph, found: tuner(graph, found, setting)


def _build_fitting(
    job: _Job, candidates: Candidates, budget: Budget, tune: Tune | None
) -> tuple[Choice, MemoryPlan, Image]:
    """Choose and build; where the board turns out too small, choose again within what is left."""

    def choose(budget: Budget) -> Choice:
        taken = job.selection
        fusion = Fusion(job.isas, tune, taken.eager, job.board.isa in _PAGED)
        return fuse_layers(job.graph, candidates, taken.optimize, budget, fusion)

    choice = choose(budget)
    for _ in range(_MOST_TRIES):
        _check_time(choice, job.selection.limits.cycles)
        memory = plan_kernels(job.graph, choice.bounds, choice.chains)
        try:
            return choice, memory, _build(job, choice, memory)
        except BudgetError as error:
            budget, failure = _tighten(budget, choice, memory, error), error
            other = choose(budget)
        if other.names == choice.names:
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
    sources = emit(job.graph, memory, choice.bounds).files
    image = build(sources, job.board, job.folder, costs)
    limited = dataclasses.replace(
        job.board,
        flash_bytes=job.selection.limits.flash_bytes,
        ram_bytes=job.selection.limits.ram_bytes,
    )
    check_budget(dataclasses.replace(image, board=limited), costs.flash_costs, costs.ram_costs)
    return image


def _limit(budget: Budget, limits: Limits) -> Budget:
    """The board's memory or less."""
    return dataclasses.replace(
        budget,
        flash_bytes=_take_less(budget.flash_bytes, limits.flash_bytes),
        ram_bytes=_take_less(budget.ram_bytes, limits.ram_bytes),
        cycles=limits.cycles,
    )


def _take_less(one: int, other: int) -> int:
    """The smaller limit, of which 0 is none."""
    return min(one, other) if one and other else one or other


def _check_limits(limits: Limits) -> None:
    for name, most in dataclasses.asdict(limits).items():
        if most < 0:
            raise TinyqError(
                f"a limit is at least 0, not {most:,}",
                where=f"--max-{name.removesuffix('_bytes')}",
                remedy="name what the build may take, or leave it out for what the board has",
            )


def _check_time(choice: Choice, most: int) -> None:
    if most and choice.cycles > most:
        raise BudgetError(
            f"the network takes about {choice.cycles:,} cycles by the fastest kernels that the "
            f"other limits leave, {choice.cycles - most:,} more than {most:,}",
            where="--max-cycles",
            remedy="allow more cycles, flash or RAM, or give layers fewer channels",
        )


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
        packed_bytes(graph, graph.inputs),
        packed_bytes(graph, graph.outputs),
        len(graph.nodes),
        board.batch_bytes,
        name_ports(graph),
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


def list_kernels(choice: Choice) -> tuple[LayerKernel, ...]:
    """All candidates of all layers, with the chosen ones marked."""
    return tuple(
        LayerKernel(
            layer=node,
            kernel=entry.kernel.name,
            chosen=entry is choice.bounds[node],
            instructions=entry.instructions,
            cycles=entry.cycles,
            counted=entry.counted,
            table_bytes=entry.table_bytes,
            code_bytes=sum(entry.code.values()),
            scratch_bytes=entry.scratch_bytes,
        )
        for node, found in choice.candidates.items()
        for entry in found
    )
