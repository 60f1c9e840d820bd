"""Finds `Twin:` lines in Python docstrings and C comments and checks that they name real things."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCES = ("tinyq/**/*.py", "firmware/**/*.[chS]", "templates/**/*.h", "templates/**/*.j2")
_TWIN = re.compile(r"\bTwin:\s*(.+)")
_PATH = re.compile(r"(?:[\w<>{}*-]+/)*[\w<>{}*-]+(?:\.c|\.h|\.py|\.S)(?:\.j2)?(?![\w])")
# A support function, or the leading parts of a kernel's name; also `NAME in FILE` and `NAME and …`.
_C_NAME = re.compile(r"\b(?:tq|TQ)_[\w<>]+(?![\w./])")
_FIRST_NAME = re.compile(r"(\w+)(?= (?:in|and) )")
_PYTHON_NAME = re.compile(r"\btinyq(?:\.\w+)+")
_PLACEHOLDER = re.compile(r"<\w+>")


@dataclass(frozen=True, slots=True)
class Twin:
    """One `Twin:` line: where it stands and what it says."""

    file: str
    line: int
    text: str


def find_twins(root: Path) -> Iterator[Twin]:
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                if match := _TWIN.search(line):
                    yield Twin(str(path.relative_to(root)), number, match[1].strip())


def faults(root: Path, twin: Twin) -> list[str]:
    """Return what a `Twin:` line names and is not there; an empty list when all is."""
    text = twin.text
    paths = [match[0] for match in _PATH.finditer(text)]
    python_names = [
        match[0] for match in _PYTHON_NAME.finditer(text) if not match[0].endswith(".py")
    ]
    stripped = _PATH.sub(" ", text)
    c_names = {match[0] for match in _C_NAME.finditer(stripped)}
    if first := _FIRST_NAME.match(stripped):
        c_names.add(first[1])
    if not (paths or python_names or c_names):
        return [f"names neither a file nor a function: {text!r}"]
    found = []
    files = []
    for path in paths:
        matches = _files(root, path)
        files += matches
        if not matches:
            found.append(f"no file {path}")
    found += [f"no {name}" for name in python_names if not _is_python_name(root, name)]
    searched = files or [path for pattern in SOURCES[1:] for path in root.glob(pattern)]
    texts = [path.read_text("utf-8") + f" tq_{path.name}" for path in searched]
    for name in sorted(c_names):
        pattern = _PLACEHOLDER.sub(lambda _: r"[^\W_]+", name)
        wanted = re.compile(rf"\b{pattern}(?![^\W_])")
        if not any(wanted.search(text) for text in texts):
            found.append(f"no {name} in {', '.join(paths) or 'firmware, templates'}")
    return found


def _files(root: Path, path: str) -> list[Path]:
    """Return the files that a path means: from the root, or below tinyq/, firmware/, templates/."""
    pattern = _PLACEHOLDER.sub("*", path)
    direct = list(root.glob(pattern))
    if direct:
        return direct
    return [
        match
        for folder in ("tinyq", "firmware", "templates")
        for match in root.glob(f"{folder}/**/{pattern}")
    ]


def _is_python_name(root: Path, dotted: str) -> bool:
    """Return whether a dotted name is a module, or a name defined in one (a method included)."""
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        base = root.joinpath(*parts[:split])
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return _is_defined(ast.parse(file.read_text("utf-8")), parts[split:])
    return False


def _is_defined(tree: ast.AST, names: list[str]) -> bool:
    if not names:
        return True
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == names[0]:
            return _is_defined(node, names[1:])
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(t, ast.Name) and t.id == names[0] for t in targets):
            return len(names) == 1
        if isinstance(node, ast.ImportFrom) and names[0] in {
            a.asname or a.name for a in node.names
        }:
            return True
    return False
