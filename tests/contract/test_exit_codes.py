"""What every command gives back to a shell and, with --json, to a program: one table.

0 success, 1 what the command checks is not as it should be, 2 bad input or a wrong option,
3 a fault of tinyq, 130 interrupted.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.classifier import classifier
from tinyq.commands import cli
from tinyq.errors import CODES, InternalError, TinyqError
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.measurement import run as measuring
from tinyq.project import create_project
from tinyq.support.documents import SCHEMAS

pytestmark = pytest.mark.requires("gcc")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a graph, its build, another graph, data, and what is wrong."""
    folder = tmp_path_factory.mktemp("codes")
    save_graph(classifier(), folder / "model.tqg")
    save_graph(classifier(seed=8), folder / "other.tqg")
    create_project(classifier(), find_board("host"), folder / "build")
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 4, (40, 12)), rng.integers(0, 5, 40)
    np.savez(folder / "data.npz", x=x, y=y)
    np.savez(folder / "words.npz", x=x, y=np.array(["cat"] * 40))
    (folder / "bad.tqg").write_bytes(b"nothing")
    (folder / "h5.h5").write_bytes(b"nothing")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thesis.txt").write_text("years of work")
    return folder


RIGHT = {
    "boards": "boards",
    "one board": "boards stm32",
    "methods": "methods",
    "check": "check model.tqg",
    "check for a board": "check model.tqg --board stm32",
    "inspect": "inspect model.tqg",
    "inspect for a board": "inspect model.tqg --board stm32",
    "build": "build model.tqg --board host -o new",
    "measure": "measure build --data data.npz",
    "measure without labels": "measure build --data data.npz --samples 3 --target host",
    "diff": "diff model.tqg@reference model.tqg@c --data data.npz",
    "export": "export model.tqg --as c -o package",
    "compare": "compare build",
    "compare with data": "compare build --data data.npz --samples 9 --report compared",
}
CHECKED = {
    "check": "check bad.tqg",
    "diff": "diff model.tqg other.tqg --data data.npz",
    "measure": "measure build --data data.npz",
    "doctor": "doctor",
}
WRONG = {  # words, code of the error
    "no such board": ("boards nothing", "board"),
    "no such model": ("inspect none.tqg", "model"),
    "damaged model": ("inspect bad.tqg", "model"),
    "nothing to check": ("check none.tqg", "model"),
    "no such method": ("methods nothing", None),
    "unknown board": ("build model.tqg --board smt32 -o new", "board"),
    "unknown objective": ("build model.tqg --board host -o new --optimize fast", "request"),
    "unknown build system": ("build model.tqg --board host -o new --build-system x", None),
    "foreign folder": ("build model.tqg --board host -o foreign", "request"),
    "file as folder": ("build model.tqg --board host -o bad.tqg/out", "file"),
    "not a build folder": ("measure foreign --data data.npz", "request"),
    "no data": ("measure build --data none.npz", "data"),
    "labels of text": ("measure build --data words.npz", "data"),
    "no such target": ("measure build --data data.npz --target jtag", "link"),
    "no emulator": ("measure build --data data.npz --target qemu", "link"),
    "no port": ("measure build --data data.npz --target serial:/dev/none", "link"),
    "no such place": ("diff model.tqg@moon model.tqg --data data.npz", "request"),
    "no such kind": ("export model.tqg --as rust -o package", "request"),
    "foreign package": ("export model.tqg --as c -o foreign", "request"),
    "compare nothing": ("compare foreign", "request"),
    "compare what is not there": ("compare none", "request"),
    "flash nothing": ("flash foreign", "request"),
    "profile nothing": ("profile foreign", "request"),
    "quantize to another file": ("quantize h5.h5 --data data.npz -o q.h5", "request"),
    "quantize by 9 bits": ("quantize h5.h5 --data data.npz -o q.keras --bits 9", "request"),
    "quantize nothing": ("quantize none.h5 --data data.npz -o q.keras", "model"),
    "search nothing": ("search none.h5 --data data.npz --board stm32 -o s", "model"),
    "search within no amount": (
        "search h5.h5 --data data.npz --board stm32 -o s --flash lots",
        "request",
    ),
    "search for no board": ("search h5.h5 --data data.npz --board smt32 -o s", "board"),
    "train nothing": ("train none.h5 --recipe r.yaml --data data.npz -o t.keras", "model"),
    "train to another file": ("train h5.h5 --recipe r.yaml --data data.npz -o t.h5", "request"),
    "demo on a board without emulator": ("demo --board nucleo-f401re -o demo", "link"),
    "demo in a foreign folder": ("demo --board stm32 --target serial:/dev/none -o demo", "link"),
    "report is a file": ("measure build --data data.npz --report bad.tqg", "file"),
    "unknown command": ("bild", "usage"),
    "unknown option": ("boards --fast", "usage"),
    "missing argument": ("inspect", "usage"),
    "number of text": ("measure build --data data.npz --samples many", "usage"),
}


def run(words: str, place: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.chdir(place)
    return cli.main([*words.split(), *more])


def test_every_command_is_in_the_tables() -> None:
    said = [*RIGHT.values(), *CHECKED.values(), *(words for words, _ in WRONG.values())]
    assert {command.__name__ for command in cli.COMMANDS} <= {words.split()[0] for words in said}


@pytest.mark.parametrize("case", RIGHT)
def test_success_is_0(case, place, monkeypatch, capsys) -> None:
    assert run(RIGHT[case], place, monkeypatch) == 0
    capsys.readouterr()
    assert run(RIGHT[case], place, monkeypatch, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert "error" not in shown
    assert list(shown)[:2] == ["document", "schema"]
    assert shown["schema"] == SCHEMAS[shown["document"]]


@pytest.mark.parametrize("case", CHECKED)
def test_a_finding_is_1(case, place, monkeypatch, capsys) -> None:
    """With --json the finding is in the data, not an error."""
    if case == "measure":
        stream = measuring._stream

        def disturb(*arguments: object) -> np.ndarray:
            answers = stream(*arguments).copy()  # type: ignore[arg-type]
            answers[17, 2] ^= 1
            return answers

        monkeypatch.setattr(measuring, "_stream", disturb)
    if case == "doctor":
        monkeypatch.setenv("PATH", "/nowhere")
    for more in ((), ("--json",)):
        assert run(CHECKED[case], place, monkeypatch, *more) == 1
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
    content = json.loads(shown.out)
    assert "error" not in content
    assert list(content)[:2] == ["document", "schema"]


def list_files(place: Path) -> list[str]:
    """All but what measuring on the host builds."""
    files = (path.relative_to(place).as_posix() for path in place.rglob("*"))
    return sorted(name for name in files if not name.startswith("build/host"))


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_2(case, place, monkeypatch, capsys) -> None:
    words, code = WRONG[case]
    before = list_files(place)
    assert run(words, place, monkeypatch) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert "tinyq failed" not in shown.err
    assert run(words, place, monkeypatch, "--json") == 2
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert list(error) == ["code", "message", "where", "remedy"]
    assert error["code"] in CODES
    assert code in (None, error["code"])
    assert error["message"]
    assert list_files(place) == before


@pytest.mark.parametrize("as_json", [False, True])
def test_a_fault_of_tinyq_is_3(as_json, place, monkeypatch, capsys) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(measuring, "_stream", fail)
    assert run(CHECKED["measure"], place, monkeypatch, *(["--json"] if as_json else [])) == 3
    shown = capsys.readouterr()
    assert "ZeroDivisionError: by zero" in shown.err
    if as_json:
        assert json.loads(shown.out)["error"]["code"] == "internal"


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), ImportError("half loaded")])
def test_an_interruption_is_130(cause, place, monkeypatch, capsys) -> None:
    cause.__cause__ = KeyboardInterrupt()

    def fail(*_: object) -> None:
        raise cause

    monkeypatch.setattr(measuring, "_stream", fail)
    assert run(CHECKED["measure"], place, monkeypatch) == 130
    assert run(CHECKED["measure"], place, monkeypatch, "--json") == 130
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["code"] == "interrupted"
    assert "Traceback" not in shown.err


SYSTEM = {
    "full disk": (OSError(28, "No space left on device", "report.html"), "file", "report.html"),
    "too many files": (OSError(24, "Too many open files"), "file", "Too many open files"),
    "no memory": (MemoryError(), "memory", "data.npz"),
}


@pytest.mark.parametrize("case", SYSTEM)
def test_the_machine_is_not_a_fault_of_tinyq(case, place, monkeypatch, capsys) -> None:
    error, code, words = SYSTEM[case]

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(measuring, "_stream", fail)
    assert run(CHECKED["measure"], place, monkeypatch, "--json") == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["code"] == code
    assert words in shown.err
    assert "fault of tinyq" not in shown.err


def tree(cls: type) -> list[type]:
    return [cls, *(below for sub in cls.__subclasses__() for below in tree(sub))]


def test_codes_are_those_of_the_registry() -> None:
    """Every class of errors.py has a code of its own, others have one of these, none is left."""
    classes = [cls for cls in tree(TinyqError) if cls.__module__.startswith("tinyq")]
    codes = [cls.code for cls in classes if cls.__module__ == TinyqError.__module__]
    assert len(set(codes)) == len(codes)
    assert {*codes, "usage", "interrupted"} == set(CODES)
    assert {cls.code for cls in classes} <= set(CODES)
    assert InternalError in classes
    for code, meaning in CODES.items():
        assert re.fullmatch(r"[a-z_]+", code)
        assert meaning


def spawn(words: list[str], place: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], cwd=place, env=environment, text=True, **settings
    )


@pytest.mark.parametrize(
    "module", ["tinyq.commands.cli", "typer", "tinyq.commands.quantize", "tinyq.commands.output"]
)
def test_ctrl_c_while_modules_load(module, place) -> None:
    """From the first moment on: whatever is being imported."""
    program = f"""
import os, signal, sys
from tinyq.__main__ import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["tinyq", "boards"]
sys.exit(main())
"""
    done = spawn(["-c", program], place, capture_output=True)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


EARLY = {
    "quantize suffix": "quantize h5.h5 --data data.npz -o q.h5",
    "quantize bits": "quantize h5.h5 --data data.npz -o q.keras --bits 9",
    "quantize ranges": "quantize h5.h5 --data data.npz -o q.keras --ranges wide",
    "quantize percentile": "quantize h5.h5 --data data.npz -o q.keras --percentile 5",
    "quantize data": "quantize h5.h5 --data none.npz -o q.keras",
    "quantize model": "quantize none.h5 --data data.npz -o q.keras",
    "demo board": "demo --board nucleo-f401re",
    "demo target": "demo --target jtag",
    "demo port": "demo --target serial:/dev/none",
    "demo folder": "demo -o bad.tqg/x",
    "build board": "build h5.h5 --board none -o new",
    "build objective": "build h5.h5 --board host --optimize fast -o new",
    "build kernels": "build h5.h5 --board host --kernels fast -o new",
    "build system": "build h5.h5 --board host --build-system scons -o new",
    "build folder": "build h5.h5 --board host -o foreign",
    "build rounding": "build h5.h5 --board host --rounding up -o new",
    "inspect board": "inspect h5.h5 --board none",
    "inspect objective": "inspect h5.h5 --board host --optimize fast",
    "export kind": "export h5.h5 --as rust -o new",
    "export folder": "export h5.h5 --as c -o foreign",
}


def test_arguments_are_checked_before_keras_is_loaded(place) -> None:
    """All in one process, which must not have loaded Keras at its end."""
    program = f"""
import sys
from tinyq.commands.cli import main
for words in {list(EARLY.values())!r}:
    assert main(words.split()) == 2, words
    assert not {{"keras", "tensorflow"}} & set(sys.modules), words
"""
    done = spawn(["-c", program], place, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_early_checks_are_those_of_post_training() -> None:
    """Its lists are read, not imported: that would load Keras."""
    text = (ROOT / "tinyq" / "training" / "post_training.py").read_text("utf-8")
    lists = {
        statement.targets[0].id if isinstance(statement, ast.Assign) else statement.target.id: (
            ast.literal_eval(statement.value)
        )
        for statement in ast.parse(text).body
        if isinstance(statement, (ast.Assign, ast.AnnAssign))
        and ast.unparse(statement).startswith(("METHODS", "RANGES"))
    }
    from tinyq.api import quantize as command

    assert set(command.BITS) == set(lists["METHODS"])
    assert set(command.RANGES) == set(lists["RANGES"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize("words", ["boards", "boards --json", "inspect model.tqg"])
def test_output_that_cannot_be_written(words, place) -> None:
    with Path("/dev/full").open("w") as full:
        done = spawn(["-m", "tinyq", *words.split()], place, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "fault of tinyq" not in done.stderr


def test_a_reader_that_has_gone(place) -> None:
    """As of `tinyq boards | head -1`."""
    done = spawn(
        ["-c", "import subprocess, sys; subprocess.run("
         "f'{sys.executable} -m tinyq boards | head -c 1', shell=True, check=True)"],
        place,
        capture_output=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
