"""What each method costs each layer, alone: the loss by a sensitivity, the rest by pricing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import TinyqError
from tinyq.exploration.budgets import Costs
from tinyq.exploration.network import Network
from tinyq.exploration.pricing import Priced, Pricer
from tinyq.exploration.space import Assignment, Space

Progress = Callable[[int, int], None]
_SUMMED = ("flash_bytes", "instructions", "cycles")


@dataclass(frozen=True, slots=True)
class Deviation:
    """A network that differs from the base in one layer.

    Attributes:
        layer: Which layer.
        pair: Which of its pairs it has.
        model: The quantized Keras model.
        priced: What it takes.
    """

    layer: int
    pair: int
    model: Any
    priced: Priced


@dataclass(frozen=True, slots=True)
class Table:
    """Differences to the base, by layer and pair.

    Attributes:
        space: What the rows and columns are.
        base: What the base takes.
        loss: Loss that the pair adds, by a sensitivity.
        flash: Bytes of flash that it adds.
        instructions: Instructions that it adds.
        live: Arena bytes that it adds, at each node of the base.
        base_live: Arena bytes of the base at each node.
        arena_overhead: RAM of the base that is not arena.
        cycles: Cycles that it adds; empty where none are known.
    """

    space: Space
    base: Costs
    loss: tuple[tuple[float, ...], ...]
    flash: tuple[tuple[int, ...], ...]
    instructions: tuple[tuple[int, ...], ...]
    live: tuple[tuple[tuple[int, ...], ...], ...]
    base_live: tuple[int, ...]
    arena_overhead: int
    cycles: tuple[tuple[int, ...], ...] = ()

    def predict(self, assignment: Assignment) -> Costs:
        """What an assignment takes, if what its layers add simply adds up."""
        places = list(enumerate(assignment))
        live = np.array(self.base_live, np.int64)
        for layer, pair in places:
            live = live + np.array(self.live[layer][pair], np.int64)
        return Costs(
            self.base.flash_bytes + sum(self.flash[layer][pair] for layer, pair in places),
            self.arena_overhead + int(live.max(initial=0)),
            self.base.instructions + sum(self.instructions[layer][pair] for layer, pair in places),
            self.base.cycles + sum(self.cycles[layer][pair] for layer, pair in places)
            if self.cycles
            else 0,
        )

    def loss_of(self, assignment: Assignment) -> float:
        """Sum of the losses of its pairs."""
        return sum(self.loss[layer][pair] for layer, pair in enumerate(assignment))

    def to_json(self) -> list[dict[str, Any]]:
        """One entry for each layer and pair."""
        return [
            {
                "layer": name,
                "methods": pair.label,
                "loss": self.loss[layer][index],
                "flash_bytes": self.flash[layer][index],
                "instructions": self.instructions[layer][index],
                "cycles": self.cycles[layer][index] if self.cycles else None,
                "arena_bytes": max(self.live[layer][index], key=abs, default=0),
            }
            for layer, (name, pairs) in enumerate(self.space.layers.items())
            for index, pair in enumerate(pairs)
        ]


@dataclass(frozen=True, slots=True)
class Survey:
    """Every deviation of a space, quantized after training and priced.

    Attributes:
        space: Pairs that turned out to be possible.
        base: The base itself.
        deviations: All others.
        refused: Why pairs were taken out, by layer and label.
    """

    space: Space
    base: Deviation
    deviations: tuple[Deviation, ...]
    refused: Mapping[tuple[str, str], str]


def survey(
    network: Network, space: Space, pricer: Pricer, progress: Progress | None = None
) -> Survey:
    """Quantize and price the base and whatever differs from it in one layer.

    A pair that a layer cannot have is taken out of the space, with the reason.

    Raises:
        TinyqError: The base itself cannot be had.
    """
    refused: dict[tuple[str, str], str] = {}
    base_model = network.calibrate(space, space.base)
    base = Deviation(-1, 0, base_model, pricer.price(network.lower(base_model)))
    found: list[tuple[int, Any, Priced]] = []
    kept = {name: [pairs[0]] for name, pairs in space.layers.items()}
    wanted, names = space.deviations(), list(space.layers)
    for done, (layer, index, assignment) in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        name, pair = names[layer], space.layers[names[layer]][index]
        try:
            model = network.calibrate(space, assignment)
            priced = pricer.price(network.lower(model))
        except TinyqError as error:
            refused[name, pair.label] = error.message
            continue
        kept[name].append(pair)
        found.append((layer, model, priced))
    if progress is not None:
        progress(len(wanted), len(wanted))
    possible = Space({name: tuple(pairs) for name, pairs in kept.items()})
    places = [(layer, index) for layer, index, _ in possible.deviations()]
    deviations = tuple(
        Deviation(layer, index, model, priced)
        for (layer, index), (_, model, priced) in zip(places, found, strict=True)
    )
    return Survey(possible, base, deviations, refused)


Losses = npt.NDArray[np.float64]
"""Loss that each layer's pair adds, shape (layers, most pairs)."""


def tabulate(found: Survey, losses: Losses) -> Table:
    """The table of a survey with the losses of a sensitivity."""
    counts = [len(pairs) for pairs in found.space.layers.values()]
    base = found.base.priced
    rows = list(base.live_bytes)
    nothing = (0,) * len(rows)
    added = {name: [[0] * count for count in counts] for name in _SUMMED}
    live = [[nothing] * count for count in counts]
    for it in found.deviations:
        for name, rows_of in added.items():
            rows_of[it.layer][it.pair] = it.priced.costs[name] - base.costs[name]
        live[it.layer][it.pair] = _compare(rows, base.live_bytes, it.priced.live_bytes)
    largest = max(base.live_bytes.values(), default=0)
    return Table(
        found.space,
        base.costs,
        tuple(
            tuple(float(losses[layer, pair]) for pair in range(count))
            for layer, count in enumerate(counts)
        ),
        tuple(map(tuple, added["flash_bytes"])),
        tuple(map(tuple, added["instructions"])),
        tuple(map(tuple, live)),
        tuple(base.live_bytes.values()),
        base.costs.ram_bytes - largest,
        tuple(map(tuple, added["cycles"])) if base.costs.cycles else (),
    )


def _compare(
    rows: Sequence[str], before: Mapping[str, int], after: Mapping[str, int]
) -> tuple[int, ...]:
    """Arena bytes that are added at each row; nodes that are new count with the next old one."""
    most: dict[str, int] = {}
    waiting = 0
    for name, size in after.items():
        waiting = max(waiting, size)
        if name in before:
            most[name], waiting = waiting, 0
    if rows and waiting:
        last = rows[-1]
        most[last] = max(most.get(last, 0), waiting)
    return tuple(most.get(name, before[name]) - before[name] for name in rows)
