from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tinyq
from tinyq.commands import cli
from tinyq.errors import BoardError
from tinyq.hardware import boards as catalogue

ROOT = Path(__file__).resolve().parents[2]


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"tinyq {tinyq.__version__}\n"


def test_version_is_the_project_version():
    assert f'version = "{tinyq.__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_help_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert f" {command.__name__} " in shown


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.__name__)
def test_every_command_has_help_and_json(command, capsys):
    assert cli.main([command.__name__, "--help"]) == 0
    shown = capsys.readouterr().out
    assert command.__doc__.splitlines()[0].split(",")[0] in shown
    assert "--json" in shown


def test_help_loads_nothing_heavy():
    """What makes `tinyq --help` slow is imports; a clock would measure the machine."""
    program = (
        "import sys; from tinyq.commands.cli import main; main(['--help']); "
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = set(done.stderr.split())
    heavy = {"keras", "tensorflow", "numpy", "scipy", "jinja2", "pydantic", "sklearn", "serial"}
    assert "typer" in loaded
    assert not loaded & heavy


def test_unknown_command_is_a_usage_error(capsys):
    assert cli.main(["bild"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "bild" in shown.err


def test_boards_json(capsys):
    assert cli.main(["boards", "--json"]) == 0
    listed = {board["name"]: board for board in json.loads(capsys.readouterr().out)["boards"]}
    assert listed.keys() == catalogue.load_boards().keys()
    stm32 = catalogue.find_board("stm32")
    assert "stm32" in listed[stm32.name]["aliases"]
    assert listed[stm32.name]["flash_bytes"] == stm32.flash_bytes


def test_boards_table_names_every_board(capsys):
    assert cli.main(["boards"]) == 0
    shown = capsys.readouterr().out
    for name in (*catalogue.load_boards(), *catalogue.load_aliases()):
        assert name in shown


@pytest.mark.parametrize("name", ["stm32", "nucleo-f401re", "host", "arduino-uno"])
def test_one_board(name, capsys):
    board = catalogue.find_board(name)
    assert cli.main(["boards", name, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["clock_hz"]) == (board.name, board.clock_hz)
    assert cli.main(["boards", name]) == 0
    text = capsys.readouterr().out
    assert board.title in text
    if board.clock_hz:
        assert f"{board.clock_hz / 1e6:g} MHz" in text
    if name == "nucleo-f401re":
        assert shown["counted_on"] == "mps2-an386"
        assert "mps2-an386" in text


def fail_with(monkeypatch, error):
    def load_boards():
        raise error

    monkeypatch.setattr(catalogue, "load_boards", load_boards)


def test_known_error_is_one_message(monkeypatch, capsys):
    fail_with(
        monkeypatch, BoardError("no [flash]", where="boards.yaml:3", remedy="add flash_bytes")
    )
    assert cli.main(["boards"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "error: no [flash]",
        "  where:  boards.yaml:3",
        "  remedy: add flash_bytes",
    ]


def test_unexpected_error_says_how_to_report(monkeypatch, capsys):
    fail_with(monkeypatch, ZeroDivisionError("by zero"))
    assert cli.main(["boards", "--json"]) == 3
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["code"] == "internal"
    assert "ZeroDivisionError: by zero" in shown.err
    assert "--debug" in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), BoardError("bad")])
def test_debug_shows_the_traceback(error, monkeypatch):
    fail_with(monkeypatch, error)
    with pytest.raises(type(error)):
        cli.main(["--debug", "boards"])


def test_interrupt_has_its_exit_code(monkeypatch):
    fail_with(monkeypatch, KeyboardInterrupt())
    assert cli.main(["boards"]) == 130


def test_unknown_attribute_of_the_package():
    with pytest.raises(AttributeError, match="quantise"):
        _ = tinyq.quantise
    assert "quantize" in dir(tinyq)
