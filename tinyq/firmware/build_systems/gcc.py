"""The compiler itself, without a tool between; the folder gets a Makefile that does the same."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from tinyq.firmware.build_systems import PROJECTS, Recipe, SourceFiles, run_tool
from tinyq.firmware.toolchains import find_program
from tinyq.support.templates import render

_OBJECTS = PurePosixPath("objects")

DOWNLOADS = False


def lay_out(recipe: Recipe) -> SourceFiles:
    """Return the sources and a Makefile."""
    units = [(source, _OBJECTS / source.with_suffix(".o")) for source in recipe.sources]
    return {
        **recipe.files,
        PurePosixPath("Makefile"): render(PROJECTS, "Makefile.j2", recipe=recipe, units=units),
    }


def run(recipe: Recipe, folder: Path) -> None:
    """Build `folder`/firmware.elf: compile as many sources at once as there are processors, link.

    Raises:
        ToolError: The compiler or linker has found an error.
    """
    compiler = [str(recipe.program), *recipe.cflags, f"{recipe.prefix_map}={folder}=."]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(_compile, recipe, compiler, source, folder) for source in recipe.sources
        ]
        objects = [job.result() for job in jobs]
    arguments = [*recipe.ldflags, *objects, *recipe.ldlibs]
    run_tool([*compiler, *arguments, "-o", "firmware.elf"], folder, "firmware.elf")
    shutil.rmtree(folder / _OBJECTS)
    if recipe.bare:
        objcopy = str(find_program(recipe.board, (recipe.objcopy or "",)))
        command = [objcopy, "-O", "binary", "firmware.elf", "firmware.bin"]
        run_tool(command, folder, "firmware.bin")


def _compile(recipe: Recipe, command: list[str], source: PurePosixPath, folder: Path) -> str:
    target = _OBJECTS / source.with_suffix(".o")
    (folder / target).parent.mkdir(parents=True, exist_ok=True)
    flags = recipe.model_cflags if source.parts[0] == "model" else ()
    run_tool([*command, *flags, "-c", str(source), "-o", str(target)], folder, str(source))
    return str(target)
