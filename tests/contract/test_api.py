"""Every command has a function in `import tinyq` with its options; results show themselves."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import typing
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import tinyq
from tests.classifier import classifier
from tinyq.api.flash import Written
from tinyq.commands import cli
from tinyq.errors import TinyqError
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.support.datasets import make_dataset
from tinyq.support.tables import WIDTH, Shown, Table
from tinyq.targets.flash import Flashed
from tinyq.targets.wire import DeviceInfo

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {command.__name__: command for command in cli.COMMANDS}
# What a command alone has, and why.
PRINTING = {"json": "a function returns the result, which has to_json()"}
# What a function alone has, and why.
CALLING = {
    "progress": "a command shows a bar",
    "show": "a command shows bars",
}
# Options that stand differently on purpose.
DIFFERENT = {
    ("quantize", "recipe"): "a command cannot train, so it quantizes by data alone",
    ("quantize", "data"): "None where a recipe is given",
    ("quantize", "output"): "a model in memory needs no file",
    ("train", "output"): "a model in memory needs no file",
}
# Functions without a command, and why.
FUNCTIONS = {
    "load": "each command loads its model",
    "load_methods": "tinyq --methods FILE",
    "register_activations": "decorates code",
    "register_weights": "decorates code",
    "summary": "tinyq inspect shows the graph of a trained model",
    "stream": "tinyq build --stream",
    "settle": "a step of a training that is written in Python",
}


def options(function: object) -> dict[str, object]:
    return {name: it.default for name, it in inspect.signature(function).parameters.items()}


def test_every_command_has_its_function_and_back() -> None:
    functions = {name for name in tinyq.__all__ if callable(getattr(tinyq, name))} - {"TinyqError"}
    lacking = COMMANDS.keys() - functions
    assert not lacking, f"write tinyq/api/<name>.py and name it in tinyq.__all__: {lacking}"
    alone = functions - COMMANDS.keys() - FUNCTIONS.keys()
    assert not alone, f"write tinyq/commands/<name>.py or say in FUNCTIONS why not: {alone}"
    assert not FUNCTIONS.keys() & COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_the_same(name: str) -> None:
    command, function = options(COMMANDS[name]), options(getattr(tinyq, name))
    known = {option for command_name, option in DIFFERENT if command_name == name}
    for option in (command.keys() | function.keys()) - known:
        if option in PRINTING:
            assert option not in function
        elif option in CALLING:
            assert option not in command
        else:
            assert option in function, f"tinyq.{name} lacks {option}"
            assert option in command, f"`tinyq {name}` lacks {option}"
            assert command[option] == function[option], option
    assert known <= command.keys() | function.keys()
    order = [option for option in function if option in command]
    assert order == [option for option in command if option in function]


@pytest.mark.parametrize("name", [*COMMANDS, *FUNCTIONS])
def test_functions_are_typed_and_documented(name: str) -> None:
    function = getattr(tinyq, name)
    assert function.__doc__
    hints = inspect.signature(function)
    assert hints.return_annotation is not inspect.Signature.empty
    for option, it in hints.parameters.items():
        assert it.annotation is not inspect.Parameter.empty
        assert f"{option}:" in function.__doc__ or name in FUNCTIONS, f"{option} is not explained"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_thin(name: str) -> None:
    """It holds one function, which imports its twin alone."""
    tree = ast.parse((ROOT / f"tinyq/commands/{name}.py").read_text("utf-8"))
    defined = [it.name for it in tree.body if isinstance(it, ast.FunctionDef)]
    assert defined == [name]
    imported = {it.module for it in ast.walk(tree) if isinstance(it, ast.ImportFrom)}
    own = {module for module in imported if (module or "").startswith("tinyq.")}
    assert own == {f"tinyq.api.{name}", "tinyq.commands.output"}


def test_import_names_all_and_loads_nothing() -> None:
    program = (
        "import sys, tinyq; assert set(tinyq.__all__) == set(dir(tinyq)); "
        "print(sorted(name for name in sys.modules if name.startswith('tinyq.api')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_names_are_known_to_type_checkers() -> None:
    """What is loaded lazily is imported under TYPE_CHECKING, by the same names."""
    tree = ast.parse((ROOT / "tinyq/__init__.py").read_text("utf-8"))
    block = next(it for it in tree.body if isinstance(it, ast.If))
    names = {alias.name for it in block.body for alias in typing.cast(ast.ImportFrom, it).names}
    assert names | {"TinyqError", "__version__"} == set(tinyq.__all__)


class Reader(HTMLParser):
    """Rows of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def read(page: str) -> list[list[str]]:
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader.rows


def test_a_table_says_the_same_as_text_and_as_html() -> None:
    table = Table(
        "a < b", ("x", "<n>"), (("one & two", "1"), ("three", "<script>")), right=("<n>",)
    )
    assert table.render().splitlines() == [
        "a < b",
        "x               <n>",
        "one & two         1",
        "three      <script>",
    ]
    assert read(table.to_html()) == [["x", "<n>"], ["one & two", "1"], ["three", "<script>"]]
    assert "<script>" not in table.to_html()
    assert table.to_html().count("text-align:right") == 3


def test_a_table_keeps_its_first_column_whole_in_few_columns() -> None:
    row = ("a_name_of_thirty_characters_or_so", *["many words that break " * 3] * 4)
    lines = Table("title", ("name", "a", "b", "c", "d"), (row,)).render(60).splitlines()
    assert max(map(len, lines)) <= 60
    assert any(row[0] in line for line in lines)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    """A result of every function that needs neither training nor a board."""
    place = tmp_path_factory.mktemp("api")
    x = np.random.default_rng(0).normal(0, 4, (12, 12)).astype(np.float32)
    save_graph(classifier(), place / "model.tqg")
    built = tinyq.build(place / "model.tqg", "host", place / "out")
    return {
        "load": tinyq.load(place / "model.tqg"),
        "build": built,
        "measure": tinyq.measure(built, (x, np.arange(12) % 5), report=place / "page"),
        "inspect": tinyq.inspect(classifier(), board="stm32"),
        "check": tinyq.check(place / "model.tqg", board="stm32"),
        "compare": tinyq.compare([built, place / "page"]),
        "diff": tinyq.diff(classifier(), built, x),
        "diff with a difference": tinyq.diff(classifier(), classifier(seed=8), x),
        "export": tinyq.export(classifier(), "c", place / "lib"),
        "boards": tinyq.boards(),
        "one board": tinyq.boards("stm32"),
        "methods": tinyq.methods(),
        "one method": tinyq.methods("twn"),
        "doctor": tinyq.doctor(),
    }


RESULTS = (
    "load", "build", "measure", "inspect", "compare", "diff", "diff with a difference", "export",
    "boards", "one board", "methods", "one method", "doctor",
)  # fmt: skip


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("case", RESULTS)
def test_results_show_themselves(case: str, made: dict[str, Shown]) -> None:
    result = made[case]
    text, page = repr(result), result._repr_html_()
    assert text == str(result)
    assert "object at 0x" not in text
    rows = read(page)
    for part in result.parts():
        if isinstance(part, str):
            assert part in text
        else:
            assert part.title[:40] in text
            assert all(len(line) <= WIDTH for line in part.render().splitlines())
            for row in part.rows:
                assert row[0] in text
                assert list(row) in rows
    if case != "load":
        content = result.to_json()
        assert list(content)[:2] == ["document", "schema"]
        json.dumps(content, allow_nan=False)


@pytest.mark.requires("gcc")
def test_results_have_their_figures(made: dict[str, Shown]) -> None:
    built, measured = made["build"], made["measure"]
    assert built.folder.name == "out"
    assert built.flash_bytes == measured.flash_bytes > 0
    assert (measured.mismatches, measured.ok) == (0, True)
    assert set(measured.accuracy) == {"device", "reference"}
    assert measured.page.is_file()
    assert made["diff"].ok
    assert not made["diff with a difference"].ok
    assert made["diff with a difference"].layer
    assert made["inspect"].macs > 0
    assert made["inspect"].kernels
    assert len(made["boards"]) == len(list(made["boards"]))
    assert any("stm32" in entry.aliases for entry in made["boards"])


def test_a_flashed_board_is_told_with_and_without_a_greeting() -> None:
    digests = (bytes(32), bytes(32))
    info = DeviceInfo("model", *digests, 168_000_000, True, 512, 512, 4, 4, 64, 1)
    board = find_board("stm32")
    greeted = Written(board, Flashed("openocd", "/dev/ttyACM0", info))
    assert "/dev/ttyACM0: runs model at 168 MHz" in repr(greeted)
    content = json.loads(json.dumps(greeted.to_json()))
    assert (content["document"], content["device"]["name"]) == ("flash", "model")
    silent = Written(board, Flashed("openocd", None, None))
    assert "not greeted" in repr(silent)
    assert silent.to_json()["device"] is None


@pytest.mark.requires("gcc")
def test_arguments_of_every_kind_are_the_same(tmp_path: Path, made: dict[str, Shown]) -> None:
    """Paths as text, results, graphs; arrays, pairs, mappings, files."""
    built = made["build"]
    x = np.random.default_rng(0).normal(0, 4, (12, 12)).astype(np.float32)
    y = np.arange(12) % 5
    np.savez(tmp_path / "data.npz", x=x, y=y)
    pairs = [(x, y), {"x": x, "y": y}, make_dataset(x, y), tmp_path / "data.npz"]
    found = [tinyq.measure(built, pair) for pair in (*pairs, str(pairs[-1]))]
    assert len({str(it.accuracy) for it in found}) == 1
    assert tinyq.measure(str(built.folder), x).accuracy == {}
    models = (classifier(), made["load"], built.folder / "graph.tqg")
    digests = {tinyq.inspect(model, find_board("stm32")).digest for model in models}
    assert digests == {made["inspect"].digest}


WRONG = {
    "model": (lambda x: tinyq.load(3), "int is no model"),
    "model to quantize": (
        lambda x: tinyq.quantize(3, {"weights": "int8"}),
        "int is no float model",
    ),
    "neither recipe nor data": (lambda x: tinyq.quantize(3), "by a recipe"),
    "recipe and data": (lambda x: tinyq.quantize(3, {}, data=x), "by a recipe"),
    "recipe and bits": (lambda x: tinyq.quantize(3, {}, bits=4), "formats are those"),
    "bits": (lambda x: tinyq.quantize(3, data=x, bits=9), "9 is not supported"),
    "samples": (lambda x: tinyq.quantize(3, data=x, samples=0), "0 is not supported"),
    "output": (lambda x: tinyq.quantize(3, data=x, output="q.h5"), "no .keras file"),
    "board": (lambda x: tinyq.build(classifier(), "smt32", "o"), "smt32"),
    "board of another kind": (lambda x: tinyq.build(classifier(), 7, "o"), "a board is a name"),
    "rounding of a graph": (lambda x: tinyq.load(classifier(), "tflite"), "rounding rule"),
    "folder": (lambda x: tinyq.measure(None, x), "a build folder is a path"),
    "data": (lambda x: tinyq.diff(classifier(), classifier(), object()), "no array of numbers"),
    "ragged data": (lambda x: tinyq.diff(classifier(), classifier(), [[1], [1, 2]]), "no array"),
    "text": (lambda x: tinyq.diff(classifier(), classifier(), "none.npz"), "no such file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_errors_with_a_remedy(case: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, words = WRONG[case]
    with pytest.raises(TinyqError, match=words) as caught:
        call(np.zeros((4, 12), np.float32))
    assert caught.value.remedy or caught.value.where
    assert not list(tmp_path.iterdir())


def test_examples_import_public_names_alone() -> None:
    for path in sorted((ROOT / "examples").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            inner = [name for name in names if name.startswith("tinyq.")]
            assert not inner, f"{path.name}: {inner}"
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "tinyq":
                assert node.attr in tinyq.__all__, f"{path.name}: tinyq.{node.attr}"
