"""PlatformIO: a project that its IDE opens, built by the PlatformIO beside this Python.

The project has two environments. `local` needs no network: a platform in the project's own folder
platform/ calls the compiler that is installed, with the same flags as the other build systems.
`registry` takes compiler and uploader from PlatformIO's registry, for boards that it knows.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tinyq.errors import ToolMissing
from tinyq.firmware.build_systems import PROJECTS, Recipe, SourceFiles, plain_copy, run_tool
from tinyq.hardware.boards import Board
from tinyq.support.templates import render

DOWNLOADS = True
# Platform in the registry and what must be taken with it, by the port of the board.
REGISTRY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "avr": ("atmelavr@5.1.0", ()),
    "stm32v1": ("ststm32@19.6.0", ("toolchain-gccarmnoneeabi@~1.120301.0",)),
    "stm32v2": ("ststm32@19.6.0", ("toolchain-gccarmnoneeabi@~1.120301.0",)),
}
_TEMPLATES = {
    "platformio.ini": "platformio.ini",
    "platform/platform.json": "platform/platform.json",
    "platform/builder/main.py": "platform/builder/main.py",
    "platform/boards/{board}.json": "platform/boards/board.json",
    "lib/model/library.json": "library.json",
}
_ADDRESSED = {"cmsis_nn.py": "cmsis_nn.py"}
_CORE = ".pio-core"
_OUTPUT = PurePosixPath(".pio/build/local")


def lay_out(recipe: Recipe) -> SourceFiles:
    """Return the files as src/, include/ and lib/model/, and what PlatformIO reads about them."""
    files = {_place(path): text for path, text in recipe.files.items()}
    values = {
        "recipe": recipe,
        "cflags": [flag for flag in recipe.cflags if not flag.startswith("-I")],
        "registry": _find_registry(recipe.board),
        "tools": _name_tools(recipe.compiler),
    }
    for target, template in (_TEMPLATES | (_ADDRESSED if recipe.address else {})).items():
        path = PurePosixPath(target.format(board=recipe.board.name))
        files[path] = render(PROJECTS, f"platformio/{template}.j2", **values)
    return files


def run(recipe: Recipe, folder: Path) -> None:
    """Build `folder`/firmware.elf with the environment `local`.

    PlatformIO keeps its state in a folder of this build alone, so neither the user's installation
    nor the registry is touched.

    Raises:
        ToolMissing: PlatformIO, or the SCons that it asks for is not installed in this Python.
        ToolError: It fails.
    """
    del recipe
    command = [sys.executable, "-m", "platformio", "run", "--environment", "local"]
    with plain_copy(folder) as copy:
        _write_scons(copy / _CORE)
        variables = {
            "PLATFORMIO_CORE_DIR": str(copy / _CORE),
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "No",
            "PLATFORMIO_NO_ANSI": "true",
            "CI": "true",
        }
        run_tool(command, copy, "platformio.ini", variables)
        for path in sorted((copy / _OUTPUT).glob("firmware.*")):
            path.rename(copy / path.name)


def scons_package(version: str) -> Mapping[str, str]:
    """Return the files of PlatformIO's package tool-scons that runs the SCons of this Python.

    Args:
        version: Of SCons, such as 4.11.1; the package's is 4.41101.0 then.
    """
    major, minor, patch = (int(part) for part in version.split("."))
    number = f"{major}.{major}{minor:02d}{patch:02d}.0"
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None}
    return {
        "package.json": json.dumps({"name": "tool-scons", "version": number}),
        # PlatformIO finds a package by this file, and its own tools by the owner in it.
        ".piopm": json.dumps(
            {
                "type": "tool",
                "name": "tool-scons",
                "version": number,
                "spec": {**spec, "uri": None},
            }
        ),
        "scons.py": "import SCons.Script\n\nSCons.Script.main()\n",
    }


def _write_scons(core: Path) -> None:
    version = _find_scons()
    package = core / "packages" / "tool-scons"
    package.mkdir(parents=True)
    for name, text in scons_package(version).items():
        (package / name).write_text(text, "utf-8")


def _find_scons() -> str:
    """Return the version of SCons, which PlatformIO must take without asking its registry."""
    if importlib.util.find_spec("platformio") is None:
        raise ToolMissing(
            "PlatformIO is not installed in this Python",
            where="--build-system platformio",
            remedy="`pip install platformio`",
        )
    from platformio.dependencies import get_core_dependencies

    # ~4.41101.0 means SCons 4.11.x
    wanted = get_core_dependencies()["tool-scons"].strip("~^=")
    digits = wanted.split(".")[1]
    release = f"{digits[0]}.{int(digits[1:3])}"
    found = None
    if importlib.util.find_spec("SCons") is not None:
        import SCons

        found = str(SCons.__version__)
    if found is None or not found.startswith(f"{release}."):
        raise ToolMissing(
            f"PlatformIO needs SCons {release}, and "
            + (f"{found} is installed" if found else "none is installed"),
            where="--build-system platformio",
            remedy=f"`pip install 'scons=={release}.*'`",
        )
    return found


def _find_registry(board: Board) -> dict[str, object] | None:
    if board.platformio is None or board.port not in REGISTRY:
        return None
    platform, packages = REGISTRY[board.port]
    return {"board": board.platformio, "platform": platform, "packages": packages}


def _name_tools(compiler: str) -> dict[str, str]:
    """Return archiver, indexer and size program that belong to a compiler."""
    if not compiler.endswith("gcc"):
        return {"ar": "ar", "ranlib": "ranlib", "size": "size"}
    prefix = compiler.removesuffix("gcc")
    return {"ar": f"{compiler}-ar", "ranlib": f"{compiler}-ranlib", "size": f"{prefix}size"}


def _place(path: PurePosixPath) -> PurePosixPath:
    """Return where PlatformIO expects a file: model in lib/, other headers in include/."""
    if path.parts[0] == "model":
        return PurePosixPath("lib/model/src", *path.parts[1:])
    if path.name == "tq_model.h":  # its place tells PlatformIO that main.c needs the library
        return PurePosixPath("lib/model/src", path.name)
    if path.parts[0] == "firmware" and path.suffix == ".c":
        return PurePosixPath("src", *path.parts[1:])
    if path.parts[0] == "firmware" or path == PurePosixPath("tq_build.h"):
        return PurePosixPath("include", path.name)
    return path
