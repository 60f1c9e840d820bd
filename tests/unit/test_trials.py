"""Trials that several workers share: nothing is lost, nothing is tried twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tinyq.errors import DataError, ModelError
from tinyq.exploration.allocators import find_allocator
from tinyq.exploration.budgets import Costs, Limits
from tinyq.exploration.space import Assignment, Pair, Space
from tinyq.exploration.trials import Trials

ROOT = Path(__file__).resolve().parents[2]
SPACE = Space(
    {f"layer{at}": (Pair("int8", "int8"), Pair("int4", "int8")) for at in range(3)},
)
EVERY = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
WORKER = """
    import sys, time
    from pathlib import Path
    from tests.unit.test_trials import EVERY, SPACE, cost
    from tinyq.exploration.budgets import Limits
    from tinyq.exploration.trials import Trials

    storage, log, pause = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])

    def evaluate(assignment):
        with log.open("a") as file:
            file.write(f"{assignment}\\n")
        time.sleep(pause)
        return cost(assignment)

    trials = Trials(storage, "shared", SPACE)
    trials.plan(lambda: EVERY)
    trials.run(evaluate, Limits(), None)
"""


def cost(assignment: Assignment) -> tuple[float, float, Costs]:
    bits = sum(assignment)
    return 1.0 - bits / 10, float(bits), Costs(1000 - 100 * bits, 500, 9000)


def places(tmp_path: Path) -> list[str]:
    return [str(tmp_path / "trials.journal"), f"sqlite:///{tmp_path}/trials.db"]


@pytest.fixture(params=["journal", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return places(tmp_path)[request.param == "sqlite"]


def start(storage: str, log: Path, pause: float) -> subprocess.Popen[bytes]:
    program = textwrap.dedent(WORKER)
    words = [sys.executable, "-W", "ignore", "-c", program, storage, str(log), str(pause)]
    return subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_planned_trials_are_tried_once_and_kept(storage: str) -> None:
    tried: list[Assignment] = []

    def evaluate(assignment: Assignment) -> tuple[float, float, Costs]:
        tried.append(assignment)
        if assignment == (1, 1, 1):
            raise ModelError("cannot be had", where="layer2")
        return cost(assignment)

    trials = Trials(storage, "mine", SPACE)
    trials.plan(lambda: EVERY)
    seen: list[tuple[int, int]] = []
    trials.run(evaluate, Limits(flash_bytes=800), None, lambda done, of: seen.append((done, of)))
    assert tried == EVERY
    assert [it.assignment for it in trials.finished()] == EVERY[:-1]
    assert [it.costs for it in trials.finished()] == [cost(it)[2] for it in EVERY[:-1]]
    ((failed, reason),) = trials.failures()
    assert failed == (1, 1, 1) and "cannot be had" in reason
    assert seen[-1][0] == len(EVERY) - 1

    again = Trials(storage, "mine", SPACE)
    again.plan(lambda: pytest.fail("it is planned"))
    again.run(lambda _: pytest.fail("all is tried"), Limits(), None)
    assert len(again.finished()) == len(EVERY) - 1


def test_an_interrupted_trial_is_tried_again(storage: str) -> None:
    tried: list[Assignment] = []

    def evaluate(assignment: Assignment) -> tuple[float, float, Costs]:
        tried.append(assignment)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return cost(assignment)

    trials = Trials(storage, "mine", SPACE)
    trials.plan(lambda: EVERY)
    with pytest.raises(KeyboardInterrupt):
        trials.run(evaluate, Limits(), None)
    Trials(storage, "mine", SPACE).run(evaluate, Limits(), None)
    assert sorted(it.assignment for it in trials.finished()) == EVERY
    assert len(tried) == len(EVERY) + 1


@pytest.mark.parametrize("name", ["evolution", "tpe"])
def test_samplers_learn_and_stop(name: str, tmp_path: Path) -> None:
    sampler = find_allocator(name).sampler
    assert sampler is not None
    trials = Trials(tmp_path / "journal", name, SPACE, sampler(SPACE, Limits(flash_bytes=800), 3))
    trials.run(cost, Limits(flash_bytes=800), 12)
    assert 2 <= len(trials.finished()) <= 12
    trials.run(lambda _: pytest.fail("all is tried"), Limits(flash_bytes=800), 12)


@pytest.mark.slow
def test_two_workers_start_at_once_and_share(storage: str, tmp_path: Path) -> None:
    """Each assignment is tried by one of them, whoever makes the tables and the plan."""
    logs = [tmp_path / "one", tmp_path / "two"]
    workers = [start(storage, log, 0.2) for log in logs]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    tried = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
    assert sorted(tried) == sorted(map(str, EVERY))
    assert len(Trials(storage, "shared", SPACE).finished()) == len(EVERY)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """What it was trying when it was killed, another one tries."""
    storage, log = str(tmp_path / "trials.journal"), tmp_path / "log"
    first = start(storage, log, 60.0)
    begun = time.monotonic()
    while not log.exists() and time.monotonic() - begun < 240:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(storage, tmp_path / "rest", 0.0)
    assert second.wait(timeout=300) == 0
    assert sorted(it.assignment for it in Trials(storage, "shared", SPACE).finished()) == EVERY


def test_wrong_storages(tmp_path: Path) -> None:
    for storage in ("nosuch://x", f"sqlite:///{tmp_path}/none/none.db"):
        with pytest.raises(DataError, match="storage"):
            Trials(storage, "mine", SPACE)
