"""Folders with odd names: every build system builds there, and none runs what the name says.

A run of the tests takes the names that hold most at once; ``TINYQ_NAMES=all`` takes each alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePath

import pytest

from tinyq.firmware.build import BuildOptions, build
from tinyq.firmware.build_systems import build_system_names
from tinyq.hardware.boards import find_board

TOGETHER = (
    "My Models #1 100% it's",
    "a$(shell touch PWNED)b`touch PWNED`é",
    '"d;touch PWNED;&|$$x',
)
ALONE = (
    *("My Models", "it's", 'say "hi"', "do$(touch PWNED)l", "sh$(shell touch PWNED)", "#hash"),
    *("b`touch PWNED`", "a;touch PWNED;b", "a&touch PWNED&b", "a|b", "100%", "%d%s", "grüße-模型"),
    *("a=b", "a,b", "~tilde", "{brace}", "[bracket]", "a\\b", "-dash", "a*b?", "$HOME", "${HOME}"),
    *("@x@", "a:b", "(paren)", "<x>", "!bang", "tab\tx", "$$", "$<", "$@", "$PROJECT_DIR"),
)
NAMES = ALONE if os.environ.get("TINYQ_NAMES") == "all" else TOGETHER
# CMake itself takes no folder with these.
REFUSED = set('"|:;\\\t')
MODEL = {
    PurePath("tq_model_instance.c"): """
#include "tq_model.h"

static void run(const void *input, void *output)
{
    *(uint32_t *)output = *(const uint32_t *)input;
}

const tq_model tq_model_instance = {"wire", {7}, 4, 4, 0, 0, run, 0, 0, 0, 0, 0};
"""
}
OPTIONS = {"payload_bytes": 16, "reply_bytes": 164}
# What a user runs in the folder that tinyq wrote; PlatformIO's own scripts quote no path.
COMMANDS = {
    "gcc": (["make"],),
    "cmake": (
        ["cmake", "-S", ".", "-B", "b", "-DCMAKE_TOOLCHAIN_FILE=toolchain.cmake"],
        ["cmake", "--build", "b"],
    ),
}
TOOLS = [
    pytest.param("gcc", marks=pytest.mark.requires("make", "arm-none-eabi-gcc")),
    pytest.param("cmake", marks=pytest.mark.requires("cmake", "arm-none-eabi-gcc")),
]


def check_nothing_ran(folder: Path) -> None:
    assert not list(folder.rglob("PWNED*"))
    assert not list(Path.cwd().glob("PWNED*"))


@pytest.fixture(params=build_system_names())
def system(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name in {"cmake", "make"} and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


@pytest.mark.requires("gcc")
def test_every_build_system_builds_in_any_folder(system, tmp_path):
    digests = set()
    for name in NAMES:
        folder = tmp_path / name
        folder.mkdir()
        options = BuildOptions(build_system=system, **OPTIONS)
        image = build(MODEL, find_board("host"), folder / "out", options)
        assert image.elf.parent == folder / "out"
        assert os.access(image.elf, os.X_OK)
        digests.add(image.firmware_digest)
        check_nothing_ran(tmp_path)
    assert len(digests) == 1


@pytest.mark.parametrize("system", TOOLS)
def test_what_a_user_runs_there_builds_too(system, tmp_path):
    options = BuildOptions(build_system=system, **OPTIONS)
    made = build(MODEL, find_board("stm32"), tmp_path / "made", options)
    for name in NAMES:
        folder = tmp_path / name
        shutil.copytree(tmp_path / "made", folder)
        for product in folder.glob("firmware.*"):
            product.unlink()
        done = [
            subprocess.run(command, cwd=folder, capture_output=True, text=True)
            for command in COMMANDS[system]
        ]
        check_nothing_ran(tmp_path)
        if system == "cmake" and REFUSED & set(str(folder)):
            assert done[0].returncode
            continue
        assert not any(step.returncode for step in done), (name, done[-1].stderr)
        binary = next(folder.rglob("firmware.bin"))
        assert binary.read_bytes() == made.elf.with_suffix(".bin").read_bytes()


@pytest.mark.requires("cmake", "arm-none-eabi-gcc")
@pytest.mark.parametrize("name", ["a;b", "a|b", "a:b", "tab\tx"])
def test_cmake_says_that_the_folder_has_to_move(name, tmp_path):
    options = BuildOptions(build_system="cmake", **OPTIONS)
    build(MODEL, find_board("host"), tmp_path / name, options)
    command = ["cmake", "-S", ".", "-B", "b"]
    done = subprocess.run(command, cwd=tmp_path / name, capture_output=True, text=True)
    assert done.returncode
    assert "move the project" in " ".join(done.stderr.split())
