"""CMake: CMakeLists.txt, and a toolchain file where the compiler is not the machine's own."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tinyq.firmware.build_systems import PROJECTS, Recipe, SourceFiles, plain_copy, run_tool
from tinyq.support.templates import render

_OUTPUT = "build"

DOWNLOADS = False


def lay_out(recipe: Recipe) -> SourceFiles:
    """Return the sources with a CMakeLists.txt."""
    files = dict(recipe.files)
    files[PurePosixPath("CMakeLists.txt")] = render(
        PROJECTS, "cmake/CMakeLists.txt.j2", recipe=recipe
    )
    if recipe.bare:
        files[PurePosixPath("toolchain.cmake")] = render(
            PROJECTS, "cmake/toolchain.cmake.j2", recipe=recipe
        )
    return files


def run(recipe: Recipe, folder: Path) -> None:
    """Build `folder`/firmware.elf with CMake and whatever generator it takes.

    Raises:
        ToolError: CMake is missing or fails.
    """
    toolchain = ("-DCMAKE_TOOLCHAIN_FILE=toolchain.cmake",) if recipe.bare else ()
    with plain_copy(folder) as copy:
        run_tool(["cmake", "-S", ".", "-B", _OUTPUT, *toolchain], copy, "CMakeLists.txt")
        run_tool(["cmake", "--build", _OUTPUT], copy, "CMakeLists.txt")
        for path in sorted((copy / _OUTPUT).glob("firmware.*")):
            path.rename(copy / path.name)
