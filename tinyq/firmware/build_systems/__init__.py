"""Build systems: the same sources and flags as a Makefile, a CMake or a PlatformIO project.

A module of this package is a build system: `lay_out(recipe)` returns the files of its project and
`run(recipe, folder)` lets its own tool make firmware.elf of them. Its name is what `--build-system`
takes.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from tinyq.errors import TinyqError, ToolError
from tinyq.hardware.boards import Board
from tinyq.support.modules import list_modules
from tinyq.support.resources import TEMPLATES

DIRECT = "gcc"
PROJECTS = TEMPLATES / "projects"
SourceFiles = Mapping[PurePosixPath, str]


@dataclass(frozen=True, slots=True)
class Library:
    """A library that is given as headers and a built archive, or by the address of its sources.

    Args:
        name: Folder of the library in the build folder.
        headers: Texts of its headers by their paths below its include folder.
        archive: The archive, None where the build system downloads the library.
        cflags: Flags of sources that include its headers.
        address: What the build system downloads, such as a Git repository and its tag.
    """

    name: str
    headers: SourceFiles
    archive: Path | None
    cflags: tuple[str, ...] = ()
    address: str = ""

    @property
    def place(self) -> PurePosixPath:
        """Where the archive lies in the build folder."""
        return PurePosixPath(self.name, f"lib{self.name}.a")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a build system needs to know to make an image.

    Args:
        board: What is built for.
        program: The compiler.
        objcopy: Name of the program that makes a raw binary, None for a process.
        prefix_map: Option that keeps the folder's name out of the image.
        files: Sources under model/ and firmware/, tq_build.h, board.ld.
        sources: Those of the files that are compiled, in the order of the linker's command line.
        cflags: Flags of every source; paths are relative to the folder.
        model_cflags: Further flags of the sources under model/.
        ldflags: Flags of the linker beside cflags.
        ldlibs: Libraries.
        address: Library that is downloaded, or an empty text.
    """

    board: Board
    program: Path
    objcopy: str | None
    prefix_map: str
    files: SourceFiles
    sources: tuple[PurePosixPath, ...]
    cflags: tuple[str, ...]
    model_cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    ldlibs: tuple[str, ...]
    address: str = ""

    @property
    def compiler(self) -> str:
        """Name of the compiler, by which it is on the PATH."""
        return self.program.name

    @property
    def bare(self) -> bool:
        """Whether the firmware runs without an operating system."""
        return self.board.startup is not None


class BuildSystem(Protocol):
    """What a module of this package offers.

    Attributes:
        DOWNLOADS: Whether it takes libraries by their addresses.
    """

    DOWNLOADS: bool

    def lay_out(self, recipe: Recipe) -> SourceFiles:
        """Return the text of every file of the project by its path in the folder."""

    def run(self, recipe: Recipe, folder: Path) -> None:
        """Build `folder`/firmware.elf with the system's own tool and leave no other output."""


def build_system_names() -> tuple[str, ...]:
    """Return the names of all build systems, sorted."""
    return list_modules(__name__)


def find_build_system(name: str) -> BuildSystem:
    """Return a build system by name.

    Raises:
        TinyqError: There is none of that name.
    """
    names = build_system_names()
    if name not in names:
        raise TinyqError(
            f"there is no build system {name!r}",
            where="--build-system",
            remedy=f"choose one of {', '.join(names)}",
        )
    return cast(BuildSystem, importlib.import_module(f"{__name__}.{name}"))


@contextmanager
def plain_copy(folder: Path) -> Iterator[Path]:
    """A copy of a project under a name without spaces, quotes or dollar signs.

    CMake and SCons write paths into scripts of other languages, not all of them quoted. What is
    called firmware.* in the copy afterwards comes back.
    """
    with tempfile.TemporaryDirectory(prefix="tinyq-build-") as place:
        copy = Path(place, "project")
        shutil.copytree(folder, copy)
        yield copy
        for path in sorted(copy.glob("firmware.*")):
            shutil.copyfile(path, folder / path.name)
            shutil.copymode(path, folder / path.name)


def run_tool(
    command: Sequence[str], folder: Path, where: str, variables: Mapping[str, str] | None = None
) -> None:
    """Run a build tool in a folder.

    Args:
        command: Program and arguments.
        folder: Working directory.
        where: File or tool that a message names.
        variables: Added to the environment.

    Raises:
        ToolError: It is missing or ends with an error; quotes the first line that says why.
    """
    # The locale decides the language of messages, in which an overflow is looked for.
    environment = {**os.environ, "LC_ALL": "C", "PWD": str(folder), **(variables or {})}
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise ToolError(
            f"{name} is not installed", where=where, remedy="`tinyq doctor` says how to install it"
        ) from None
    if done.returncode == 0:
        return
    output = done.stderr + done.stdout
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fault = next((line for line in lines if re.search(r"error|undefined|overflowed", line)), "")
    failure = ToolError(
        f"{name} failed: {fault or (lines or ['no message'])[-1]}",
        where=where,
        remedy="report it with the model, unless the sources were changed by hand",
    )
    failure.output = output
    raise failure
