"""Trials that several workers share: nothing is lost, nothing is tried twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.requirements import report_missing, require_module
from tinyq.errors import DataError, ModelError
from tinyq.exploration.allocators import ALLOCATORS, find_allocator
from tinyq.exploration.budgets import Costs, Limits
from tinyq.exploration.space import Assignment, Pair, Space
from tinyq.exploration.table import Table
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
    from tinyq.exploration import trials as module
    from tinyq.exploration.trials import Trials

    module._HEARTBEAT_S = 1  # a dead worker is noticed within seconds
    storage, log, pause = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])

    def evaluate(assignment):
        with log.open("a") as file:
            file.write(f"{assignment}\\n")
        time.sleep(pause)
        return cost(assignment)

    trials = Trials(storage, "shared", SPACE)
    trials.plan(lambda: EVERY)
    log.with_suffix(".ready").touch()
    while log.with_suffix(".wait").exists():
        time.sleep(0.05)
    trials.run(evaluate, Limits(), None)
"""


def cost(assignment: Assignment) -> tuple[float, float, Costs]:
    bits = sum(assignment)
    return 1.0 - bits / 10, float(bits), Costs(1000 - 100 * bits, 500, 9000)


def list_costs() -> Table:
    """What `cost` says, by layers."""
    each, nothing = (0, -100), (((0,), (0,)),) * 3
    rows = ((0.0, 1.0),) * 3, (each,) * 3, (each,) * 3, nothing
    return Table(SPACE, Costs(1000, 500, 9000), *rows, (100,), 400)


def places(tmp_path: Path) -> list[str]:
    return [str(tmp_path / "trials.journal"), f"sqlite:///{tmp_path}/trials.db"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server of its own, which has no port, without a database's name."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        report_missing("PostgreSQL is not installed (apt-get install postgresql)")
    require_module("psycopg2")
    with tempfile.TemporaryDirectory(prefix="tinyq-pg-") as place:  # a socket's path is short
        folder = Path(place)
        # It refuses to run as root.
        other = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.getuid() == 0 else []
        if other:
            shutil.chown(folder, "nobody")
            folder.chmod(0o700)
        control = [*other, str(programs[-1] / "pg_ctl"), "-D", str(folder / "data"), "-w"]
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run([*control, "init", "-o", "-U tinyq -A trust --no-sync"], **quiet)
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        log = ["-l", str(folder / "log")]
        subprocess.run([*control, "start", *log, "-o", options], **quiet)
        try:
            yield f"postgresql+psycopg2://tinyq@/{{}}?host={folder}"
        finally:
            subprocess.run([*control, "stop", "-m", "immediate"], **quiet)


def create_database(server: str) -> str:
    """Address of an empty database."""
    import psycopg2

    name = f"trials_{time.monotonic_ns()}"
    folder = server.partition("host=")[2]
    connection = psycopg2.connect(host=folder, user="tinyq", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return server.format(name)


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return create_database(request.getfixturevalue("server"))
    return places(tmp_path)[request.param == "sqlite"]


def wait_for_all(storage: str, logs: list[Path], pause: float) -> float:
    """Seconds that so many workers take for all trials, from when all have started."""
    for log in logs:
        log.with_suffix(".wait").touch()
    workers = [start(storage, log, pause) for log in logs]
    while not all(log.with_suffix(".ready").exists() for log in logs):
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.05)
    begun = time.monotonic()
    for log in logs:
        log.with_suffix(".wait").unlink()
    assert [worker.wait(timeout=900) for worker in workers] == [0] * len(logs)
    return time.monotonic() - begun


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


SAMPLERS = [name for name, it in ALLOCATORS.items() if it.sampler is not None]


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_learn_and_stop(name: str, tmp_path: Path) -> None:
    sampler = find_allocator(name).sampler
    assert sampler is not None
    drawn = sampler(list_costs(), Limits(flash_bytes=800), 3)
    trials = Trials(tmp_path / "journal", name, SPACE, drawn)
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


@pytest.mark.skipif("TINYQ_WORKERS" not in os.environ, reason="two minutes; TINYQ_WORKERS=1")
def test_two_workers_are_faster_than_one(tmp_path: Path) -> None:
    """Trials of 10 s, once they have started: 1.6 times as fast."""
    names = ["one", "two"]
    storages = [str(tmp_path / f"{name}.journal") for name in names]
    alone = wait_for_all(storages[0], [tmp_path / "alone"], 10.0)
    both = wait_for_all(storages[1], [tmp_path / name for name in names], 10.0)
    print(f"one worker {alone:.1f} s, two {both:.1f} s, {alone / both:.2f} times")
    assert alone >= 1.6 * both


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_killed_worker_loses_nothing(storage: str, seed: int, tmp_path: Path) -> None:
    """Of two one is killed at some moment; what it was trying then, the other tries."""
    rng = random.Random(seed)
    logs = [tmp_path / "one", tmp_path / "two"]
    first, second = (start(storage, log, 0.3) for log in logs)
    begun = time.monotonic()
    while not logs[0].exists() and time.monotonic() - begun < 240 and first.poll() is None:
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 0.9))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.wait(timeout=300) == 0
    trials = Trials(storage, "shared", SPACE)
    assert sorted(it.assignment for it in trials.finished()) == EVERY
    tried = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
    assert len(tried) <= len(EVERY) + 1
    assert set(tried) == set(map(str, EVERY))


@pytest.mark.parametrize("moment", ["before it drew", "while it tried"])
def test_the_last_trial_of_a_dead_worker_is_tried(moment: str, storage: str) -> None:
    """Also where nothing else is left to do, and whatever it had said of itself."""
    trials = Trials(storage, "mine", SPACE)
    trials.plan(lambda: EVERY[5:6])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing beats for it is what is tried
        dead = trials._study.ask()
    if moment == "while it tried":
        for name, pairs in SPACE.layers.items():
            dead.suggest_categorical(name, [pair.label for pair in pairs])
        with subprocess.Popen(["true"]) as gone:
            dead.set_user_attr("worker", f"{socket.gethostname()}:{gone.pid}")
        if "://" in storage:
            trials._storage.record_heartbeat(dead._trial_id)
    with age(trials):
        trials.run(cost, Limits(), None)
    assert [it.assignment for it in trials.finished()] == EVERY[5:6]


@contextmanager
def age(trials: Trials) -> Iterator[None]:
    """As if hours had passed since a worker was last heard of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyq.exploration.trials._NAMELESS_S", -1.0)
        if "grace_period" in vars(trials._storage):
            patch.setattr(trials._storage, "grace_period", -1)
        yield


def test_failing_trials_come_to_an_end(storage: str) -> None:
    """A sampler whose trials all fail is not asked for ever more."""
    tried: list[Assignment] = []

    def fail(assignment: Assignment) -> tuple[float, float, Costs]:
        tried.append(assignment)
        raise ModelError("cannot be had", where="layer2")

    trials = Trials(storage, "mine", SPACE)
    trials.run(fail, Limits(), 4)
    assert len(tried) == len(trials.failures()) == 4
    assert not trials.finished()


def test_wrong_storages(tmp_path: Path) -> None:
    for storage in ("nosuch://x", f"sqlite:///{tmp_path}/none/none.db"):
        with pytest.raises(DataError, match="storage"):
            Trials(storage, "mine", SPACE)
