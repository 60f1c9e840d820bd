"""Trials that any number of workers share, by a storage of Optuna.

A worker is the same command with the same storage. The store counts trials over all workers, hands
a dead worker's trial out again, and gives a planned assignment to one worker alone.
"""

from __future__ import annotations

import os
import random
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tinyq.errors import DataError, TinyqError, ToolMissing
from tinyq.exploration.budgets import RESOURCES, Costs, Limits
from tinyq.exploration.space import Assignment, Space

_HEARTBEAT_S = 30
_STALE_S = 3600.0  # of a trial in a journal whose worker runs on another machine
_NAMELESS_S = 120.0  # of a trial whose worker has not said its name, which it does at once
_PATIENCE_S, _PAUSE_S = 600.0, 0.2  # for another worker's plan
_START_TRIES = 12
_WORKER, _PLANNED, _ENTERED = "worker", "planned", "entered"
_LOSS, _COSTS, _NOTE = "loss", "costs", "note"


@dataclass(frozen=True, slots=True)
class Trial:
    """An assignment that was tried.

    Attributes:
        number: In the order of the beginnings, from 0.
        assignment: Which pair each layer had.
        score: See `tinyq.exploration.network.Network.score`.
        loss: See `tinyq.exploration.network.Network.loss`.
        costs: What it takes of the board.
    """

    number: int
    assignment: Assignment
    score: float
    loss: float
    costs: Costs


Evaluate = Callable[[Assignment], tuple[float, float, Costs]]
"""Score, loss and costs of an assignment."""


class Trials:
    """The trials of one search in a storage."""

    def __init__(self, storage: str | Path, name: str, space: Space, sampler: Any = None) -> None:
        """Open a search, or begin it.

        Args:
            storage: Path of a journal, or the address of a database as SQLAlchemy writes it.
            name: Of the search; two searches with different data have different names.
            space: What assignments are of.
            sampler: Draws assignments where none are planned.

        Raises:
            ToolMissing: Optuna is not installed.
            DataError: The storage cannot be opened.
        """
        self._optuna = _import_optuna()
        self.space = space
        self._is_journal = "://" not in str(storage)
        self._storage = self._open(storage)
        with _explaining(storage):
            self._study = self._begin(name, sampler)

    def plan(self, make: Callable[[], Sequence[Assignment]]) -> None:
        """Enter planned assignments, unless another worker has done so or is about to.

        Raises:
            DataError: Another worker began to plan and has not finished.
        """
        begun = time.monotonic()
        while not self._study.user_attrs.get(_PLANNED):
            if self._claim():
                for assignment in make():
                    self.enter(self._words(assignment))
                self._study.set_user_attr(_PLANNED, True)
                return
            if time.monotonic() - begun > _PATIENCE_S:
                raise DataError(
                    "another worker began to plan this search and did not finish",
                    where=self._study.study_name,
                    remedy="start the command again; what was tried is kept",
                )
            time.sleep(_PAUSE_S)

    def run(
        self,
        evaluate: Evaluate,
        limits: Limits,
        count: int | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Try assignments until all workers have finished ``count``, or all that are planned.

        Where others still try the last ones this waits for them, lest one of them dies: what it was
        trying is tried here then.

        Args:
            evaluate: Tries one; a `TinyqError` of its ends that trial alone.
            limits: What samplers are told of the costs.
            count: Trials of all workers; None for those that are planned.
            progress: Called with trials finished and wanted.
        """
        shift = _Shift(self, evaluate, limits, count)
        while True:
            self._give_back_stale()
            if self._has_work(count):
                self._study.optimize(shift.work, n_trials=1, catch=(TinyqError,))
            elif self._count(self._states.RUNNING):
                time.sleep(_PAUSE_S)
            else:
                break
            if progress is not None:
                done = len(self.finished())
                progress(done, max(done, count or self._count_begun()))

    def finished(self) -> list[Trial]:
        """Trials that came to an end, in the order of their beginnings; each assignment once."""
        found: dict[Assignment, Trial] = {}
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state != self._states.COMPLETE:
                continue
            assignment = self.read(trial.params)
            costs = Costs(*trial.user_attrs[_COSTS])
            loss = float(trial.user_attrs[_LOSS])
            found.setdefault(
                assignment, Trial(trial.number, assignment, float(trial.values[0]), loss, costs)
            )
        return list(found.values())

    def failures(self) -> list[tuple[Assignment, str]]:
        """Assignments that could not be tried, with the reason."""
        return [
            (self.read(trial.params), str(trial.user_attrs.get(_NOTE, "the worker was lost")))
            for trial in self._study.get_trials(deepcopy=False)
            if trial.state == self._states.FAIL and _NOTE in trial.user_attrs
        ]

    @property
    def is_planned(self) -> bool:
        """Whether all assignments are known."""
        return bool(self._study.user_attrs.get(_PLANNED))

    @property
    def _states(self) -> Any:
        return self._optuna.trial.TrialState

    def _open(self, storage: str | Path) -> Any:
        storages = self._optuna.storages
        with _explaining(storage):
            if self._is_journal:
                path = Path(storage)
                path.parent.mkdir(parents=True, exist_ok=True)
                backend = storages.journal.JournalFileBackend(str(path))
                return storages.JournalStorage(backend)
            return _insist(lambda: _open_database(storages, str(storage)))

    def _begin(self, name: str, sampler: Any) -> Any:
        return _insist(
            lambda: self._optuna.create_study(
                storage=self._storage,
                study_name=name,
                sampler=sampler,
                load_if_exists=True,
                directions=["maximize", *["minimize"] * len(RESOURCES)],
            )
        )

    def _claim(self) -> bool:
        """Whether this worker may plan: a study of that name is made once only."""
        name = f"{self._study.study_name}/plan"
        try:
            made = self._optuna.create_study(storage=self._storage, study_name=name)
        except self._optuna.exceptions.DuplicatedStudyError:
            self._release_of_dead(name)
            return False
        made.set_user_attr(_WORKER, _name_worker())
        return True

    def _release_of_dead(self, name: str) -> None:
        """Let others plan where whoever began has ended."""
        with suppress(KeyError):
            held = self._optuna.load_study(storage=self._storage, study_name=name)
            if _is_gone(str(held.user_attrs.get(_WORKER, ""))):
                self._optuna.delete_study(storage=self._storage, study_name=name)

    def _has_work(self, count: int | None) -> bool:
        if self._count(self._states.WAITING):
            return True
        if self._study.user_attrs.get(_PLANNED):
            return False
        return count is None or self._count_begun() < count

    def place_of(self, number: int) -> int:
        """How many trials that count began before one."""
        waiting = self._states.WAITING
        return sum(it.number < number and it.state != waiting for it in self._list_begun())

    def enter(self, words: Mapping[str, str]) -> None:
        """Leave an assignment to whichever worker comes first."""
        self._study.enqueue_trial(dict(words), user_attrs={_ENTERED: True})

    def _list(self, states: Any) -> list[Any]:
        found: list[Any] = self._study.get_trials(deepcopy=False, states=states)
        return found

    def _count(self, *states: Any) -> int:
        return len(self._list(states))

    def _count_begun(self) -> int:
        return len(self._list_begun())

    def _list_begun(self) -> list[Any]:
        """Trials that count: all but those that were lost, which others have again."""
        states = self._states
        kept = (states.COMPLETE, states.RUNNING, states.WAITING)
        failed = [it for it in self._list((states.FAIL,)) if _NOTE in it.user_attrs]
        return [*self._list(kept), *failed]

    def known(self, assignment: Assignment) -> tuple[float, float, Costs] | None:
        """What an earlier trial of the same assignment has found."""
        for it in self.finished():
            if it.assignment == assignment:
                return it.score, it.loss, it.costs
        return None

    def _give_back_stale(self) -> None:
        """Hand trials of dead workers out again, in a database by their heartbeats."""
        if not self._is_journal:
            self._optuna.storages.fail_stale_trials(self._study)
        for it in self._list((self._states.RUNNING,)):
            if not self._is_lost(it):
                continue
            with suppress(self._optuna.exceptions.UpdateFinishedTrialError):
                if self._storage.set_trial_state_values(it._trial_id, state=self._states.FAIL):
                    # A worker that died at once had no time to draw what was planned for it.
                    self.enter({**it.system_attrs.get("fixed_params", {}), **it.params})

    def _is_lost(self, trial: Any) -> bool:
        """Whether no heartbeat will tell that the worker of a running trial is dead."""
        worker, begun = str(trial.user_attrs.get(_WORKER, "")), trial.datetime_start
        age = 0.0 if begun is None else (datetime.now() - begun).total_seconds()
        if not worker:
            return age > _NAMELESS_S
        return self._is_journal and (_is_gone(worker) or age > _STALE_S)

    def _words(self, assignment: Assignment) -> dict[str, str]:
        return {name: pair.label for name, pair in self.space.pairs(assignment).items()}

    def read(self, params: Mapping[str, Any]) -> Assignment:
        """The assignment that parameters of Optuna stand for."""
        return tuple(
            [pair.label for pair in pairs].index(params[name])
            for name, pairs in self.space.layers.items()
        )


class _Shift:
    """One worker's share of the trials, as Optuna calls it.

    What is handed to it beyond what is planned or wanted it gives up.
    """

    def __init__(
        self, trials: Trials, evaluate: Evaluate, limits: Limits, count: int | None
    ) -> None:
        self._trials, self._evaluate = trials, evaluate
        self._optuna = _import_optuna()
        self._limits, self._count = limits, count

    def work(self, trial: Any) -> list[float]:
        """Try what a trial of Optuna says."""
        trials = self._trials
        if trials.is_planned and not trial.user_attrs.get(_ENTERED):
            raise self._optuna.TrialPruned("others have taken what was planned")
        for name, pairs in trials.space.layers.items():
            trial.suggest_categorical(name, [pair.label for pair in pairs])
        beyond = self._count is not None and trials.place_of(trial.number) >= self._count
        if beyond and not trial.user_attrs.get(_ENTERED):
            raise self._optuna.TrialPruned("as many trials as are wanted have begun")
        trial.set_user_attr(_WORKER, _name_worker())
        assignment = trials.read(trial.params)
        try:
            score, loss, costs = trials.known(assignment) or self._evaluate(assignment)
        except TinyqError as error:
            trial.set_user_attr(_NOTE, error.render())
            raise
        except BaseException:  # interrupted: the next worker tries it
            trials.enter(trial.params)
            raise
        trial.set_user_attr(_LOSS, loss)
        trial.set_user_attr(_COSTS, [costs[name] for name in RESOURCES])
        for name, share in _list_shares(self._limits, costs).items():
            trial.set_constraint(name, share)
        return [score, *(float(costs[name]) for name in RESOURCES)]


def _name_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _list_shares(limits: Limits, costs: Costs) -> dict[str, float]:
    """By how much each limited resource is above its limit, as a share of it."""
    most = {name: limits[name] for name in RESOURCES}
    return {name: (costs[name] - limit) / limit for name, limit in most.items() if limit}


def _is_gone(worker: str) -> bool:
    """Whether a worker of this machine has ended; those of others cannot be seen."""
    host, _, process = worker.partition(":")
    if host != socket.gethostname() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, as another user's
    return False


def _open_database(storages: Any, address: str) -> Any:
    return storages.RDBStorage(
        address,
        heartbeat_interval=_HEARTBEAT_S,
        heartbeat_stale_trial_callback=storages.RetryHeartbeatStaleTrialCallback(),
    )


def _insist(action: Callable[[], Any]) -> Any:
    """Do what fails when two workers make the same tables at once, a few times."""
    for attempt in range(_START_TRIES):
        try:
            return action()
        except Exception as error:
            if attempt + 1 == _START_TRIES or not _is_race(error):
                raise
            time.sleep(_PAUSE_S * (1 + random.random()) * (attempt + 1))
    raise AssertionError


def _is_race(error: Exception) -> bool:
    text = f"{type(error).__name__}: {error}".lower()
    return any(
        part in text for part in ("already exists", "unique", "duplicate", "locked", "deadlock")
    )


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ToolMissing(
            "`optuna` is not installed",
            where="tinyq search",
            remedy="install it with `pip install 'tinyq[search]'`",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # What it calls experimental is pinned and tested here.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


@contextmanager
def _explaining(storage: str | Path) -> Iterator[None]:
    """What the storage's libraries raise, as an error of the user's."""
    try:
        yield
    except ImportError as error:
        raise ToolMissing(
            f"the storage needs a package that is not installed: {error.name}",
            where="--storage",
            remedy="install it, such as psycopg2-binary for postgresql://",
        ) from None
    except (DataError, OSError):
        raise
    except Exception as error:
        line = str(error).strip().splitlines()[:1]
        raise DataError(
            f"the storage cannot be opened: {''.join(line) or type(error).__name__}",
            where=str(storage),
            remedy="give the path of a journal, or an address such as sqlite:///FILE or "
            "postgresql://USER@HOST/DATABASE",
        ) from None
