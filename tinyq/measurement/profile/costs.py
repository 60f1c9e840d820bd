"""Counts of single instructions, priced with a core's timings and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tinyq.measurement.profile.cores import Core, Kind, classify, cycles_of
from tinyq.measurement.profile.disassembly import Instruction, Registers, read_registers
from tinyq.targets.counts import AddressCost

# Classes in the order of tables; branches are told apart by what became of them.
TAKEN, NOT_TAKEN = "branch taken", "branch not taken"
CLASSES = (
    *("load", "store", "ALU", "MAC", "multiply", "DSP", "divide", "vector"),
    *(TAKEN, NOT_TAKEN, "other"),
)
_BRANCH, _LOAD = "branch", "load"
# Kinds whose first operand is a register that is not computed here.
_WITHOUT_RESULT = ("compare", "branch", "call", "table_branch", "other")


@dataclass(frozen=True, slots=True)
class Costs:
    """What a part of one inference cost: counts, and an estimate.

    Attributes:
        instructions: Executed, counted.
        classes: Instructions by class, counted; they add up to `instructions`.
        taken_branches: Counted, returns by a load included.
        flash_loads: Reads of the code memory, counted.
        ram_loads: Reads of other memory, counted.
        stores: Writes, counted.
        cycles: By the core's published timings, an estimate; None where there are none.
    """

    instructions: int
    classes: Mapping[str, int]
    taken_branches: int
    flash_loads: int
    ram_loads: int
    stores: int
    cycles: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction in one layer.

    Attributes:
        instruction: What it is.
        kind: Its kind.
        count: What it did.
        cycles: All its executions, an estimate; None without timings.
    """

    instruction: Instruction
    kind: Kind
    count: AddressCost
    cycles: int | None


def price_layers(
    instructions: Sequence[Instruction], counts: Iterable[AddressCost], core: Core, layers: int
) -> tuple[tuple[Line, ...], ...]:
    """Join what was counted with what the instructions are, layer by layer.

    Args:
        instructions: Of the image, by address.
        counts: Of one inference, by layer and address.
        core: Whose timings hold.
        layers: Layers of the model.
    """
    places = {instruction.address: at for at, instruction in enumerate(instructions)}
    by_layer: list[dict[int, AddressCost]] = [{} for _ in range(layers)]
    for count in counts:
        by_layer[count.layer][places[count.address]] = count
    return tuple(_price_layer(instructions, layer, core) for layer in by_layer)


def _price_layer(
    instructions: Sequence[Instruction], counts: Mapping[int, AddressCost], core: Core
) -> tuple[Line, ...]:
    lines: list[Line] = []
    for place, count in counts.items():
        instruction = instructions[place]
        before = instructions[place - 1] if place > 0 else instruction
        kind = classify(core.architecture, instruction.text)
        cycles = None
        if core.cycles is not None:
            ahead = counts.get(place - 1)
            in_sequence = min(ahead.executions - ahead.taken, count.executions) if ahead else 0
            registers = read_registers(instruction.text)
            cycles = (
                count.executions * cycles_of(core, kind.name, registers.listed)
                + count.taken * core.taken
                + in_sequence * _wait_for(before, instruction, kind, core)
            )
        lines.append(Line(instruction, kind, count, cycles))
    return tuple(lines)


def _wait_for(before: Instruction, instruction: Instruction, kind: Kind, core: Core) -> int:
    """Cycles that an instruction gains (negative) or loses when another stands before it."""
    registers = read_registers(instruction.text)
    if not registers.address:
        return 0
    earlier = classify(core.architecture, before.text)
    depends = bool(registers.address & _results(before, earlier))
    if earlier.group == _LOAD:
        overlaps = earlier.name == kind.name == _LOAD and not depends
        return -core.overlap if overlaps else 0
    return core.wait if depends and earlier.group != "store" else 0


def _results(instruction: Instruction, kind: Kind) -> frozenset[str]:
    registers: Registers = read_registers(instruction.text)
    return frozenset() if kind.name in _WITHOUT_RESULT else registers.results


def add_up(lines: Iterable[Line], core: Core) -> Costs:
    """Costs of several instructions together.

    Args:
        lines: What was counted.
        core: The core that they were priced for.
    """
    classes: Counter[str] = Counter()
    sums = [0, 0, 0, 0, 0]
    for line in lines:
        classes.update(_by_class(line))
        for index, value in enumerate((*_accesses(line), line.count.taken, line.cycles or 0)):
            sums[index] += value
    flash, ram, stores, taken, cycles = sums
    return Costs(
        instructions=classes.total(),
        classes={name: classes[name] for name in CLASSES if classes[name]},
        taken_branches=taken,
        flash_loads=flash,
        ram_loads=ram,
        stores=stores,
        cycles=cycles if core.cycles is not None else None,
    )


def _by_class(line: Line) -> dict[str, int]:
    count = line.count
    if line.kind.group == _BRANCH:
        return {TAKEN: count.taken, NOT_TAKEN: count.executions - count.taken}
    return {line.kind.group: count.executions}


def _accesses(line: Line) -> tuple[int, int, int]:
    count = line.count
    if line.kind.access is None:
        return count.flash_loads, count.other_loads, count.stores
    names = ("flash", "other", "store")
    flash, other, stores = (count.executions if line.kind.access == name else 0 for name in names)
    return flash, other, stores
