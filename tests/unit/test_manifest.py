"""project.json: whatever it says, a project or one message; nothing outside its folder."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.random_graphs import draw_graph
from tinyq.errors import TinyqError
from tinyq.hardware.boards import find_board
from tinyq.project import MANIFEST, Selection, create_project, open_project
from tinyq.project.creation import _list_flags
from tinyq.project.manifest import FLAGS
from tinyq.selection import OBJECTIVES

pytestmark = pytest.mark.requires("gcc")

MUTATIONS = int(os.environ.get("TINYQ_MUTATIONS", "400"))
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2**31,
        2**64,
        -(2**70),
        0.5,
        -1e300,
        "",
        "x",
        "../x",
        "a" * 5000,
    ),
    *("/etc/passwd", "..", "\0", "☃", [], {}, [[]], [None], {"a": 1}, [1, "x"], ["-fplugin=x.so"]),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifest") / "build"
    create_project(draw_graph(np.random.default_rng(1)), find_board("host"), folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "build")
    return tmp_path / "build"


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")


def refuse(folder: Path, words: str) -> None:
    with pytest.raises(TinyqError, match=words) as caught:
        open_project(folder)
    assert str(folder) in str(caught.value.where)


@pytest.mark.parametrize(
    "elf", ["/etc/passwd", "../secret", "sub/../../secret", "..", ".", "", "link", "a\0b", "model"]
)
def test_the_firmware_lies_in_the_folder(folder: Path, elf: str) -> None:
    (folder.parent / "secret").write_text("")
    (folder / "link").symlink_to("/etc/passwd")
    change(folder, lambda manifest: manifest["image"].update(elf=elf))
    refuse(folder, "is not in the folder|firmware is missing")


@pytest.mark.parametrize("kernel", ["../../../etc/passwd", "/etc/passwd", "", "none_generic.c.j2"])
def test_kernels_are_names(folder: Path, kernel: str) -> None:
    change(folder, lambda manifest: manifest["layers"][0].update(kernel=kernel))
    refuse(folder, "kernels")


def test_flags_are_those_of_a_selection(folder: Path) -> None:
    change(folder, lambda manifest: manifest.update(cflags=["-fplugin=evil.so"]))
    refuse(folder, "compiler flags")
    for objective in OBJECTIVES:
        for in_ram in (False, True):
            selection = Selection(optimize=objective, weights_in_ram=in_ram)
            assert set(_list_flags(selection, find_board("stm32"))) <= set(FLAGS)


def test_layers_are_those_of_the_graph(folder: Path) -> None:
    change(folder, lambda manifest: manifest["layers"][0].update(layer="nowhere"))
    refuse(folder, "layers are not those")


def test_a_layer_has_one_kernel(folder: Path) -> None:
    def double(manifest: dict[str, Any]) -> None:
        chosen = next(entry for entry in manifest["layers"] if entry["chosen"])
        manifest["layers"].append(chosen)

    change(folder, double)
    refuse(folder, "layers are not those")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\ufeff{}", '{"tinyq_project": 3}']
)
def test_something_else_in_the_file(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, "utf-8")
    refuse(folder, ".")


def test_bytes_that_are_no_text(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b'{"tinyq_project": 3, "model": "\xff\xfe"}')
    refuse(folder, "damaged")


def walk(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all values in JSON data."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (*place, key)
        if isinstance(value, (dict, list)):
            yield from walk(value, (*place, key))


def mutate(manifest: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A copy with one value removed, doubled or exchanged."""
    changed = copy.deepcopy(manifest)
    places = list(walk(changed))
    *path, key = places[int(rng.integers(len(places)))]
    holder = changed
    for part in path:
        holder = holder[part]
    kind = int(rng.integers(4))
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = VALUES[int(rng.integers(len(VALUES)))]
    return changed


def test_mutations(folder: Path, rng: np.random.Generator) -> None:
    """A project whose fields have their types, or a message that names the file."""
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    opened = 0
    for _ in range(MUTATIONS):
        changed = mutate(manifest, rng)
        (folder / MANIFEST).write_text(json.dumps(changed), "utf-8")
        try:
            project = open_project(folder)
        except TinyqError as error:
            assert error.where or error.remedy  # noqa: PT017  (either is right)
            continue
        opened += 1
        assert project.image.elf.resolve().parent == folder.resolve()
        for field in ("flash_bytes", "ram_bytes", "text_bytes", "data_bytes", "bss_bytes"):
            assert type(getattr(project.image, field)) is int
            assert getattr(project.image, field) >= 0
        assert all(type(entry.chosen) is bool for entry in project.kernels)
    assert opened < MUTATIONS
