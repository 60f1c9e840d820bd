"""A search from the float model to its front."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyq.exploration.allocators import Allocator
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
from tinyq.support.files import replace_file

_FRONT, _FITTING, _FINALISTS = 16, 8, 4
_TIGHTENINGS = 12

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
    """

    limits: Limits
    sensitivity: str
    allocator: Allocator
    proxy: Proxy
    trials: int | None = None
    seed: int = 0


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
        counted: Flash, RAM and instructions of the firmware of some trials, by number.
        float_score: The float model's.
        refused: Why pairs were taken out of the space, by layer and label.
        models: Files of the trials' Keras models, by number.
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


def search(
    network: Network,
    space: Space,
    pricer: Pricer,
    wish: Wish,
    storage: str | Path,
    folder: Path,
    show: Show | None = None,
) -> Found:
    """Find the front, or what fits the budgets best.

    Args:
        network: Float model and data.
        space: Pairs of each layer.
        pricer: Prices graphs for the board.
        wish: Budgets and parts.
        storage: Where trials are kept, see `tinyq.exploration.trials.Trials`.
        folder: Where the Keras models of trials are kept.
        show: Shows progress under a title.

    Raises:
        TinyqError: The model cannot be quantized or built, or the storage cannot be used.
    """
    opened = show or (lambda _title: nullcontext(_ignore))
    with opened("layers one by one") as progress:
        found = survey(network, space, pricer, progress)
    base = network.lower(found.base.model)
    if (built := build_and_count(base, pricer.board, pricer.optimize)) is not None:
        pricer.learn(found.base.priced, built)
        found = _shift(found, found.base.priced.costs, built)
    losses = find_sensitivity(wish.sensitivity)(network, found, wish.seed)
    table = tabulate(found, losses)
    name = identify(network, found.space, pricer, wish)
    sampler = wish.allocator.sampler
    drawn = sampler(found.space, wish.limits, wish.seed) if sampler else None
    trials = Trials(storage, name, found.space, drawn)
    if wish.allocator.plan is not None:
        trials.plan(lambda: propose(network, table, pricer, wish))
    evaluate = _Evaluation(network, found.space, pricer, wish, folder)
    with opened("trials") as progress:
        trials.run(evaluate, wish.limits, _count(wish), progress)
    return _conclude(network, table, pricer, wish, trials.finished(), found, folder, opened)


def identify(network: Network, space: Space, pricer: Pricer, wish: Wish) -> str:
    """A name that searches with other data, models, boards or parts do not have."""
    parts: dict[str, Any] = {
        "space": space.to_json(),
        "board": pricer.board.name,
        "optimize": pricer.optimize,
        "limits": [wish.limits[name] for name in RESOURCES],
        "parts": [wish.sensitivity, wish.allocator.name, str(wish.proxy)],
        "seed": wish.seed,
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
    plan = wish.allocator.plan
    assert plan is not None
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
        return network.score(answers), network.loss(answers), costs


def name_model(folder: Path, assignment: Assignment) -> Path:
    """The file of an assignment's Keras model."""
    return folder / f"{'-'.join(map(str, assignment))}.keras"


def _count(wish: Wish) -> int | None:
    """Trials of all workers; planned ones count themselves."""
    if wish.allocator.plan is not None:
        return None
    return wish.trials or 10 * _FITTING


def _shift(found: Survey, before: Costs, built: Costs) -> Survey:
    """A survey whose flash and RAM are those of firmware, which the base's image told."""

    def move(costs: Costs) -> Costs:
        return replace(
            costs,
            flash_bytes=costs.flash_bytes + built.flash_bytes - before.flash_bytes,
            ram_bytes=costs.ram_bytes + built.ram_bytes - before.ram_bytes,
        )

    def moved(it: Any) -> Any:
        return replace(it, priced=replace(it.priced, costs=move(it.priced.costs)))

    return replace(
        found, base=moved(found.base), deviations=tuple(moved(it) for it in found.deviations)
    )


def _conclude(
    network: Network,
    table: Table,
    pricer: Pricer,
    wish: Wish,
    trials: list[Trial],
    found: Survey,
    folder: Path,
    opened: Show,
) -> Found:
    """Front and best trial, with what the firmware of the few that matter takes."""
    front = find_front(trials)
    wanted = order_by_worth(trials, wish.limits)
    counted: dict[int, Costs] = {}
    chosen = front[:_FRONT] if wish.limits.is_open else []
    rest = [] if wish.limits.is_open else wanted
    best: Trial | None = None
    with opened("firmware of the best") as progress:
        for place, trial in enumerate(chosen):
            _count_firmware(network, pricer, trial, folder, counted)
            progress(place + 1, len(chosen))
        for trial in rest:
            _count_firmware(network, pricer, trial, folder, counted)
            best = best or trial
            if wish.limits.admit(counted.get(trial.number, trial.costs)):
                best = trial
                break
            if len(counted) >= _FINALISTS * 2:
                break
    best = best or (wanted[0] if wanted else None)
    fits = best is not None and wish.limits.admit(counted.get(best.number, best.costs))
    return Found(
        wish,
        table,
        tuple(trials),
        tuple(front),
        best,
        fits,
        counted,
        network.score(network.wanted),
        found.refused,
        {it.number: name_model(folder, it.assignment) for it in trials},
    )


def _count_firmware(
    network: Network, pricer: Pricer, trial: Trial, folder: Path, counted: dict[int, Costs]
) -> None:
    import keras

    file = name_model(folder, trial.assignment)
    if not file.exists():
        return  # another worker's folder has it
    graph = network.lower(keras.saving.load_model(file, compile=False))
    if (costs := build_and_count(graph, pricer.board, pricer.optimize)) is not None:
        counted[trial.number] = costs


def _ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""
