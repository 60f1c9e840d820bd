"""A search from the float model to its front."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinyq.errors import BoardError
from tinyq.exploration.allocators import Allocator
from tinyq.exploration.allocators.registry import Plan
from tinyq.exploration.budgets import RESOURCES, Costs, Limits
from tinyq.exploration.building import build_and_count
from tinyq.exploration.front import find_front, order_by_worth
from tinyq.exploration.network import Network
from tinyq.exploration.pricing import Pricer
from tinyq.exploration.proxies import Proxy
from tinyq.exploration.sensitivities import find_sensitivity
from tinyq.exploration.space import Assignment, Space
from tinyq.exploration.table import Survey, Table, survey, tabulate
from tinyq.exploration.trials import Trial, Trials
from tinyq.hardware.boards import Board
from tinyq.measurement.profile.energy import Pace
from tinyq.support.files import replace_file

_FRONT, _FITTING, _FINALISTS = 16, 8, 8
_TIGHTENINGS = 12
_NO_PACE = Pace(0, None, "")

Progress = Callable[[int, int], None]
Show = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is searched for, and how.

    Attributes:
        limits: Budgets.
        sensitivity: Key of `tinyq.exploration.sensitivities.SENSITIVITIES`.
        allocator: What proposes.
        proxy: What judges.
        trials: Trials of all workers; None for as many as the allocator plans by itself.
        seed: Of everything that is random.
        pace: What a cycle of the board is in time and energy.
    """

    limits: Limits
    sensitivity: str
    allocator: Allocator
    proxy: Proxy
    trials: int | None = None
    seed: int = 0
    pace: Pace = _NO_PACE


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search has found.

    Attributes:
        wish: What was searched for.
        table: What each method costs each layer.
        trials: All that was tried.
        front: Trials that no other beats, best score first.
        best: The trial to take: of those within the limits the one with the best score.
        fits: Whether it is within the limits.
        counted: What the firmware of some trials takes, by number.
        float_score: The float model's.
        refused: Why pairs were taken out of the space, by layer and label.
        models: Files of the trials' Keras models, by number.
        failures: Assignments that could not be tried, with the reason.
    """

    wish: Wish
    table: Table
    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    best: Trial | None
    fits: bool
    counted: Mapping[int, Costs]
    float_score: float
    refused: Mapping[tuple[str, str], str]
    models: Mapping[int, Path] = field(default_factory=dict)
    failures: tuple[tuple[Assignment, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a search works.

    Attributes:
        storage: Where trials are kept, see `tinyq.exploration.trials.Trials`.
        models: Folder of the trials' Keras models.
        show: Shows progress under a title.
    """

    storage: str | Path
    models: Path
    show: Show | None = None

    def open(self, title: str) -> AbstractContextManager[Progress]:
        """A progress bar, or none."""
        return nullcontext(_ignore) if self.show is None else self.show(title)


def search(network: Network, space: Space, pricer: Pricer, wish: Wish, place: Place) -> Found:
    """Find the front, or what fits the budgets best.

    Args:
        network: Float model and data.
        space: Pairs of each layer.
        pricer: Prices graphs for the board.
        wish: Budgets and parts.
        place: Where it works.

    Raises:
        TinyqError: The model cannot be quantized or built, or the storage cannot be used.
    """
    with place.open("layers one by one") as progress:
        found = survey(network, space, pricer, progress)
    base = network.lower(found.base.model)
    if (built := build_and_count(base, pricer.board, pricer.optimize)) is not None:
        pricer.learn(found.base.priced, built)
        found = _shift(found, found.base.priced.costs, built)
    _check_cycles(wish.limits, found.base.priced.costs, pricer.board)
    losses = find_sensitivity(wish.sensitivity)(network, found, wish.seed)
    table = tabulate(found, losses)
    name = identify(network, found.space, pricer, wish)
    sampler = wish.allocator.sampler
    drawn = sampler(table, wish.limits, wish.seed) if sampler else None
    trials = Trials(place.storage, name, found.space, drawn)
    if wish.allocator.knows_before:
        trials.plan(lambda: propose(network, table, pricer, wish))
    evaluate = _Evaluation(network, found.space, pricer, wish, place.models)
    with place.open("trials") as progress:
        trials.run(evaluate, wish.limits, _count(wish), progress)
    finished = trials.finished()
    firmware = _Firmware(network, pricer, place.models)
    with place.open("firmware of the best") as progress:
        best = _settle(finished, wish.limits, firmware, progress)
    fits = best is not None and wish.limits.admit(firmware.costs_of(best))
    return Found(
        wish,
        table,
        tuple(finished),
        tuple(find_front(finished)),
        best,
        fits,
        firmware.counted,
        network.score(network.wanted),
        found.refused,
        {it.number: name_model(place.models, it.assignment) for it in finished},
        tuple(trials.failures()),
    )


def _check_cycles(limits: Limits, base: Costs, board: Board) -> None:
    """Refuse a limit of what nobody knows."""
    if limits.cycles is not None and not base.cycles:
        raise BoardError(
            f"no cycles can be estimated for {board.title}",
            where=f"board {board.name}",
            remedy="limit --instructions in their place, or install what `tinyq doctor` misses",
        )


def identify(network: Network, space: Space, pricer: Pricer, wish: Wish) -> str:
    """A name that searches with other data, models, boards or parts do not have."""
    parts: dict[str, Any] = {
        "space": space.to_json(),
        "board": pricer.board.name,
        "optimize": pricer.optimize,
        "limits": [wish.limits[name] for name in RESOURCES],
        "parts": [wish.sensitivity, wish.allocator.name, str(wish.proxy)],
        "seed": wish.seed,
        "samples": network.samples,
    }
    text = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for data in (network.calibration, network.validation):
        for array in (data.x, data.y, data.targets):
            text.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    for kernel in network.kernels().values():
        text.update(np.ascontiguousarray(kernel).tobytes())
    return f"{network.name}-{text.hexdigest()[:16]}"


def propose(network: Network, table: Table, pricer: Pricer, wish: Wish) -> list[Assignment]:
    """What the allocator plans; where budgets turn out to be missed, planned again with less.

    The table's sums are not the whole: layers share code, formats are converted between layers,
    and a plan of memory may need more than the bytes alive. A plan that misses a budget when it
    is priced as a whole lowers that budget by the miss.
    """
    plan = _find_plan(network, wish)
    count = wish.trials or (_FRONT if wish.limits.is_open else _FITTING)
    limits = wish.limits
    if limits.is_open:
        return plan(table, limits, count)
    kept: dict[Assignment, bool] = {}
    for _ in range(_TIGHTENINGS):
        planned = [it for it in plan(table, limits, count) if it not in kept]
        worst: dict[str, int] = {}
        for assignment in planned:
            model = network.calibrate(table.space, assignment)
            costs = pricer.price(network.lower(model)).costs
            over = wish.limits.excess(costs)
            kept[assignment] = not over
            for name, much in over.items():
                worst[name] = min(worst.get(name, much), much)
            if sum(kept.values()) >= count:
                break
        if sum(kept.values()) >= count or not worst:
            break
        for name, much in worst.items():
            most = limits[name]
            limits = replace(limits, **{name: (most or 0) - much})
    fitting = [it for it, fits in kept.items() if fits]
    return fitting[:count] or list(kept)[:count]


def _find_plan(network: Network, wish: Wish) -> Plan:
    """What plans: the allocator, or its training, which is gone through once for each budget."""
    learn = wish.allocator.learn
    if learn is None:
        assert wish.allocator.plan is not None
        return wish.allocator.plan
    return lambda table, limits, count: learn(network, table, limits, count, wish.seed)


class _Evaluation:
    """Tries one assignment: makes the model, judges it, prices it, keeps it."""

    def __init__(
        self, network: Network, space: Space, pricer: Pricer, wish: Wish, folder: Path
    ) -> None:
        self._network, self._space, self._pricer = network, space, pricer
        self._wish, self._folder = wish, folder

    def __call__(self, assignment: Assignment) -> tuple[float, float, Costs]:
        wish, network = self._wish, self._network
        proxy = wish.proxy
        model = proxy.make(network, self._space, assignment, proxy.epochs, wish.seed)
        costs = self._pricer.price(network.lower(model)).costs
        answers = network.answer(model)
        with replace_file(name_model(self._folder, assignment)) as partial:
            model.save(partial)
        if self._space.forms(assignment):
            with replace_file(self._folder / name_float(assignment)) as partial:
                network.shape(self._space, assignment).save(partial)
        return network.score(answers), network.loss(answers), costs


def name_float(assignment: Assignment) -> str:
    """The file of a float model whose layers have other forms than the one that was given."""
    return f"{'-'.join(map(str, assignment))}-float.keras"


def name_model(folder: Path, assignment: Assignment) -> Path:
    """The file of an assignment's Keras model."""
    return folder / f"{'-'.join(map(str, assignment))}.keras"


def _count(wish: Wish) -> int | None:
    """Trials of all workers; planned ones count themselves."""
    if wish.allocator.knows_before:
        return None
    return wish.trials or 10 * _FITTING


def _shift(found: Survey, before: Costs, built: Costs) -> Survey:
    """A survey whose costs are those of firmware, which the base's image told."""

    def move(costs: Costs) -> Costs:
        flash, ram, work, time = (costs[it] + built[it] - before[it] for it in RESOURCES)
        return Costs(flash, ram, max(work, 1), max(time, 1) if costs.cycles else 0)

    def moved(it: Any) -> Any:
        return replace(it, priced=replace(it.priced, costs=move(it.priced.costs)))

    return replace(
        found, base=moved(found.base), deviations=tuple(moved(it) for it in found.deviations)
    )


class _Firmware:
    """Builds and counts trials, each once."""

    def __init__(self, network: Network, pricer: Pricer, models: Path) -> None:
        self._network, self._pricer, self._models = network, pricer, models
        self.counted: dict[int, Costs] = {}

    def costs_of(self, trial: Trial) -> Costs:
        """What its firmware takes; what was foreseen where it cannot be counted."""
        if trial.number not in self.counted:
            self._count(trial)
        return self.counted.get(trial.number, trial.costs)

    def _count(self, trial: Trial) -> None:
        file = name_model(self._models, trial.assignment)
        if not file.exists():
            return  # another worker's folder has it
        model = keras.saving.load_model(file, compile=False)
        graph = self._network.lower(model)
        costs = build_and_count(graph, self._pricer.board, self._pricer.optimize)
        if costs is not None:
            self.counted[trial.number] = costs


def _settle(
    trials: list[Trial], limits: Limits, firmware: _Firmware, progress: Progress
) -> Trial | None:
    """The trial to take: the best one whose firmware is within the limits, or the nearest."""
    wanted = order_by_worth(trials, limits)
    some = find_front(trials)[:_FRONT] if limits.is_open else wanted[:_FINALISTS]
    for done, trial in enumerate(some):
        costs = firmware.costs_of(trial)
        progress(done + 1, len(some))
        if not limits.is_open and limits.admit(costs):
            return trial
    return wanted[0] if wanted else None


def _ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""
