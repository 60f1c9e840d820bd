"""Generated C in builds that are not tinyq's: another core, another language, a user's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cores import CORES
from tests.mixed_model import mixed_model
from tests.selected import emit_for
from tinyq.hardware.boards import find_board
from tinyq.selection import prefer_isas

# A core without what the kernels of the other need, and what its error names.
STRANGERS = (
    ("armv6m", ("-march=armv7-r", "-marm"), "Cortex-M0"),
    ("armv7m", ("-mcpu=cortex-m0", "-mthumb"), "Cortex-M3"),
    ("armv7em", ("-mcpu=cortex-m3", "-mthumb"), "Cortex-M4"),
    ("armv7em", ("-mcpu=cortex-m0plus", "-mthumb"), "Cortex-M4"),
    ("mve", ("-mcpu=cortex-m33", "-mthumb"), "Cortex-M55"),
)


def write_model(folder: Path, isa: str) -> str:
    """Write the sources of a network of all formats; its C name."""
    graph, isas = mixed_model(), prefer_isas(isa)
    for path, text in emit_for(graph, isas).files.items():
        (folder / path).write_text(text, "utf-8")
    return graph.name


def compile_file(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "-I.", "-o", "out.o"], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.requires("arm-none-eabi-gcc")
@pytest.mark.parametrize(("isa", "flags", "named"), STRANGERS)
def test_another_core_stops_at_an_error_that_names_the_right_one(isa, flags, named, tmp_path):
    name = write_model(tmp_path, isa)
    done = compile_file(tmp_path, "arm-none-eabi-gcc", "-std=c99", *flags, "-c", f"{name}.c")
    assert done.returncode
    first = next(line for line in done.stderr.splitlines() if "error" in line)
    assert "#error" in first
    assert named in first
    own = CORES[isa].cflags
    done = compile_file(tmp_path, "arm-none-eabi-gcc", "-std=c99", *own, "-c", f"{name}.c")
    assert done.returncode == 0, done.stderr


@pytest.mark.requires("gcc")
def test_kernels_of_a_microcontroller_stop_on_the_host(tmp_path):
    name = write_model(tmp_path, "armv7em")
    done = compile_file(tmp_path, "gcc", "-std=c99", "-c", f"{name}.c")
    assert "made for Cortex-M4" in done.stderr


@pytest.mark.requires("gcc", "g++")
@pytest.mark.parametrize("standard", ["c++98", "c++11", "c++17", "c++20"])
def test_from_cpp_the_header_serves_and_the_source_says_what_to_do(standard, tmp_path):
    name = write_model(tmp_path, "generic")
    done = compile_file(tmp_path, "g++", f"-std={standard}", "-x", "c++", "-c", f"{name}.c")
    first = next(line for line in done.stderr.splitlines() if "error" in line)
    assert "compile it as C" in first
    (tmp_path / "user.cpp").write_text(f'#include "{name}.h"\nvoid *use = (void *)&{name}_run;\n')
    flags = ("-Wall", "-Wextra", "-Werror", "-c", "user.cpp")
    done = compile_file(tmp_path, "g++", f"-std={standard}", *flags)
    assert done.returncode == 0, done.stderr


@pytest.mark.requires("gcc")
def test_every_source_compiles_without_the_firmware(tmp_path):
    write_model(tmp_path, "generic")
    flags = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
    for source in sorted(tmp_path.glob("*.c")):
        done = compile_file(tmp_path, "gcc", *flags, "-c", source.name)
        assert done.returncode == 0, done.stderr


@pytest.mark.requires("arm-none-eabi-gcc")
def test_the_firmware_still_has_its_model(tmp_path):
    from tinyq.firmware.build import build

    graph, board = mixed_model(), find_board("stm32")
    isas = prefer_isas(board.isa)
    image = build(emit_for(graph, isas).files, board, tmp_path / "out")
    assert image.flash_bytes > 10_000
