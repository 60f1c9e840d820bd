"""Every operation on a file fails once in turn, or the process is killed there.

After an error the message is clean and the old output is whole; after success, however it came
about, the new one is; after a kill, one of the two. `make faults` tries every operation, CI some,
other ones each time. ``TINYQ_FAULTS`` is the number for each command.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import tinyq
from tests.classifier import classifier
from tests.faults.disk import Disk, mounted
from tinyq.commands.cli import main
from tinyq.errors import TinyqError
from tinyq.exports import export
from tinyq.graph.storage import digest, save_graph
from tinyq.hardware.boards import _read_catalogue, find_board
from tinyq.project import create_project, open_project
from tinyq.support.folders import finish_replacing
from tinyq.support.resources import BOARDS

pytestmark = pytest.mark.requires("gcc")

FAULTS = int(os.environ.get("TINYQ_FAULTS", "1"))
KILLS = -(-FAULTS // 4)
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)


@dataclass(frozen=True)
class Case:
    """A command, which replaces an output or only reads.

    Attributes:
        words: The command; paths are relative to the folder that all is in.
        output: What it replaces; None where it writes nothing.
        stands_in: The folder that the process stands in.
        reads: What the disk is put under where it is not that folder: a file of the package.
        caches: What of the output is made on the way, and may be new where what follows fails.
    """

    words: str
    output: str | None
    stands_in: str = "."
    reads: Path | None = None
    caches: str | None = None


CASES = {
    "build": Case("build new.tqg --board host -o out", "out"),
    "build .": Case("build ../new.tqg --board host -o .", "out", "out"),
    "build for a board": Case("build new.tqg --board stm32 -o out", "out"),
    "export": Case("export new.tqg --as c -o package", "package"),
    "export .": Case("export ../new.tqg --as c -o .", "package", "package"),
    "measure": Case("measure out --data data.npz --target host --report report", "report"),
    "profile": Case("profile board --data data.npz --report report", "report"),
    "quantize": Case("quantize float.keras --data data.npz -o small.keras", "small.keras"),
    "methods": Case("methods ttq --svg plot.svg", "plot.svg"),
    "inspect": Case("inspect new.tqg", None),
    "inspect .keras": Case("inspect small.keras", None),
    "diff": Case("diff new.tqg@reference new.tqg@c --data data.npz", None),
    "diff of a folder": Case(
        "diff old.tqg out --data data.npz --samples 3", "out", caches="out/host"
    ),
    "boards": Case("boards", None, reads=BOARDS),
}
SHORT = ("build .", "export .", "measure", "methods", "inspect")  # the others take seconds each
WHOLE = "TINYQ_FAULTS" in os.environ
THREADED = ("quantize", "inspect .keras")  # TensorFlow's threads do not outlive a fork
TRIED = list(CASES) if WHOLE else [name for name in CASES if name in SHORT]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every try begins with: an old output of each kind, and new inputs."""
    folder = tmp_path_factory.mktemp("faults") / "model"
    folder.mkdir()
    save_graph(classifier(seed=8), folder / "new.tqg")
    save_graph(classifier(seed=7), folder / "old.tqg")
    create_project(classifier(seed=7), find_board("host"), folder / "out")
    export(classifier(seed=7), "c", folder / "package")
    rng = np.random.default_rng(1)
    np.savez(folder / "data.npz", x=rng.normal(0, 4, (70, 12)), y=rng.integers(0, 5, 70))
    (folder / "report").mkdir()
    for name in ("report.json", "report.html", "plot.svg"):
        place = folder if name == "plot.svg" else folder / "report"
        (place / name).write_text(f"the old {name}")
    if WHOLE:
        _make_more(folder)
    return folder


def _make_more(folder: Path) -> None:
    """What the commands need that CI leaves out: a float model, a quantized one, a firmware."""
    import keras

    layers = [keras.Input((12,)), keras.layers.Dense(5, name="head")]
    model = keras.Sequential(layers, name="float")
    model.save(folder / "float.keras")
    tinyq.quantize(model, data=np.eye(12, dtype="float32"), output=folder / "small.keras")
    create_project(classifier(seed=7), find_board("stm32"), folder / "board")


def tree(folder: Path) -> dict[str, str]:
    if folder.suffix == ".keras":  # whose bytes hold the time
        return {"codes": digest(tinyq.load(folder))}
    if folder.is_file():
        return {"": hashlib.sha256(folder.read_bytes()).hexdigest()}
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def begin(model: Path, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(model, place)
    return place


def run(case: Case, place: Path, disk: Disk) -> int:
    before = Path.cwd()
    if case.reads is not None:
        disk.root = str(case.reads)
        _read_catalogue.cache_clear()
    os.chdir(place / case.stands_in)
    try:
        with mounted(disk):
            return main(case.words.split())
    finally:
        os.chdir(before)
        if case.reads is not None:
            _read_catalogue.cache_clear()


def choose(count: int, most: int) -> list[int]:
    """Which operations fail: all, or some that are spread and other ones each day."""
    if most >= count:
        return list(range(count))
    rng = np.random.default_rng()
    return sorted(int(number) for number in rng.choice(count, most, replace=False))


def say(capsys: pytest.CaptureFixture[str], what: str) -> None:
    """One line where all operations are tried, for the figures of a run."""
    if WHOLE:
        with capsys.disabled():
            print(f"\n{what}", flush=True)


def check_new(case: Case, place: Path, expected: dict[str, str]) -> None:
    if case.output is None:
        return
    if case.output == "small.keras":
        assert digest(tinyq.load(place / case.output)) == expected["codes"]
        return
    if case.output != "report":
        assert tree(place / case.output) == expected
        return
    report = json.loads((place / "report" / "report.json").read_text("utf-8"))
    if case.words.startswith("measure"):
        assert report["mismatches"] == 0
        assert report["samples"] == 70
    else:
        assert report["counted"]["instructions"] > 0
    assert (place / "report" / "report.html").read_text("utf-8").rstrip().endswith("</html>")


def check_nothing_else(place: Path, model: Path) -> None:
    """No file that is being made is left anywhere but in a build folder that is measured."""
    known = {path.name for path in model.iterdir()}
    assert {path.name for path in place.iterdir()} <= known
    assert not [path for path in place.rglob("*") if "-tinyq-" in path.name]
    assert {path.name for path in (place / "report").iterdir()} == {"report.json", "report.html"}


@pytest.mark.parametrize("name", TRIED)
def test_errors(name: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES[name]
    _require(case)
    place = begin(model, tmp_path / "place")
    sound = Disk(place)
    assert run(case, place, sound) == 0
    whole = case.output or "."
    expected, old = tree(place / whole), tree(model / whole)
    check_new(case, place, expected)
    assert (expected != old) == (case.output is not None)
    assert sound.done
    chosen = choose(len(sound.done), FAULTS)
    say(capsys, f"{len(chosen)} errors at the {len(sound.done)} operations of {name}")
    for number in chosen:
        begin(model, place)
        disk = Disk(place, number, ERRORS[number % len(ERRORS)])
        capsys.readouterr()
        code = run(case, place, disk)
        shown = capsys.readouterr().err
        what = f"{number}: {sound.done[number]}: {code}: {shown}"
        assert code in (0, 2), what
        assert "Traceback" not in shown, what
        assert "tinyq failed" not in shown, what
        if code == 0:
            check_new(case, place, expected)
            finish_replacing(place / whole)  # where it is the cleaning up that failed
        else:
            assert "error: " in shown, what
            assert tree(place / whole) in (old, expected)[: 1 if case.caches is None else 2], what
            assert run(case, place, Disk(place)) == 0, what
            check_new(case, place, expected)
        check_nothing_else(place, model)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", [name for name in TRIED if name not in THREADED])
def test_kills(name: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed there, the output is the old or the new one for the next command; that one works."""
    case = CASES[name]
    _require(case)
    place = begin(model, tmp_path / "place")
    sound = Disk(place)
    assert run(case, place, sound) == 0
    whole = case.output or "."
    expected, old = tree(place / whole), tree(model / whole)
    chosen = choose(len(sound.done), KILLS)
    say(capsys, f"{len(chosen)} kills at the {len(sound.done)} operations of {name}")
    for number in chosen:
        begin(model, place)
        status = _fork(lambda number=number: run(case, place, Disk(place, number, None)))
        what = f"{number}: {sound.done[number]}: {status}"
        assert os.WIFSIGNALED(status), what
        finish_replacing(place / whole)
        if case.output == "report":
            for file in ("report.json", "report.html"):
                text = (place / "report" / file).read_text("utf-8")
                assert text == f"the old {file}" or len(text) > 500, what
        else:
            assert tree(place / whole) in (old, expected), what
        if case.output == "out":
            project = open_project(place / "out")
            assert project.graph_digest in {digest(classifier(seed=7)), digest(classifier(seed=8))}
        assert run(case, place, Disk(place)) == 0, what
        check_new(case, place, expected)
        check_nothing_else(place, model)


def _fork(action: Callable[[], object]) -> int:
    child = os.fork()
    if not child:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            action()
        finally:
            os._exit(99)  # it was to be killed
    return os.waitpid(child, 0)[1]


def _require(case: Case) -> None:
    if "stm32" in case.words and shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")


def test_what_is_damaged_is_never_taken(model: Path, tmp_path: Path) -> None:
    """A build folder whose files are cut or emptied is a message, not a project."""
    for name in ("graph.tqg", "project.json"):
        for keep in (0, 10, 0.5):
            place = begin(model, tmp_path / "place")
            path = place / "out" / name
            content = path.read_bytes()
            path.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])
            with pytest.raises(TinyqError):
                open_project(place / "out")
