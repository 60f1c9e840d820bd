"""Stubs for one more of each thing, with their tests: `make new KIND=method NAME=my_method`.

A kind is a folder of tests/new/stubs, whose files lie as they do in the project: NAME and ISA in a
path, and $name, $title, $class_name, $upper, $kernel, $isa in a text, are filled in. An entry for
boards.yaml is the file entry.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from keyword import iskeyword, issoftkeyword
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[2]
STUBS = Path(__file__).resolve().parent / "stubs"
KINDS = tuple(sorted(path.name for path in STUBS.iterdir()))
BOARDS = "boards.yaml"
_ENTRY, _SUFFIX = "entry.yaml", ".stub"
# What names look like, and an example.
_WORD = (r"[a-z][a-z0-9]*(_[a-z0-9]+)*", "my_name")
_NAMES: Mapping[str, tuple[str, str]] = {
    "board": (r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "my-board"),
    "port": (r"[a-z][a-z0-9]*", "mychip"),
    "kernel": (r"[a-z][a-z0-9]*/[a-z][a-z0-9]*(_[a-z0-9]+)*", "armv7em/my_kernel"),
}
# What comes next, for each kind.
NEXT: Mapping[str, str] = {
    "board": "fill in the entry, then: pytest tests/contract/test_boards.py -k $name",
    "kernel": "write bind and the text, then: pytest tests/emulator/test_fast_kernels.py "
    "tests/contract/test_kernels.py; pytest tests/golden --update-golden",
    "layer": "write the lowering, then: pytest tests/unit/test_layer_$name.py",
    "method": "fill in the row and the parts, then: python -m tinyq.quantizers.curves; "
    "pytest tests/contract/test_methods.py tests/unit/test_catalogue.py -k $name",
    "op": "write run, import, text, formula, then: pytest tests/contract/test_ops.py "
    "-k $class_name; pytest tests/bitexact/test_kernels.py -k $kernel; "
    "pytest tests/contract/test_tflite_importers.py; python benchmarks/generic.py",
    "port": "write the functions, then: pytest tests/contract/test_boards.py -k $name",
}


class NewError(Exception):
    """A kind or a name cannot be had."""


@dataclass(frozen=True, slots=True)
class Stub:
    """A file to write.

    Attributes:
        path: Relative to the project.
        text: Its text.
    """

    path: Path
    text: str


def make(kind: str, name: str, root: Path = ROOT) -> list[Path]:
    """Write the stubs of a kind; returns their paths, relative to the project.

    Raises:
        NewError: There is no such kind, the name cannot be one, or it is taken.
    """
    stubs = list(list_stubs(kind, name))
    entry = _read_entry(kind, name)
    _refuse_taken(stubs, name if entry else None, root)
    for stub in stubs:
        (root / stub.path).parent.mkdir(parents=True, exist_ok=True)
        (root / stub.path).write_text(stub.text, "utf-8")
    if entry:
        _insert_board(root / BOARDS, name, entry)
    return [*(stub.path for stub in stubs), *([Path(BOARDS)] if entry else [])]


def list_stubs(kind: str, name: str) -> Iterator[Stub]:
    """The files of a kind, filled in."""
    values = name_all(kind, name)
    folder = STUBS / kind
    for path in sorted(folder.rglob(f"*{_SUFFIX}")):
        place = path.relative_to(folder).as_posix().removesuffix(_SUFFIX)
        if place != _ENTRY:
            place = place.replace("NAME", values["name"]).replace("ISA", values["isa"])
            place = place.replace("KERNEL", values["kernel"])
            yield Stub(Path(place), fill(path.read_text("utf-8"), values))


def fill(text: str, values: Mapping[str, str]) -> str:
    """A stub's text."""
    return Template(text).substitute(values)


def name_all(kind: str, name: str) -> dict[str, str]:
    """What is filled in for a name.

    Raises:
        NewError: There is no such kind, or the name cannot be one.
    """
    if kind not in KINDS:
        raise NewError(f"there is no KIND {kind!r}: choose one of {', '.join(KINDS)}")
    pattern, example = _NAMES.get(kind, _WORD)
    isa, _, stem = name.rpartition("/")
    reserved = iskeyword(stem) or issoftkeyword(stem)
    if not re.fullmatch(pattern, name) or reserved:
        raise NewError(f"{name!r} cannot be the NAME of a {kind}: write it as in {example}")
    if kind == "kernel" and isa not in list_isas():
        raise NewError(f"there is no instruction set {isa!r}: {', '.join(list_isas())}")
    words = re.split("[_-]", stem)
    return {
        "name": stem,
        "title": " ".join(words).capitalize(),
        "class_name": "".join(word.capitalize() for word in words),
        "upper": "_".join(words).upper(),
        "kernel": "".join(words),
        "isa": isa,
    }


def list_isas() -> list[str]:
    """Instruction sets that have kernels of their own."""
    folders = (path.parent.name for path in (ROOT / "tinyq/kernels").glob("*/__init__.py"))
    return sorted(set(folders) - {"cmsisnn", "common", "generic", "packing"})


def _read_entry(kind: str, name: str) -> str:
    path = STUBS / kind / f"{_ENTRY}{_SUFFIX}"
    return fill(path.read_text("utf-8"), name_all(kind, name)) if path.is_file() else ""


def _refuse_taken(stubs: list[Stub], board: str | None, root: Path) -> None:
    taken = [str(stub.path) for stub in stubs if (root / stub.path).exists()]
    taken += [str(it.path.parent) for it in stubs if (root / it.path.parent / "port.c").exists()]
    if board and re.search(rf"^  {board}:", (root / BOARDS).read_text("utf-8"), re.MULTILINE):
        taken.append(f"{board} in {BOARDS}")
    if taken:
        raise NewError(f"the name is taken: {', '.join(dict.fromkeys(taken))}")


def _insert_board(path: Path, name: str, entry: str) -> None:
    """Put an entry in its place: boards are sorted by name."""
    text = path.read_text("utf-8")
    start = re.search(r"^boards:\n", text, re.MULTILINE)
    assert start
    head, tail = text[: start.end()], text[start.end() :]
    places = re.finditer(r"^  ([a-z0-9-]+):$", tail, re.MULTILINE)
    after = next((found for found in places if found.group(1) > name), None)
    if after is None:
        path.write_text(f"{head}{tail.rstrip()}\n\n{entry}", "utf-8")
        return
    at = after.start()
    path.write_text(f"{head}{tail[:at]}{entry}\n{tail[at:]}", "utf-8")
