"""The random tests in rounds, until each has had its examples; a run goes on where the last ended.

    python -m tests.fuzz.rounds [--examples 20000] [--seconds 3600] [--round 1000]

Every test that draws, in tests/property and tests/fuzz, runs in a process of its own with a seed of
its own each round, the least tried ones first. What each has had is kept in
build/fuzz/rounds.json, which a change of the sources does not empty: it counts what was tried, and
`make clean` starts anew. A test that fails is not counted, and ends the run with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tinyq.support.files import replace_file

ROOT = Path(__file__).parents[2]
STATE = ROOT / "build" / "fuzz" / "rounds.json"
SUITES = ("tests/property", "tests/fuzz")
COUNTS = ("TINYQ_EXAMPLES", "TINYQ_FUZZ_GRAPHS", "TINYQ_FUZZ_FILES", "TINYQ_MUTATIONS")
LIBFUZZER_SECONDS = 20  # of each round


@dataclass(slots=True)
class Tried:
    """What a test has had: drawn examples, rounds, and the seconds that those took."""

    examples: int = 0
    rounds: int = 0
    seconds: float = 0.0


class _Collector:
    """Keeps the tests that draw: those of hypothesis, and those that take the seed."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
            if drawn or "seed" in getattr(item, "fixturenames", ()):
                self.found.append(item.nodeid.partition("[")[0])


def list_tests() -> list[str]:
    """Functions that draw, by their place."""
    collector = _Collector()
    code = pytest.main(["--collect-only", "-qq", "--no-header", *SUITES], plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise SystemExit(int(code))
    return list(dict.fromkeys(collector.found))


def read_state() -> dict[str, Tried]:
    if not STATE.is_file():
        return {}
    return {name: Tried(**entry) for name, entry in json.loads(STATE.read_text("utf-8")).items()}


def write_state(state: dict[str, Tried]) -> None:
    text = json.dumps({name: asdict(tried) for name, tried in sorted(state.items())}, indent=1)
    STATE.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(STATE) as partial:
        partial.write_text(text + "\n", "utf-8")


def play(name: str, examples: int, seed: int) -> subprocess.CompletedProcess[str]:
    """One round of a test."""
    counts = dict.fromkeys(COUNTS, str(examples))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", name]
    options = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", f"--seed={seed}"]
    seconds = str(LIBFUZZER_SECONDS)
    return subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env={**os.environ, **counts, "TINYQ_FUZZ_SECONDS": seconds},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def choose(state: dict[str, Tried], wanted: int) -> str | None:
    """The test that has been tried least, by examples and then by time; None where all are done."""
    open_ones = [name for name, tried in state.items() if tried.examples < wanted]
    return min(open_ones, key=lambda it: (state[it].examples, state[it].seconds, it), default=None)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.rounds")
    parser.add_argument("--examples", type=int, default=20000, help="of each test")
    parser.add_argument("--seconds", type=float, default=3600, help="after which no round begins")
    parser.add_argument("--round", type=int, default=1000, help="examples of a round")
    options = parser.parse_args(words)
    before = read_state()
    state = {name: before.get(name, Tried()) for name in list_tests()}
    started, failed = time.monotonic(), False
    while (name := choose(state, options.examples)) is not None and not failed:
        if time.monotonic() - started > options.seconds:
            break
        seed, begun = secrets.randbits(31), time.monotonic()
        examples = min(options.round, options.examples - state[name].examples)
        done = play(name, examples, seed)
        failed = done.returncode != 0
        took = time.monotonic() - begun
        if failed:
            print(
                f"{name} fails: --seed={seed} --hypothesis-seed={seed}\n{done.stdout}", flush=True
            )
        else:
            state[name].examples += examples
            state[name].rounds += 1
            state[name].seconds += took
            write_state(state)
            print(f"{state[name].examples:6,} {took:5.0f} s {name}", flush=True)
    tell(state, options.examples)
    return int(failed)


def tell(state: dict[str, Tried], wanted: int) -> None:
    """What every test has had so far."""
    for name, tried in sorted(state.items()):
        print(f"{tried.examples:7,} of {wanted:,} in {tried.seconds:6.0f} s: {name}")
    full = sum(tried.examples >= wanted for tried in state.values())
    whole = sum(tried.examples for tried in state.values())
    print(f"{full} of {len(state)} tests have had {wanted:,} examples; {whole:,} in all")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
