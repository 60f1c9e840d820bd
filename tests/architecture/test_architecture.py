from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.twins import Twin, faults, find_twins
from tinyq.graph.ops import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]
LINE_BUDGET = 500  # of one source file
PACKAGE_BUDGET = 399  # of a module of the package
MOST_ENTRIES = 24  # of its folder
BUDGETED = ("tinyq/**/*.py", "templates/**/*.*", "firmware/**/*.*")


def test_imports_keep_their_layers():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("statement", ["import tinyq", "import tinyq.commands.cli"])
def test_import_stays_light(statement):
    heavy = "{'keras', 'tensorflow', 'numpy', 'scipy', 'jinja2', 'pydantic', 'sklearn'}"
    code = f"{statement}; import sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_twin_exists():
    twins = list(find_twins(ROOT))
    assert twins, "no `Twin:` line found: the search is broken"
    wrong = [f"{twin.file}:{twin.line}: {fault}" for twin in twins for fault in faults(ROOT, twin)]
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def small_tree(tmp_path):
    (tmp_path / "tinyq/targets").mkdir(parents=True)
    (tmp_path / "tinyq/targets/wire.py").write_text(
        "LIMIT = 3\nclass Frame:\n    def pack(self): ...\n"
    )
    (tmp_path / "firmware/core").mkdir(parents=True)
    (tmp_path / "firmware/core/wire.c").write_text("int tq_wire_read(void);\n")
    (tmp_path / "templates/kernels").mkdir(parents=True)
    (tmp_path / "templates/kernels/dense_s8_t2_generic.c.j2").write_text("tq_dense_s8_t2_generic")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "tq_wire_read in firmware/core/wire.c, equal bit for bit.",
        "firmware/core/wire.c",
        "tinyq.targets.wire.Frame.pack",
        "tinyq/targets/wire.py",
        "pack in tinyq/targets/wire.py",
        "tq_dense",
        "tinyq.targets.wire.LIMIT and tq_wire_read",
        "tq_dense_s8_<weight>_generic in templates/kernels/dense_s8_<weight>_generic.c.j2.",
    ],
)
def test_twin_is_found(small_tree, text):
    assert faults(small_tree, Twin("x.py", 1, text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "tq_wire_write in firmware/core/wire.c",
        "firmware/core/wires.c",
        "tinyq.targets.wire.Frame.unpack",
        "tinyq.cable",
        "read_word in firmware/core/wire.c",
        "tq_wire_rea in firmware/core/wire.c",
        "tq_wire_reader",
        "tq_conv2d_<input>_<weight>_generic",
        "the C code",
    ],
)
def test_twin_is_missed(small_tree, text):
    assert faults(small_tree, Twin("x.py", 1, text))


def operations_named(source: str, operations: set[str], classes: set[str]) -> list[str]:
    """Return the places where Python source names an operation, docstrings aside."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    kernel = re.compile(rf"(?:^|\W)tq_(?:{'|'.join(sorted(operations))})_")
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings and (
                node.value in operations or kernel.search(node.value)
            ):
                found.append(f"{node.lineno}: {node.value!r}")
        elif isinstance(node, ast.Name) and node.id in classes:
            found.append(f"{node.lineno}: {node.id}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinyq.graph.ops"):
            named = {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
            found += [f"{node.lineno}: {name}" for name in sorted(named & (operations | classes))]
    return found


def test_codegen_names_no_operation():
    classes = set(OPERATIONS)
    operations = {operation.__module__.rpartition(".")[2] for operation in OPERATIONS.values()}
    sources = sorted((ROOT / "tinyq/codegen").rglob("*.py"))
    assert {"dense", "conv2d"} <= operations
    assert sources, "tinyq/codegen holds no source"
    wrong = [
        f"{path.relative_to(ROOT)}:{place}"
        for path in sources
        for place in operations_named(path.read_text("utf-8"), operations, classes)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("if node.op == 'dense': pass", 1),
        ("from tinyq.graph.ops.dense import Dense", 1),
        ("from tinyq.graph.ops import dense", 1),
        ("isinstance(op, Dense)", 1),
        ("text = 'tq_dense_s8_s8_generic(x)'", 1),
        ("def emit():\n    'Emit a call, such as tq_dense_s8_s8_generic.'\n    seen.add(op)", 0),
        ("from tinyq.graph.ops import Op", 0),
    ],
)
def test_named_operation_is_seen(source, count):
    found = operations_named(source, {"dense", "add"}, {"Dense", "Add"})
    assert bool(found) == bool(count), found


@pytest.mark.parametrize("folder", ["templates", "firmware"])
def test_shipped_folder_holds_no_python(folder):
    assert (ROOT / folder).is_dir()
    assert not list((ROOT / folder).rglob("*.py")), "hatchling's editable install forbids it"


def test_files_keep_their_budget():
    long = {
        str(path.relative_to(ROOT)): count
        for pattern in BUDGETED
        for path in ROOT.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
        if (count := len(path.read_text("utf-8").splitlines())) > budget_of(path)
    }
    assert not long, f"a file holds two things: {long}"


def budget_of(path: Path) -> int:
    return PACKAGE_BUDGET if path.suffix == ".py" else LINE_BUDGET


def test_the_package_shows_its_stages_at_a_glance():
    hidden = {"__init__.py", "__main__.py", "__pycache__", "py.typed"}
    entries = sorted(path.name for path in (ROOT / "tinyq").iterdir() if path.name not in hidden)
    assert len(entries) <= MOST_ENTRIES, f"find a folder for one of {entries}"


def test_no_data_folder_in_the_checkout():
    assert not (ROOT / "tinyq/_data").exists(), "tinyq/_data hides templates/ and firmware/"
