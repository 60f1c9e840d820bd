"""The choice of kernels: which of those that fit computes each node, by a stated objective.

Every node has candidates, each with instructions, bytes of its tables and of its code, and what it
asks of the arena. One is taken for each node, so that the objective is smallest among all choices
within flash and RAM; a mixed-integer program proves it. Code that several nodes share counts once.
Where candidates were counted, their estimated cycles take the place of instructions.

    speed     fewest instructions, then the smallest flash
    size      smallest flash, then fewest instructions
    ram       smallest arena, then fewest instructions, then the smallest flash
    balanced  instructions / I + flash / F + ram / R is smallest, where I, F and R are the least
              that any choice needs and the firmware's own part counts in flash and RAM: one percent
              of one is worth one percent of another
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import jinja2
import numpy as np

from tinyq.codegen.estimates import estimate_code
from tinyq.codegen.kernels import Stage
from tinyq.codegen.rendering import make_environment, render_function, render_stage
from tinyq.codegen.special import write_special
from tinyq.codegen.variants import Function, Variant, gather_facts, list_variants
from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node
from tinyq.memory.planner import find_views, measure_needs

OBJECTIVES = ("balanced", "speed", "size", "ram")
BALANCED, SPEED, SIZE, RAM = OBJECTIVES
EXPLANATIONS: Mapping[str, str] = MappingProxyType(
    {
        BALANCED: "one percent of the fewest instructions, of the least flash and of the least RAM "
        "are worth the same",
        SPEED: "fewest instructions, then least flash",
        SIZE: "least flash, then fewest instructions",
        RAM: "smallest arena, then fewest instructions, then least flash",
    }
)


@dataclass(frozen=True, slots=True)
class Budget:
    """The memory of a board, in bytes; 0 for no limit.

    Attributes:
        flash_bytes: Flash.
        ram_bytes: RAM.
        firmware_flash_bytes: Flash that is no kernel's: start-up, port, protocol.
        firmware_ram_bytes: RAM that is not the arena: stack, buffers of the protocol.
    """

    flash_bytes: int = 0
    ram_bytes: int = 0
    firmware_flash_bytes: int = 0
    firmware_ram_bytes: int = 0

    @property
    def kernel_bytes(self) -> int:
        """Flash for tables and code of the kernels; 0 for no limit."""
        left = self.flash_bytes - self.firmware_flash_bytes
        return max(left, 1) if self.flash_bytes else 0

    @property
    def arena_bytes(self) -> int:
        """RAM for activations and scratch memory; 0 for no limit."""
        return max(self.ram_bytes - self.firmware_ram_bytes, 1) if self.ram_bytes else 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kernel that can compute a node, and what it costs there.

    Attributes:
        kernel: File name of the template.
        instructions: Of one inference; None where nothing is known.
        counted: Whether instructions and code were measured; both are estimates otherwise.
        table_bytes: Constants and settings of the node as they lie in flash.
        code: Bytes of machine code by part; nodes that name the same part share it.
        scratch_bytes: Room in the arena while it runs.
        in_place: Operands whose bytes the output may take.
        cycles: Estimated from counts; None without such counts.
    """

    kernel: str
    instructions: int | None
    counted: bool
    table_bytes: int
    code: Mapping[str, int]
    scratch_bytes: int
    in_place: tuple[int, ...] = ()
    cycles: int | None = None

    @property
    def flash_bytes(self) -> int:
        """Tables and all code, shared or not."""
        return self.table_bytes + sum(self.code.values())


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """The kernel of a node and those that it was chosen from.

    Attributes:
        node: Its name.
        chosen: What computes it.
        candidates: All that fit, the chosen one among them.
    """

    node: str
    chosen: Candidate
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Kernels of all nodes that need one.

    Attributes:
        objective: One of `OBJECTIVES`.
        layers: In execution order.
    """

    objective: str
    layers: tuple[LayerChoice, ...]

    @property
    def overrides(self) -> Mapping[str, str]:
        """File name of the kernel by node, for `plan_kernels` and `emit`."""
        return MappingProxyType({layer.node: layer.chosen.kernel for layer in self.layers})

    @property
    def flash_bytes(self) -> int:
        """Tables and code, shared code once."""
        parts = {key: size for layer in self.layers for key, size in layer.chosen.code.items()}
        return sum(layer.chosen.table_bytes for layer in self.layers) + sum(parts.values())


Candidates = Mapping[str, tuple[Candidate, ...]]


def gather_candidates(graph: Graph, isas: Sequence[str]) -> Candidates:
    """What can compute each node, estimated; the kernels of instruction sets earlier first.

    A kernel of which no instructions are known cannot be compared: where one comes first in the
    order of the instruction sets, it is the only candidate.
    """
    views, sizes = find_views(graph), _Sizes(make_environment(), {})
    return MappingProxyType(
        {
            node.name: _compare(_list_fitting(graph, node, isas, sizes))
            for node in graph.nodes
            if node.name not in views
        }
    )


def choose_kernels(
    graph: Graph,
    candidates: Candidates,
    objective: str = BALANCED,
    budget: Budget | None = None,
) -> Choice:
    """The best choice by an objective.

    Args:
        graph: A verified graph.
        candidates: What can compute each of its nodes.
        objective: One of `OBJECTIVES`.
        budget: What the choice may take. Where none is small enough, one as little above it as can
            be: the linker says by how much.

    Raises:
        TinyqError: There is no such objective.
    """
    check_objective(objective)
    program = _Program.of(graph, candidates, budget or Budget())
    chosen = program.start()
    if any(len(found) > 1 for found in candidates.values()):
        chosen = _SEARCHES[objective](program)
    layers = tuple(
        LayerChoice(name, found[index], found)
        for (name, found), index in zip(candidates.items(), chosen, strict=True)
    )
    return Choice(objective, layers)


def check_objective(objective: str) -> None:
    """Check a name.

    Raises:
        TinyqError: There is no such objective.
    """
    if objective not in OBJECTIVES:
        raise TinyqError(
            f"there is no objective {objective!r}",
            where="--optimize",
            remedy=f"choose one of {', '.join(OBJECTIVES)}",
        )


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Code sizes of parts by their names, and the templates of generic kernels."""

    environment: jinja2.Environment
    known: dict[str, int]


def _list_fitting(
    graph: Graph, node: Node, isas: Sequence[str], sizes: _Sizes
) -> tuple[Candidate, ...]:
    found = [v for v in list_variants(graph, node, isas) if isinstance(v, Variant)]
    if not found:
        raise TinyqError(
            f"no kernel for {node.op.kernel} takes this layer",
            where=node.name,
            remedy="allow the generic kernels",
        )
    return tuple(_make_candidate(graph, node, variant, sizes) for variant in found)


def _compare(found: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    if found[0].instructions is None:
        return found[:1]
    return tuple(candidate for candidate in found if candidate.instructions is not None)


def _make_candidate(graph: Graph, node: Node, variant: Variant, sizes: _Sizes) -> Candidate:
    function = variant.function
    special = function.special
    if special:
        tables = sum(table.words.nbytes for table in special.arrangement.tables)
        if special.arrangement.staged:
            tables += sum(4 * codes.size + 4 for codes in special.facts.tables.values())
        code, in_place = _split_special(function, sizes), special.in_place
    else:
        arranged = (variant.constants.get(it.name, it) for it in graph.constants(node))
        constants = {tensor.name: tensor.type.packed_bytes for tensor in arranged}
        facts = gather_facts(graph, node, (function.kernel.isa,))
        tables = sum(constants.values()) + 4 * (len(facts.geometry) + len(facts.tables))
        code, in_place = _split_generic(function, sizes), ()
    return Candidate(
        kernel=function.kernel.path.name,
        instructions=variant.instructions,
        counted=False,
        table_bytes=tables,
        code=MappingProxyType(code),
        scratch_bytes=variant.scratch_bytes or 0,
        in_place=in_place,
    )


def _split_special(function: Function, sizes: _Sizes) -> dict[str, int]:
    """Bytes of a special kernel's own text, and of the parts that it shares with others."""
    assert function.special is not None
    asked: list[str] = []

    def refuse(name: str) -> bool:
        asked.append(name)
        return False

    own = write_special(function.special, function.name, refuse)
    alone = estimate_code(own)
    for name in asked:
        if name not in sizes.known:
            text = write_special(function.special, function.name, name.__eq__)
            sizes.known[name] = estimate_code(text) - alone
    staged = function.stage if function.special.arrangement.staged else None
    return {own: alone, **{name: sizes.known[name] for name in asked}} | _split_stage(
        function, staged, sizes
    )


def _split_generic(function: Function, sizes: _Sizes) -> dict[str, int]:
    if function.name not in sizes.known:
        text = render_function(sizes.environment, function)
        sizes.known[function.name] = estimate_code(text)
    parts = {function.name: sizes.known[function.name]}
    return parts | _split_stage(function, function.stage, sizes)


def _split_stage(function: Function, stage: Stage | None, sizes: _Sizes) -> dict[str, int]:
    """Bytes of the text of an output stage, if there is one."""
    if stage is None:
        return {}
    if stage.function not in sizes.known:
        text = render_stage(sizes.environment, function, stage)
        sizes.known[stage.function] = estimate_code(text)
    return {stage.function: sizes.known[stage.function]}


@dataclass(frozen=True, slots=True)
class _Program:
    """The choice in numbers; columns are all candidates, then the shared parts, then the arena.

    Attributes:
        sizes: Candidates of each node.
        instructions: Of each column.
        flash: Bytes of each column.
        arena: Which column is the arena.
        rows: Left sides of ``rows @ x <= 0``.
        budget: The board's memory.
        flash_limit: Bytes of flash, 0 for none.
        arena_limit: Bytes of the arena, 0 for none.
        caps: Left side and limit of what earlier goals have settled.
    """

    sizes: tuple[int, ...]
    instructions: np.ndarray
    flash: np.ndarray
    arena: np.ndarray
    rows: np.ndarray
    budget: Budget
    flash_limit: int
    arena_limit: int
    caps: tuple[tuple[np.ndarray, float], ...] = field(default=())

    @classmethod
    def of(cls, graph: Graph, candidates: Candidates, budget: Budget) -> _Program:
        """Write the program of a graph down."""
        columns = [entry for found in candidates.values() for entry in found]
        owners = [place for place, found in enumerate(candidates.values()) for _ in found]
        parts = list(dict.fromkeys(key for entry in columns for key in entry.code))
        width = len(columns) + len(parts) + 1
        instructions, flash, arena = np.zeros((3, width))
        instructions[: len(columns)] = _measure_time(candidates)
        flash[: len(columns)] = [entry.table_bytes for entry in columns]
        for entry in columns:
            for key, size in entry.code.items():
                flash[len(columns) + parts.index(key)] = size
        arena[-1] = 1
        rows = []
        for place, entry in enumerate(columns):
            for key in entry.code:
                row = np.zeros(width)
                row[place], row[len(columns) + parts.index(key)] = 1, -1
                rows.append(row)
        needs = np.zeros((len(candidates), width))
        needs[owners, range(len(columns))] = _measure_arenas(graph, candidates)
        needs[:, -1] = -1
        rows.extend(needs)
        return cls(
            tuple(map(len, candidates.values())),
            instructions,
            flash,
            arena,
            np.array(rows),
            budget,
            budget.kernel_bytes,
            budget.arena_bytes,
        )

    def start(self) -> tuple[int, ...]:
        """The first candidate of each node."""
        return (0,) * len(self.sizes)

    def minimize(self, goal: np.ndarray) -> tuple[np.ndarray, float] | None:
        """The best columns and their value, or None where the limits cannot be kept."""
        # Importing scipy takes longer than most choices.
        from scipy.optimize import Bounds, LinearConstraint, milp

        width, count = len(goal), sum(self.sizes)
        one = np.zeros((len(self.sizes), width))
        one[np.repeat(np.arange(len(self.sizes)), self.sizes), np.arange(count)] = 1
        constraints = [LinearConstraint(one, 1, 1), LinearConstraint(self.rows, -np.inf, 0)]
        for row, most in self._list_caps():
            scale = max(abs(most), 1.0)
            constraints.append(LinearConstraint(row / scale, -np.inf, most / scale))
        integral = np.zeros(width)
        integral[:count] = 1
        upper = np.ones(width)
        upper[-1] = np.inf
        result = milp(
            goal / max(float(np.abs(goal).max()), 1.0),
            constraints=constraints,
            bounds=Bounds(np.zeros(width), upper),
            integrality=integral,
            options={"mip_rel_gap": 0.0},
        )
        return None if result.x is None else (result.x, float(goal @ result.x))

    def settle(self, goal: np.ndarray) -> tuple[_Program, np.ndarray]:
        """The program of what is best by a goal, with that; limits give way where they must."""
        found, program = self.minimize(goal), self
        if found is None:
            program = self._relax()
            found = program.minimize(goal)
        assert found is not None, "the limits were made such that some choice keeps them"
        columns, value = found
        # Instructions and bytes are whole numbers, so half of one is room for rounding alone.
        return replace(program, caps=(*program.caps, (goal, value + 0.5))), columns

    def read(self, columns: np.ndarray) -> tuple[int, ...]:
        """The candidate of each node."""
        ends = np.cumsum(self.sizes)
        return tuple(int(part.argmax()) for part in np.split(columns[: ends[-1]], ends[:-1]))

    def _list_caps(self) -> list[tuple[np.ndarray, float]]:
        limits = ((self.flash, self.flash_limit), (self.arena, self.arena_limit))
        return [*self.caps, *((row, float(limit)) for row, limit in limits if limit)]

    def _relax(self) -> _Program:
        """The same with limits that some choice keeps: RAM as near as can be, then flash."""
        program = replace(self, flash_limit=0)
        if self.arena_limit:
            least = replace(program, arena_limit=0).find_least(self.arena)
            program = replace(program, arena_limit=max(self.arena_limit, least))
        if self.flash_limit:
            least = program.find_least(self.flash)
            program = replace(program, flash_limit=max(self.flash_limit, least))
        return program

    def find_least(self, goal: np.ndarray) -> int:
        """The least bytes or instructions that any choice needs."""
        found = self.minimize(goal)
        assert found is not None, "each node has a candidate"
        return round(found[1])

    def free(self) -> _Program:
        """The same without limits."""
        return replace(self, flash_limit=0, arena_limit=0)


def _in_order(*names: str) -> Callable[[_Program], tuple[int, ...]]:
    """A search by one goal after the other."""

    def search(program: _Program) -> tuple[int, ...]:
        columns = np.zeros(0)
        for name in names:
            program, columns = program.settle(getattr(program, name))
        return program.read(columns)

    return search


def _balance(program: _Program) -> tuple[int, ...]:
    """Search by the sum of all goals, each as a multiple of the least that any choice needs."""
    free, budget = program.free(), program.budget
    terms = (
        (program.instructions, 0),
        (program.flash, budget.firmware_flash_bytes),
        (program.arena, budget.firmware_ram_bytes),
    )
    goal = np.zeros(len(program.flash))
    for costs, fixed in terms:
        base = free.find_least(costs) + fixed
        goal += costs / base if base else 0.0
    _, columns = program.settle(goal)
    return program.read(columns)


_SEARCHES: Mapping[str, Callable[[_Program], tuple[int, ...]]] = MappingProxyType(
    {
        BALANCED: _balance,
        SPEED: _in_order("instructions", "flash"),
        SIZE: _in_order("flash", "instructions"),
        RAM: _in_order("arena", "instructions", "flash"),
    }
)


def _measure_time(candidates: Candidates) -> list[int]:
    """Cycles of each candidate where all that have a rival were counted, instructions otherwise."""
    columns = [entry for found in candidates.values() for entry in found]
    rivals = [entry for found in candidates.values() if len(found) > 1 for entry in found]
    if any(entry.cycles is None for entry in rivals):
        return [entry.instructions or 0 for entry in columns]
    return [entry.cycles or entry.instructions or 0 for entry in columns]


def _measure_arenas(graph: Graph, candidates: Candidates) -> list[int]:
    """Bytes of arena that each candidate's node needs at least while it runs."""
    rounds = range(max(map(len, candidates.values()), default=0))
    index = {node.name: place for place, node in enumerate(graph.nodes)}
    needs = []
    for turn in rounds:
        entries = {name: found[min(turn, len(found) - 1)] for name, found in candidates.items()}
        needs.append(
            measure_needs(
                graph,
                {name: entry.scratch_bytes for name, entry in entries.items()},
                {name: entry.in_place for name, entry in entries.items()},
            )
        )
    return [
        needs[turn][index[name]] for name, found in candidates.items() for turn in range(len(found))
    ]
