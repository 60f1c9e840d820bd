"""Cores that a package is for: the kernels of each, and how a compiler says which one it is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from types import MappingProxyType

from tinyq.codegen import SourceTree, Variant, emit
from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.hardware.boards import Board, find_board
from tinyq.memory.planner import MemoryPlan
from tinyq.memory.states import measure_states
from tinyq.project import capacities, find_budget
from tinyq.selection import (
    GENERIC,
    Choice,
    Fusion,
    check_objective,
    fuse_layers,
    gather_candidates,
    plan_kernels,
    prefer_isas,
)

PORTABLE = "generic"
_THUMB = "defined(__GNUC__) && defined(__thumb__) && __ARM_ARCH_PROFILE == 'M'"
_THUMB2 = "defined(__GNUC__) && defined(__thumb2__) && __ARM_ARCH_PROFILE == 'M'"


@dataclass(frozen=True, slots=True)
class Core:
    """An instruction set that has kernels of its own.

    Attributes:
        isa: Its name.
        condition: What compilers for it have defined, for the preprocessor.
        names: Cores that have it, as compilers name them.
        board: One of them, whose firmware is what flash and RAM are weighed against.
    """

    isa: str
    condition: str
    names: tuple[str, ...]
    board: str


CORES = (
    Core(
        "mve",
        "defined(__GNUC__) && defined(__ARM_FEATURE_MVE)",
        ("cortex-m55", "cortex-m85", "cortex-m52"),
        "mps3-an547",
    ),
    Core(
        "armv7em",
        f"{_THUMB2} && defined(__ARM_FEATURE_DSP)",
        ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m35p"),
        "mps2-an386",
    ),
    Core("armv7m", _THUMB2, ("cortex-m3",), "mps2-an385"),
    Core("armv6m", _THUMB, ("cortex-m0", "cortex-m0plus", "cortex-m1", "cortex-m23"), "pico"),
)
_PORTABLE_CORE = Core(PORTABLE, "1", (PORTABLE,), "host")


@dataclass(frozen=True, slots=True)
class Request:
    """Which kernels a package has.

    Attributes:
        board: Whose core and memory they are for; None for ``cores``.
        cores: Names of cores or instruction sets, several behind the preprocessor's ``#if`` with
            portable C as the last; all that have kernels where it is empty.
        optimize: What kernels are chosen for.
    """

    board: Board | None = None
    cores: tuple[str, ...] = ()
    optimize: str = "balanced"


@dataclass(frozen=True, slots=True)
class Library:
    """The sources of a package.

    Attributes:
        tree: All files; those of several cores have the instruction set in their names.
        cores: What they are for, the first that fits is taken.
        choices: The kernels of each core.
        plans: The memory plan of each core.
    """

    tree: SourceTree
    cores: tuple[Core, ...]
    choices: tuple[Choice, ...]
    plans: tuple[MemoryPlan, ...]

    @property
    def ram_bytes(self) -> int:
        """The arena of the core that needs most."""
        return max(plan.ram_bytes for plan in self.plans)


def find_cores(request: Request) -> tuple[Core, ...]:
    """The cores of a request, in the order in which the preprocessor asks.

    Raises:
        TinyqError: There is no such core or objective, or both a board and cores are named.
    """
    check_objective(request.optimize)
    if request.board is not None:
        if request.cores:
            raise TinyqError(
                "a board has one core, and both were named",
                where="--core",
                remedy="pass either --board or --core",
            )
        return (_find_isa(request.board.isa, "--board"),)
    if not request.cores:
        return (*CORES, _PORTABLE_CORE)
    named = {_find_core(name) for name in request.cores}
    found = tuple(core for core in (*CORES, _PORTABLE_CORE) if core in named)
    return (
        found
        if len(found) == 1 or PORTABLE in (it.isa for it in found)
        else (*found, _PORTABLE_CORE)
    )


def make_library(graph: Graph, request: Request, classes: Sequence[str] = ()) -> Library:
    """Sources with the kernels that `tinyq build` takes by the same objective.

    Args:
        graph: A simplified graph.
        request: For which cores.
        classes: Names of the classes of the output.

    Raises:
        TinyqError: As of `find_cores`, or a node has no kernel.
    """
    cores = find_cores(request)
    choices = tuple(_choose(graph, core, request) for core in cores)
    plans = tuple(plan_kernels(graph, choice.bounds, choice.chains) for choice in choices)
    if len(cores) == 1:
        tree = emit(graph, plans[0], choices[0].bounds, classes=classes)
        return Library(tree, cores, choices, plans)
    variants = tuple(
        Variant(core.isa, core.condition, plan.arena_bytes)
        for core, plan in zip(cores, plans, strict=True)
    )
    files: dict[PurePath, str] = {}
    for variant, plan, choice in zip(variants, plans, choices, strict=True):
        tree = emit(graph, plan, choice.bounds, variant, variants, classes)
        files = {**tree.files, **files}
    return Library(replace(tree, files=MappingProxyType(files)), cores, choices, plans)


def _choose(graph: Graph, core: Core, request: Request) -> Choice:
    """The choice of a build for the board, or for a board of unlimited memory with the core."""
    board = request.board or find_board(core.board)
    budget = find_budget(board, capacities(graph, board), measure_states(graph))
    if request.board is None:
        budget = replace(budget, flash_bytes=0, ram_bytes=0)
    isas = GENERIC if core.isa == PORTABLE else prefer_isas(board.isa)
    candidates = gather_candidates(graph, isas)
    return fuse_layers(graph, candidates, request.optimize, budget, Fusion(isas))


def _find_core(name: str) -> Core:
    for core in (*CORES, _PORTABLE_CORE):
        if name.lower() in (core.isa, *core.names):
            return core
    known = [name for core in (*CORES, _PORTABLE_CORE) for name in core.names]
    raise TinyqError(
        f"there is no core {name!r} with kernels of its own",
        where="--core",
        remedy=f"choose among {', '.join(known)}; generic is portable C for all others",
    )


def _find_isa(isa: str, where: str) -> Core:
    kernels = prefer_isas(isa)
    return next((core for core in CORES if core.isa in kernels), _PORTABLE_CORE)
