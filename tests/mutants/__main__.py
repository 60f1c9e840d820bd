"""Plant faults one at a time and say which of them no test sees.

    python -m tests.mutants [WORD …]

Words choose faults by parts of their names. Each is planted in a copy of the tracked files, and its
tests run there with a fixed seed. The exit code is 1 where a fault lives that survivors.txt does
not name, or one is dead that it names: the list only shrinks. Results of faults whose file and
tests have not changed are taken from build/mutants.json.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FAULTS = Path(__file__).with_name("faults.yaml")
SURVIVORS = Path(__file__).with_name("survivors.txt")
RESULTS = ROOT / "build" / "mutants.json"
MOST_SECONDS = 900
LIBRARIES = ("hypothesis", "keras", "numpy", "pydantic", "rich.progress", "scipy.optimize", "typer")
NO_TESTS = 5  # pytest's exit code where it has collected none


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: ``old``, which stands in ``file`` once, becomes ``new``."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def text(self) -> str:
        """The file with the fault in it.

        Raises:
            ValueError: The text to change does not stand there exactly once.
        """
        whole = (ROOT / self.file).read_text("utf-8")
        count = whole.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name!r}: {self.old!r} stands {count} times in {self.file}")
        return whole.replace(self.old, self.new)

    def known_tests(self) -> tuple[str, ...]:
        """Its arguments of pytest, without files that are not there."""
        kept = [one for one in self.tests if not one.startswith("tests/") or (ROOT / one).exists()]
        return tuple(kept)

    def key(self) -> str:
        """Changes with the file, the fault, and the test files."""
        state = hashlib.sha256(self.text().encode())
        for one in self.known_tests():
            path = ROOT / one
            state.update(path.read_bytes() if path.is_file() else one.encode())
        return state.hexdigest()


def read_faults() -> list[Fault]:
    entries = yaml.safe_load(FAULTS.read_text("utf-8"))
    return [Fault(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def read_survivors() -> set[str]:
    lines = SURVIVORS.read_text("utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def copy_sources(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)


def is_killed(fault: Fault, folder: Path) -> bool:
    """Whether a test of a copy with the fault fails."""
    path = folder / fault.file
    whole = path.read_text("utf-8")
    path.write_text(fault.text(), "utf-8")
    try:
        code = run_tests(folder, fault.known_tests())
    finally:
        path.write_text(whole, "utf-8")
    if code == NO_TESTS or not fault.known_tests():
        raise ValueError(f"{fault.name!r}: there are no such tests")
    return code != 0


def run_tests(folder: Path, tests: tuple[str, ...]) -> int:
    """Exit code of pytest in a child that has the libraries already, which take longer to load
    than most tests; it is ended after ``MOST_SECONDS``.
    """
    child = os.fork()
    if not child:
        try:
            signal.alarm(MOST_SECONDS)
            quiet = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(quiet, descriptor)
            os.chdir(folder)
            os.environ["PYTHONPATH"] = str(folder)
            sys.path.insert(0, str(folder))
            for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "tinyq")]:
                del sys.modules[name]
            loaded = "ignore::pytest.PytestAssertRewriteWarning"  # of what the children have
            options = [
                "-x",
                "-q",
                "-W",
                loaded,
                "-p",
                "no:cacheprovider",
                "--seed=0",
                f"--rootdir={folder}",
            ]
            os._exit(int(pytest.main([*options, *tests])))
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def load_libraries() -> None:
    """What most tests import, so that children have it."""
    for name in LIBRARIES:
        importlib.import_module(name)


def main(words: list[str]) -> int:
    faults = [one for one in read_faults() if not words or any(word in one.name for word in words)]
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    listed, wrong = read_survivors(), []
    load_libraries()
    with tempfile.TemporaryDirectory(prefix="tinyq-mutants-") as scratch:
        folder = Path(scratch)
        copy_sources(folder)
        if faults and run_tests(folder, faults[0].known_tests()):
            raise SystemExit(f"{faults[0].known_tests()} fail without any fault")
        for number, fault in enumerate(faults, start=1):
            key = fault.key()
            if key not in known:
                known[key] = is_killed(fault, folder)
                RESULTS.parent.mkdir(parents=True, exist_ok=True)
                # Others may plant other faults at the same time.
                found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
                partial = RESULTS.with_suffix(f".{os.getpid()}")
                partial.write_text(json.dumps({**found, key: known[key]}, indent=1))
                partial.replace(RESULTS)
            word = "killed" if known[key] else "LIVES"
            print(f"{number}/{len(faults)} {word}: {fault.name}", flush=True)
            if known[key] == (fault.name in listed):
                wrong.append(fault.name)
    for name in wrong:
        here = "is dead: take it out of" if name in listed else "lives and is not in"
        print(f"{name!r} {here} {SURVIVORS.relative_to(ROOT)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
