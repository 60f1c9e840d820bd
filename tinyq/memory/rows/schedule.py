"""The order of a chain: each row is computed when somebody needs it, and not before.

Rows of a store count from the first row of its padding on. Whoever computes the last layer's next
rows asks for the rows that these need; whoever computes those asks in turn. Rows that all readers
have passed are forgotten. What is alive at once is what a ring must hold, so this order needs the
fewest rows of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

COMPUTE, COPY, FILL, MOVE = "compute", "copy", "fill", "move"


@dataclass(frozen=True, slots=True)
class Read:
    """How a layer reads a tensor.

    Attributes:
        tensor: Its name.
        first: Row at which it begins; of a store, padding counted.
        step: Rows from one time to the next.
        height: Rows at a time.
        row_bytes: Of a row.
    """

    tensor: str
    first: int
    step: int
    height: int
    row_bytes: int


@dataclass(frozen=True, slots=True)
class Store:
    """Rows of a tensor that do not lie in memory as a whole.

    Attributes:
        tensor: Its name.
        row_bytes: Of a row.
        height: Rows without padding.
        top: Rows of padding above.
        fill: Word of which padding consists.
        copied: Rows that are copied at a time from a whole tensor; 0 where a layer computes them.
    """

    tensor: str
    row_bytes: int
    height: int
    top: int
    fill: int
    copied: int


@dataclass(frozen=True, slots=True)
class Step:
    """A layer in the order of a chain.

    Attributes:
        tensor: What it computes.
        rows: How many at a time.
        height: How many in all.
        row_bytes: Of a row.
        reads: Of activations, by the position of the operand.
    """

    tensor: str
    rows: int
    height: int
    row_bytes: int
    reads: Mapping[int, Read]


@dataclass(frozen=True, slots=True)
class Process:
    """What the order of a chain depends on.

    Attributes:
        stores: By tensor.
        steps: By layer, in execution order.
    """

    stores: Mapping[str, Store]
    steps: Mapping[str, Step]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that is done.

    Attributes:
        kind: ``compute`` a layer's next rows, ``copy`` or ``fill`` the next rows of a store, or
            ``move`` those that are needed to its beginning.
        name: Of the layer or the tensor.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Order:
    """What is done when, and what it needs.

    Attributes:
        actions: All that is done, each once.
        order: Indexes of them.
        capacity: Rows that each store holds at most.
        moved: Rows of each store that are moved.
        leads: For each tensor that is read as a whole: by how many bytes it must begin behind the
            output for that to lie over rows that were read.
    """

    actions: tuple[Action, ...]
    order: tuple[int, ...]
    capacity: Mapping[str, int]
    moved: Mapping[str, int]
    leads: Mapping[str, int]


def order_actions(process: Process) -> Order:
    """The order in which a chain needs the fewest rows of each store."""
    demand = _Demand(process)
    name, last = list(process.steps.items())[-1]
    for _ in range(last.height // last.rows):
        demand.compute(name)
    moved = dict.fromkeys(process.stores, 0)
    done = list(_insert_moves(process, demand, moved))
    actions = tuple(dict.fromkeys(done))
    numbers = {action: number for number, action in enumerate(actions)}
    return Order(
        actions,
        tuple(numbers[action] for action in done),
        MappingProxyType(demand.capacity),
        MappingProxyType(moved),
        MappingProxyType(demand.leads),
    )


@dataclass(slots=True)
class _Positions:
    """Where readers and writers stand.

    Attributes:
        process: The chain.
        readers: Layers that read each tensor, and how.
        ends: Rows of each store so far, padding counted.
        times: How often each layer was computed.
    """

    process: Process
    readers: Mapping[str, list[tuple[str, Read]]]
    ends: dict[str, int]
    times: dict[str, int]

    @classmethod
    def of(cls, process: Process) -> _Positions:
        """Before anything is done."""
        readers: dict[str, list[tuple[str, Read]]] = {}
        for name, step in process.steps.items():
            for read in step.reads.values():
                readers.setdefault(read.tensor, []).append((name, read))
        ends, times = dict.fromkeys(process.stores, 0), dict.fromkeys(process.steps, 0)
        return cls(process, readers, ends, times)

    def find_first(self, tensor: str) -> int:
        """First row of a tensor that a layer may still read."""
        times = self.times
        return min(it.first + times[name] * it.step for name, it in self.readers[tensor])

    def advance(self, action: Action) -> None:
        """After something that is no move."""
        stores, tensor = self.process.stores, action.name
        if action.kind == COMPUTE:
            step = self.process.steps[action.name]
            self.times[action.name] += 1
            if step.tensor in stores:
                self.ends[step.tensor] += step.rows
        else:
            self.ends[tensor] += self.count(action)

    def count(self, action: Action) -> int:
        """Rows that an action adds to a store."""
        if action.kind == COMPUTE:
            return self.process.steps[action.name].rows
        return self.process.stores[action.name].copied if action.kind == COPY else 1


@dataclass(slots=True)
class _Demand:
    """The order in the making, without moves."""

    process: Process
    done: list[Action] = field(default_factory=list)
    capacity: dict[str, int] = field(default_factory=dict)
    leads: dict[str, int] = field(default_factory=dict)
    at: _Positions = field(init=False)
    writers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is done yet."""
        self.at = _Positions.of(self.process)
        self.writers = {step.tensor: name for name, step in self.process.steps.items()}

    def compute(self, name: str) -> None:
        """Compute a layer's next rows, and what they need before."""
        step = self.process.steps[name]
        for read in step.reads.values():
            if read.tensor in self.process.stores:
                first = read.first + self.at.times[name] * read.step
                self._provide(read.tensor, first + read.height)
        if step.tensor in self.process.stores:
            self._note_capacity(step.tensor, step.rows)
        else:
            self._note_leads((self.at.times[name] + 1) * step.rows * step.row_bytes)
        self._do(Action(COMPUTE, name))

    def _provide(self, tensor: str, end: int) -> None:
        """Have the rows of a store up to one."""
        store = self.process.stores[tensor]
        while (made := self.at.ends[tensor]) < end:
            if not store.top <= made < store.top + store.height:
                self._add(Action(FILL, tensor))
            elif store.copied:
                self._add(Action(COPY, tensor))
            else:
                self.compute(self.writers[tensor])

    def _add(self, action: Action) -> None:
        self._note_capacity(action.name, self.at.count(action))
        self._do(action)

    def _do(self, action: Action) -> None:
        self.done.append(action)
        self.at.advance(action)

    def _note_capacity(self, tensor: str, rows: int) -> None:
        """Rows that a store holds with some more."""
        live = self.at.ends[tensor] + rows - self.at.find_first(tensor)
        self.capacity[tensor] = max(self.capacity.get(tensor, 0), live)

    def _note_leads(self, end: int) -> None:
        """Rows of the output are written up to a byte: what is still needed of the inputs?"""
        for tensor, first in self._list_needed():
            self.leads[tensor] = max(self.leads.get(tensor, end - first), end - first)

    def _list_needed(self) -> Iterator[tuple[str, int]]:
        """First byte of each whole tensor that is not yet done with."""
        made = {step.tensor for step in self.process.steps.values()}
        for store in self.process.stores.values():
            if store.copied:
                row = min(max(self.at.ends[store.tensor] - store.top, 0), store.height)
                yield store.tensor, row * store.row_bytes
        for step in self.process.steps.values():
            for read in step.reads.values():
                if read.tensor not in self.process.stores and read.tensor not in made:
                    yield read.tensor, self.at.find_first(read.tensor) * read.row_bytes


def _insert_moves(process: Process, demand: _Demand, moved: dict[str, int]) -> Iterator[Action]:
    """The order with moves where a ring has no room; ``moved`` rows are added up."""
    at = _Positions.of(process)
    begins = dict.fromkeys(process.stores, 0)
    for action in demand.done:
        is_layer = action.kind == COMPUTE
        tensor = process.steps[action.name].tensor if is_layer else action.name
        if tensor in process.stores:
            end = at.ends[tensor] + at.count(action)
            if end - begins[tensor] > demand.capacity[tensor]:
                begins[tensor] = at.find_first(tensor)
                moved[tensor] += at.ends[tensor] - begins[tensor]
                yield Action(MOVE, tensor)
            assert end - begins[tensor] <= demand.capacity[tensor], "rings hold what is alive"
        yield action
        at.advance(action)
