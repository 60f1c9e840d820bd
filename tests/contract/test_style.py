"""STYLE.md, as far as it can be checked: errors, help texts, tables."""

from __future__ import annotations

import ast
import functools
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from tinyq.commands import cli
from tinyq.errors import TinyqError
from tinyq.support.tables import WIDTH, Table

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "tinyq").rglob("*.py"))
COMMAND = get_command(cli.app)
OPTIONS = {
    option
    for command in (COMMAND, *COMMAND.commands.values())
    for parameter in command.params
    for option in (*parameter.opts, *parameter.secondary_opts)
} | {"--help", "-h"}
# Options of other programs that messages speak of.
FOREIGN_OPTIONS = {"--user", "--pinned"}
# What is written with capitals wherever it stands.
PROPER = re.compile(
    r"(?:[A-Z]+[0-9]|[A-Z]{2,}|[A-Z][a-z]*[A-Z]|[a-z]+[A-Z]|CMSIS|Keras|Python|Arduino|Zephyr|"
    r"PlatformIO|Larq|TensorFlow|Windows|NumPy|Linux)"
)
HOLE = "\0"  # of a message's text: something that is filled in
# The first words of remedies: instructions.
_VERBS = (
    "add allow apply ask begin bring build buy call cast change check choose clean clip "
    "close compare connect convert copy correct count cut declare delete derive describe do "
    "download draw drop end expect export feed fill find fit fix flash fold free give hold "
    "import insert install join keep leave let limit look lower make measure merge mind "
    "mount move name number open order pack pad pass plan plug point pool press profile put "
    "quantize raise read rebuild register remove rename repeat replace report reset reshape "
    "retrain return rewrite round run save say scale search see select send set shorten spell "
    "split square start state stop store switch take train try turn unplug unzip update use wait "
    "write "
)
VERBS = frozenset(_VERBS.split())


@dataclass(frozen=True)
class Said:
    """One construction of an error in the sources."""

    place: str
    message: str
    remedy: str | None


def names_of(cls: type) -> set[str]:
    return {cls.__name__, *(name for below in cls.__subclasses__() for name in names_of(below))}


def read_text(node: ast.AST | None) -> str | None:
    """Text of a literal, with HOLE for what is filled in; None for what is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(read_text(part) or HOLE for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return HOLE
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (read_text(node.left) or HOLE) + (read_text(node.right) or HOLE)
    return None


@functools.cache
def list_said() -> tuple[Said, ...]:
    classes = names_of(TinyqError)
    return tuple(
        said for path in SOURCES for said in _read(path, ast.parse(path.read_text()), classes)
    )


def _read(path: Path, tree: ast.AST, classes: set[str]) -> Iterator[Said]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in classes and node.args:
            message = read_text(node.args[0])
            remedy = next((it.value for it in node.keywords if it.arg == "remedy"), None)
            choices = [remedy.body, remedy.orelse] if isinstance(remedy, ast.IfExp) else [remedy]
            for choice in choices:
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield Said(place, message or HOLE, read_text(choice))


def test_the_sources_say_something() -> None:
    """The walk finds what it is about."""
    assert len(list_said()) > 300
    assert sum(said.remedy is not None for said in list_said()) > 200


def list_faults_of_message(text: str) -> list[str]:
    faults = []
    first = text[:1]
    if first.isupper() and not PROPER.match(text):
        faults.append("begins with a capital")
    if text.endswith("."):
        faults.append("ends with a full stop")
    if re.search(r"[!?]", text):
        faults.append("exclaims or asks")
    if re.search(r"\b(sorry|please|unfortunately|oops)\b", text, re.IGNORECASE):
        faults.append("apologizes")
    return faults


def list_faults_of_remedy(text: str) -> list[str]:
    faults = list_faults_of_message(text)
    word = re.match(r"[a-z]+", text)
    if text[:1] not in (HOLE, "`") and (word is None or word.group() not in VERBS):
        faults.append("is no instruction")
    return faults


def test_messages_are_sentences_in_lower_case() -> None:
    wrong = [
        f"{said.place}: {fault}: {said.message!r}"
        for said in list_said()
        for fault in list_faults_of_message(said.message)
    ]
    assert not wrong, "\n".join(wrong)


def test_remedies_are_instructions() -> None:
    wrong = [
        f"{said.place}: {fault}: {said.remedy!r}"
        for said in list_said()
        if said.remedy
        for fault in list_faults_of_remedy(said.remedy)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the file is missing", 0),
        ("CMSIS-NN is missing", 0),
        (f"{HOLE} is missing", 0),
        ("The file is missing", 1),
        ("the file is missing.", 1),
        ("is the file missing?", 1),
        ("sorry, it is missing!", 2),
    ],
)
def test_faults_of_messages_are_seen(text: str, count: int) -> None:
    assert len(list_faults_of_message(text)) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("give a file", 0),
        ("`tinyq boards` lists them", 0),
        ("Give a file", 2),
        ("files are missing", 1),
        ("the file.", 2),
    ],
)
def test_faults_of_remedies_are_seen(text: str, count: int) -> None:
    assert len(list_faults_of_remedy(text)) == count


def list_unknown(text: str) -> list[str]:
    """Commands and options that a text names and that do not exist."""
    unknown = []
    for line in re.findall(r"`tinyq ([^`]*)`", text):
        words = line.split()
        while words and words[0].startswith("--"):
            words = words[1 if words[0] == "--debug" else 2 :]
        command = words[0] if words else ""
        if not re.fullmatch("[a-z]+", command):
            continue
        if command not in COMMAND.commands:
            unknown.append(f"tinyq {command}")
            continue
        known = {it for found in COMMAND.commands[command].params for it in found.opts}
        known |= {it for found in COMMAND.commands[command].params for it in found.secondary_opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        unknown += [f"tinyq {command} {option}" for option in sorted(used - known - {"--help"})]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub(r"`[^`]*`", "", text)))
    return unknown + sorted(named - OPTIONS - FOREIGN_OPTIONS)


def test_named_commands_and_options_exist() -> None:
    wrong = [
        f"{said.place}: {unknown}"
        for said in list_said()
        for text in (said.message, said.remedy or "")
        for unknown in list_unknown(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_unknown_names_are_seen() -> None:
    assert list_unknown("run `tinyq bild X`") == ["tinyq bild"]
    assert list_unknown("run `tinyq build X --fast`") == ["tinyq build --fast"]
    assert list_unknown("pass --fast") == ["--fast"]
    assert list_unknown("run `tinyq --debug build X -o OUT`, or pass --board") == []


def list_help() -> list[tuple[str, str]]:
    """What is said of every command, option and argument."""
    found = []
    for name, command in COMMAND.commands.items():
        found.append((name, command.help or ""))
        found += [
            (f"{name} {it.opts[0]}", getattr(it, "help", "") or "")
            for it in command.params
            if it.name != "help"
        ]
    return [*found, *((it.opts[0], it.help or "") for it in COMMAND.params if it.name != "help")]


HELP = dict(list_help())


@pytest.mark.parametrize("name", HELP)
def test_help_is_a_sentence(name: str) -> None:
    text = HELP[name]
    assert text, f"{name} has no help"
    assert re.match(r"[A-Z`.]|tinyq|qemu|[A-Z]*|report\.json", text)
    assert text.endswith("."), text
    assert "!" not in text and "?" not in text
    assert not list_unknown(text), list_unknown(text)


@pytest.mark.parametrize("name", sorted(COMMAND.commands))
def test_help_of_a_command_is_one_instruction(name: str) -> None:
    text = HELP[name]
    assert text[0].isupper()
    assert text.count(". ") == 0, "one sentence"
    word = re.match(r"[a-z]+", text.lower()).group()
    assert word in VERBS | {"list", "show", "stream"}, word


UNITS = re.compile(
    r"\b(bits?|bytes?|per cent|samples?|loops?|seconds?|epochs?|first so many|instructions?"
    r"|milliseconds|microjoules|milliwatts|share|rate|seed|trials?|threads?)\b",
    re.IGNORECASE,
)


def holds_number(command: str, option: str | None) -> bool:
    function = next(it for it in cli.COMMANDS if it.__name__ == command)
    hint = str(typing.get_type_hints(function).get(option or "", ""))
    return bool(re.search(r"\b(int|float)\b", hint))


@pytest.mark.parametrize(
    "name",
    [
        f"{name} {it.opts[0]}"
        for name, command in COMMAND.commands.items()
        for it in command.params
        if holds_number(name, it.name)
    ],
)
def test_help_of_a_number_says_what_is_counted(name: str) -> None:
    assert UNITS.search(HELP[name]), f"{name}: {HELP[name]!r} has no unit"


@pytest.mark.parametrize("name", sorted(COMMAND.commands))
def test_values_that_are_allowed_are_named(name: str) -> None:
    """Options that take a word out of a list say the list, or the command that prints it."""
    from tinyq.api.build import KERNELS
    from tinyq.api.quantize import RANGES
    from tinyq.exports import export_kinds
    from tinyq.firmware.build_systems import build_system_names
    from tinyq.models import ROUNDINGS
    from tinyq.selection import OBJECTIVES

    lists = {
        "--build-system": build_system_names(),
        "--kernels": KERNELS,
        "--optimize": OBJECTIVES,
        "--rounding": ROUNDINGS,
        "--ranges": RANGES,
        "--as": export_kinds(),
    }
    for it in COMMAND.commands[name].params:
        for option, values in lists.items():
            if option in it.opts:
                missing = [value for value in values if value not in it.help]
                assert not missing, f"{name} {option}: {missing}"


def list_tables() -> Iterator[Table]:
    """Tables that need no build: boards, methods, installation."""
    import tinyq

    for result in (tinyq.boards(), tinyq.boards("stm32"), tinyq.methods(), tinyq.doctor()):
        yield from (part for part in result.parts() if isinstance(part, Table))


def test_tables_read_in_100_columns() -> None:
    """Their first column whole, their figures to the right."""
    for table in list_tables():
        lines = table.render(WIDTH).splitlines()
        assert max(map(len, lines)) <= WIDTH
        for row in table.rows:
            assert any(line.startswith(row[0]) for line in lines), row[0]
        for index, column in enumerate(table.columns):
            cells = [row[index] for row in table.rows if row[index] not in ("", "-")]
            if cells and all(re.fullmatch(r"~?[\d,.]+ ?%?", cell) for cell in cells):
                assert column in table.right, f"{table.title}: {column} holds figures"
