"""`make new` writes what is found and asked for by name, and refuses what cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.new import KINDS, NEXT, NewError, list_stubs, make

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("tinyq", "templates", "firmware", "tests", "boards.yaml", "pyproject.toml", "benchmarks")
NAMES = {
    "method": "brand_new_method",
    "layer": "sharpened_edges",
    "op": "brand_new_op",
    "kernel": "armv7em/brand_new_kernel",
    "board": "brand-new-board",
    "port": "brandnewport",
}
# The contract tests that see the new one, and what they call it by.
SEEN = {
    "method": ("tests/contract/test_methods.py", "brand_new_method"),
    "layer": ("tests/unit/test_layer_sharpened_edges.py", "sharpened_edges"),
    "op": ("tests/contract/test_ops.py", "BrandNewOp"),
    "kernel": ("tests/contract/test_kernel_texts.py", "armv7em.brand_new_kernel"),
    "board": ("tests/contract/test_boards.py", "brand-new-board"),
    "port": ("tests/contract/test_boards.py", "brandnewport"),
}
# Files of the product that one more of a kind may take, boards.yaml included.
MOST_FILES = {"method": 1, "op": 2, "kernel": 2, "board": 1, "port": 2, "layer": 1}
# Tests that fail in the copy without the files of tests/, and what their messages name.
ASKED = {
    "op": (
        ("tests/contract/test_ops.py", "test_an_operation_has_its_file and BrandNewOp"),
        "BrandNewOp",
    ),
    "operator": (
        ("tests/contract/test_tflite_importers.py", "BRAND_NEW_OP"),
        "no test holds the operator BRAND_NEW_OP",
    ),
    "estimate": (
        ("tests/contract/test_estimates.py", "every_generic"),
        "count brandnewop_s8_generic: python benchmarks/generic.py",
    ),
    "layer": (
        ("tests/contract/test_situations.py", "file_of_layers and sharpened_edges"),
        "no test holds tinyq/training/layers/sharpened_edges.py: add a network with SharpenedEdges",
    ),
    "kernel": (
        ("tests/golden/test_kernels.py", "brand_new_kernel"),
        "dense_s8_s8_armv7em-brand_new_kernel has no golden text",
    ),
}
# Commands in the copy that fail where the new one is not found by its name.
FOUND = """
from tests.operations import REGISTRY
from tinyq.graph.ops import OPERATIONS
from tinyq.hardware.boards import load_boards
from tinyq.kernels.registry import list_kernels
from tinyq.quantizers.catalogue import load_catalogue

assert OPERATIONS["BrandNewOp"].kernel == "brandnewop"
assert REGISTRY.modules["formula", "BrandNewOp"] == "tests.operations.brand_new_op"
names = {kernel.name for kernel in list_kernels()}
assert {"brandnewop_s8_generic", "dense_s8_s8_armv7em-brand_new_kernel"} <= names
boards = load_boards()
assert boards["brandnewport"].port == "brandnewport"
assert "brand-new-board" in boards
assert load_catalogue()["brand_new_method"].weights == {"brand_new_method": "s4"}
"""


def test_every_kind_is_here() -> None:
    assert set(KINDS) == set(NAMES) == set(SEEN) == set(NEXT)


def run(words: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with one more of each kind; with nothing but sources."""
    place = tmp_path_factory.mktemp("project")
    for part in PARTS:
        source = ROOT / part
        paths = [source] if source.is_file() else sorted(source.rglob("*"))
        for path in paths:
            if path.is_file() and "__pycache__" not in path.parts:
                target = place / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    for kind, name in NAMES.items():
        done = run(["-m", "tests.new", kind, name], place)
        assert done.returncode == 0, done.stderr
        *written, after = done.stdout.splitlines()
        assert written
        assert all((place / path).is_file() for path in written)
        assert "pytest" in after and "$" not in after
    return place


def test_the_new_ones_are_found_by_their_names(copy: Path) -> None:
    done = run(["-c", FOUND], copy)
    assert done.returncode == 0, done.stderr


def test_contract_tests_see_the_new_ones_by_their_names(copy: Path) -> None:
    files = sorted({file for file, _ in SEEN.values()})
    words = ["-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    done = run(words, copy)
    assert done.returncode == 0, done.stdout + done.stderr
    collected = done.stdout.splitlines()
    for kind, (file, name) in SEEN.items():
        assert any(line.startswith(file) and name in line for line in collected), kind


@pytest.mark.parametrize("kind", KINDS)
def test_one_more_takes_few_files_of_the_product(kind: str, copy: Path) -> None:
    stubs = [str(it.path) for it in list_stubs(kind, NAMES[kind])]
    product = [path for path in stubs if not path.startswith("tests/")]
    product += ["boards.yaml"] * ("board" in kind or kind == "port")
    assert len(product) <= MOST_FILES[kind], product


@pytest.fixture(scope="module")
def answers(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the tests say in a copy whose new things have no tests."""
    place = tmp_path_factory.mktemp("untested") / "project"
    shutil.copytree(copy, place)
    for kind, name in NAMES.items():
        for stub in list_stubs(kind, name):
            if str(stub.path).startswith("tests/"):
                (place / stub.path).unlink()
    said = []
    for (file, chosen), _ in ASKED.values():
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", file, "-k", chosen]
        done = run(words, place)
        assert done.returncode == 1, f"{file} {chosen}: {done.stdout[-3000:]}{done.stderr}"
        said.append(done.stdout)
    return "".join(said)


@pytest.mark.parametrize("kind", ASKED)
def test_a_missing_test_is_asked_for_by_name(kind: str, answers: str) -> None:
    assert ASKED[kind][1] in answers


def test_stubs_are_formatted_and_checked(copy: Path) -> None:
    paths = [str(it.path) for kind, name in NAMES.items() for it in list_stubs(kind, name)]
    sources = [path for path in paths if path.endswith(".py")]
    assert len(sources) >= 6
    for words in (["format", "--check"], ["check"]):
        done = run(["-m", "ruff", *words, "--no-cache", *sources], copy)
        assert done.returncode == 0, done.stdout + done.stderr


def test_boards_stay_sorted_and_keep_their_text(copy: Path) -> None:
    before, after = ((place / "boards.yaml").read_text("utf-8") for place in (ROOT, copy))
    names = list(yaml.safe_load(after)["boards"])
    assert names == sorted(names)
    kept = iter(after.splitlines())
    assert all(line in kept for line in before.splitlines()), "a line of boards.yaml was lost"


TAKEN = {
    "method": "uniform",
    "layer": "dense",
    "op": "add",
    "kernel": "armv7em/dense_lanes",
    "board": "pico",
    "port": "nrf",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_taken_is_refused(kind: str, copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    for root, name in ((ROOT, TAKEN[kind]), (copy, NAMES[kind])):
        with pytest.raises(NewError, match="taken"):
            make(kind, name, root)
    after = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    assert before == after


BAD = (
    "",
    " ",
    "a b",
    "../x",
    "a/../b",
    "/etc",
    "class",
    "1x",
    "ä",
    "A",
    "x__y",
    "-x",
    "x;y",
    "x\n",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(NewError, match="cannot be the NAME"):
        make(kind, name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cake", "x"], "choose one of board, kernel, layer, method, op, port"),
        (["kernel", "x86/fast"], "instruction set"),
        (["op", ""], "usage"),
        ([], "usage"),
    ],
)
def test_wrong_words_are_explained(words: list[str], said: str) -> None:
    done = run(["-m", "tests.new", *words], ROOT)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
