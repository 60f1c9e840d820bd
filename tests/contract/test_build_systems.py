"""Every build system makes an image that answers like the one that the compiler makes alone."""

from __future__ import annotations

import shutil
from pathlib import PurePosixPath

import numpy as np
import pytest

from tests.mixed_model import mixed_model
from tests.requirements import report_missing
from tinyq.errors import BudgetError, TinyqError
from tinyq.firmware.build_systems import DIRECT, build_system_names, find_build_system
from tinyq.firmware.build_systems.platformio import scons_package
from tinyq.graph.reference import run
from tinyq.hardware.boards import find_board
from tinyq.measurement.profile import profile
from tinyq.project import Selection, create_project
from tinyq.targets import open_link

TOOLS = {"cmake": "cmake", "make": "make"}
SAMPLES = 3


@pytest.fixture(params=[name for name in build_system_names() if name != DIRECT])
def system(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name in TOOLS and shutil.which(TOOLS[name]) is None:
        report_missing(f"{name} is not installed")
    return name


@pytest.mark.requires("gcc")
def test_program_on_the_host_answers_like_the_reference(system, tmp_path, rng):
    graph = mixed_model()
    project = create_project(graph, find_board("host"), tmp_path / "out", system)
    assert_answers(project, "host", rng)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
def test_firmware_for_stm32_answers_like_the_compilers_own(system, tmp_path, rng):
    graph, board = mixed_model(), find_board("stm32")
    direct = create_project(graph, board, tmp_path / DIRECT)
    project = create_project(graph, board, tmp_path / system, system)
    assert project.image.firmware_digest == direct.image.firmware_digest
    assert project.image.ram_bytes == direct.image.ram_bytes
    assert abs(project.image.flash_bytes - direct.image.flash_bytes) < 64
    assert_answers(project, "qemu", rng)
    assert_answers(direct, "qemu", rng)


@pytest.mark.requires("arm-none-eabi-gcc")
def test_folder_keeps_no_path_and_no_intermediate_file(system, tmp_path):
    project = create_project(mixed_model(), find_board("stm32"), tmp_path / "out", system)
    assert str(tmp_path).encode() not in project.image.elf.read_bytes()
    rest = {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert rest <= set(
        [
            ".c",
            ".h",
            ".ld",
            ".elf",
            ".bin",
            ".map",
            ".tqg",
            ".json",
            ".ini",
            ".py",
            ".txt",
            ".cmake",
        ]
    ) | {""}
    for path in (tmp_path / "out").rglob("*.[chi]*"):
        assert str(tmp_path) not in path.read_text("utf-8", errors="replace")


@pytest.mark.requires("arm-none-eabi-gcc")
def test_model_that_does_not_fit_is_named_with_its_costs(system, tmp_path):
    import dataclasses

    board = dataclasses.replace(find_board("stm32"), flash_bytes=8192)
    with pytest.raises(BudgetError, match=r"bytes of flash, .* more than 8,192: most go to xnor"):
        create_project(mixed_model(), board, tmp_path / "out", system)
    assert list(tmp_path.iterdir()) == []


def test_unknown_build_system_lists_the_known_ones():
    with pytest.raises(TinyqError, match="bazel") as caught:
        find_build_system("bazel")
    assert "cmake, gcc, make, platformio" in str(caught.value.remedy)


def test_platformio_without_scons_says_what_to_install(tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "SCons" else find(name)
    )
    with pytest.raises(TinyqError, match="PlatformIO needs SCons .* none is installed") as caught:
        create_project(mixed_model(), find_board("host"), tmp_path / "out", "platformio")
    assert "pip install 'scons==" in str(caught.value.remedy)


def test_scons_package_is_numbered_as_platformio_does():
    assert '"version": "4.41101.0"' in scons_package("4.11.1")["package.json"]
    assert '"version": "4.40801.0"' in scons_package("4.8.1")["package.json"]


def test_platformio_project_is_one_that_its_ide_knows(tmp_path):
    project = create_project(mixed_model(), find_board("host"), tmp_path / "out", "platformio")
    names = {PurePosixPath(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("*.*")}
    for name in ("platformio.ini", "src/core/main.c", "include/tq_port.h", "lib/model/src/mixed.h"):
        assert PurePosixPath(name) in names
    assert project.image.elf.name == "firmware.elf"


def assert_answers(project, target: str, rng: np.random.Generator) -> None:
    graph = project.graph
    number_format = graph.input.type.format
    shape = (SAMPLES, *graph.input.type.shape)
    codes = rng.integers(number_format.lo, number_format.hi + 1, shape).astype(np.int32)
    link = open_link(project.image, target)
    try:
        packed = link.infer(number_format.pack(codes).reshape(SAMPLES, -1))
    finally:
        link.close()
    expected = graph.output.type.format.pack(run(graph, codes)).reshape(SAMPLES, -1)
    np.testing.assert_array_equal(packed, expected)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
def test_weights_in_ram_are_loaded_from_there(tmp_path, rng):
    graph, board = mixed_model(), find_board("stm32")
    plain = create_project(graph, board, tmp_path / "plain")
    moved = create_project(graph, board, tmp_path / "moved", kernels=Selection(weights_in_ram=True))
    assert_answers(moved, "qemu", rng)
    tables = sum(entry.table_bytes for entry in moved.chosen.values())
    # What several layers read stays in flash.
    assert moved.image.ram_bytes - plain.image.ram_bytes > 0.9 * tables
    assert abs(moved.image.flash_bytes - plain.image.flash_bytes) < 64
    few, many = (profile(project).costs.flash_loads for project in (moved, plain))
    # 7,550 and 908: what is left are numbers of the code itself, whatever the kernels load besides.
    assert few < 1_000
    assert many - few > 6_000
    with pytest.raises(TinyqError, match="in RAM anyway"):
        create_project(
            graph, find_board("mega"), tmp_path / "avr", kernels=Selection(weights_in_ram=True)
        )
