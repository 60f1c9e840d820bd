"""Compile a generated model and the firmware for a board into an image."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath

from tinyq.errors import BudgetError, TinyqError, ToolError
from tinyq.firmware.build_systems import (
    DIRECT,
    Library,
    Recipe,
    SourceFiles,
    find_build_system,
)
from tinyq.firmware.sections import read_sizes
from tinyq.firmware.settings import BuildOptions as BuildOptions
from tinyq.firmware.settings import Costs, render_settings
from tinyq.firmware.toolchains import TOOLCHAINS, find_compiler
from tinyq.hardware.boards import Board
from tinyq.support.folders import stage
from tinyq.support.resources import FIRMWARE
from tinyq.support.templates import render

# -O2: the kernels are loops whose speed counts, and -O3 unrolls them for more flash than it gains.
# -ffunction-sections and --gc-sections leave out what the model does not call.
_CFLAGS = (
    "-std=c99",
    "-O2",
    "-g",
    "-ffunction-sections",
    "-fdata-sections",
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
)
# No C library: ports/bare/memory.c has the four functions that GCC may call, and GCC must not
# make calls of them out of their own loops.
# A warning of a cross compiler is an error: a shift that is too wide for a 16-bit int says so there
# alone.
_BARE_CFLAGS = ("-ffreestanding", "-fno-tree-loop-distribute-patterns", "-Werror")
_BARE_LDFLAGS = ("-Wl,--gc-sections", "-Wl,-Map=firmware.map")
_MODEL_CFLAGS = ("-include", "tq_profile.h")

_SCRIPT = PurePosixPath("board.ld")
_BUILD_HEADER = PurePosixPath("tq_build.h")
# Layers and those with constants, which a linker script may place (firmware/core/tq_pages.h).
_LAYER = re.compile(r"\bTQ_MARK\((\d+)\)")
_CONSTANT = re.compile(r"\bTQ_CONSTANT\((\d+)\)")
_OVERFLOW = re.compile(r"overflowed|will not fit in region|is not within region")
# Larger than any catalogue entry, small enough that code and data regions stay apart.
_UNLIMITED_BYTES = 0x10000000


@dataclass(frozen=True, slots=True)
class Image:
    """A linked firmware.

    Args:
        elf: The ELF file; for the host an executable.
        board: What it was built for.
        text_bytes: Code and constants.
        data_bytes: Initialized variables, which take flash and RAM.
        bss_bytes: Variables that start as zero, the arena among them, and room for the
            largest page (firmware/core/tq_pages.h).
        flash_bytes: text + data.
        ram_bytes: data + bss + the stack's reserve.
        toolchain: Name and version as the compiler prints them.
        firmware_digest: SHA-256 over sources, settings and flags, 64 hexadecimal digits; the
            firmware says the same one in its handshake.
    """

    elf: Path
    board: Board
    text_bytes: int
    data_bytes: int
    bss_bytes: int
    flash_bytes: int
    ram_bytes: int
    toolchain: str
    firmware_digest: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that decides the image: the files to write and the commands to run on them."""

    board: Board
    compiler: Path
    toolchain: str
    files: SourceFiles
    sources: tuple[PurePosixPath, ...]
    cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    ldlibs: tuple[str, ...]
    firmware_digest: str
    address: str

    @property
    def bare(self) -> bool:
        """Whether the firmware runs without an operating system."""
        return self.board.startup is not None


def build(
    sources: Mapping[PurePath, str] | Path,
    board: Board,
    out: Path,
    options: BuildOptions | None = None,
) -> Image:
    """Compile and link the firmware of one model for one board.

    The folder `out` then holds every source under model/ and firmware/, the linker script board.ld,
    tq_build.h, a Makefile that builds the same again without Python, firmware.elf and, for a
    microcontroller, firmware.bin and firmware.map. It is replaced as a whole, at the end.

    Args:
        sources: Generated files by relative path, or the folder that holds them.
        board: What to build for.
        out: Folder to write; missing, empty, or one that `build` has written before.
        options: Capacities, further flags, and the layers' costs for error messages.

    Returns:
        The image, with sizes read from its section headers.

    Raises:
        ToolMissing: The board's compiler is not installed.
        BudgetError: Flash or RAM is too small; names the costliest layers.
        TinyqError: The compiler or linker refuses, or `out` holds other files.
    """
    options = options or BuildOptions()
    plan = _make_plan(_read_sources(sources), board, options)
    _check_replaceable(out)
    with stage(out) as staged:
        staged.mkdir()
        elf = _make(plan, staged.resolve(), options)
        image = _measure(plan, elf)
        check_budget(image, options.flash_costs, options.ram_costs)
    return replace(image, elf=out.absolute() / elf.name)


def check_budget(image: Image, flash_costs: Costs = (), ram_costs: Costs = ()) -> None:
    """Compare what an image needs with what its board has.

    Args:
        image: The sizes and the board; a limit of 0 bytes means none.
        flash_costs: (layer, bytes of flash), any order.
        ram_costs: (layer, bytes of RAM), any order.

    Raises:
        BudgetError: Flash or RAM is too small; names up to three layers that cost most.
    """
    board = image.board
    memories = (
        ("flash", image.flash_bytes, board.flash_bytes, flash_costs),
        ("RAM", image.ram_bytes, board.ram_bytes, ram_costs),
    )
    excess = [max(needed - limit, 0) if limit else 0 for _, needed, limit, _ in memories]
    faults = [_describe_excess(*it) for it, over in zip(memories, excess, strict=True) if over]
    if faults:
        error = BudgetError(
            "; ".join(faults),
            where=f"board {board.name}",
            remedy="give these layers fewer bits or channels, or choose a larger board",
        )
        error.flash_excess, error.ram_excess = excess
        raise error


def _describe_excess(memory: str, needed: int, limit: int, costs: Costs) -> str:
    text = (
        f"the firmware needs {needed:,} bytes of {memory}, {needed - limit:,} more than {limit:,}"
    )
    costliest = sorted(costs, key=lambda cost: (-cost[1], cost[0]))[:3]
    if costliest:
        text += ": most go to " + ", ".join(f"{name} ({size:,})" for name, size in costliest)
    return text


def _read_sources(sources: Mapping[PurePath, str] | Path) -> SourceFiles:
    if isinstance(sources, Path):
        if not sources.is_dir():
            raise TinyqError("is not a folder with generated sources", where=str(sources))
        found = sorted(path for path in sources.rglob("*.[ch]") if path.is_file())
        return {
            PurePosixPath(path.relative_to(sources).as_posix()): path.read_text("utf-8")
            for path in found
        }
    return {PurePosixPath(path.as_posix()): text for path, text in sources.items()}


def _make_plan(sources: SourceFiles, board: Board, options: BuildOptions) -> _Plan:
    compiler = find_compiler(board)
    files = {PurePosixPath("model") / path: text for path, text in sources.items()}
    files |= dict(_firmware_files(board, options.application))
    bare = board.startup is not None
    cflags = (*board.cflags, *_CFLAGS, *(_BARE_CFLAGS if bare else ()), *_include_flags(files))
    toolchain = TOOLCHAINS[board.toolchain]
    ldflags = (*toolchain.ldflags, *_BARE_LDFLAGS, "-T", str(_SCRIPT)) if bare else ()
    if bare:
        files[_SCRIPT] = _render_script(board, files)
    cflags += options.cflags
    ldlibs = ("-lgcc",) if bare else ()
    if options.library:
        cflags += options.library.cflags
    if options.library and options.library.archive:
        include = PurePosixPath(options.library.name, "include")
        files |= {include / path: text for path, text in options.library.headers.items()}
        cflags += (f"-isystem{include}",)
        ldlibs = (str(options.library.place), *ldlibs)
    files[_BUILD_HEADER], digest = render_settings(
        files, board, options, (*cflags, *ldflags, *options.model_cflags)
    )
    return _Plan(
        board=board,
        compiler=compiler,
        toolchain=read_version(compiler),
        files=files,
        sources=tuple(sorted(path for path in files if path.suffix == ".c")),
        cflags=cflags,
        ldflags=ldflags,
        ldlibs=ldlibs,
        firmware_digest=digest,
        address=options.library.address if options.library else "",
    )


def _firmware_files(board: Board, application: Path | None) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield core, start-up and port; an application replaces the core's C files."""
    core = FIRMWARE / "core"
    for path in sorted(core.glob("*.h" if application else "*.[ch]")):
        yield PurePosixPath("firmware/core", path.name), path.read_text("utf-8")
    for path in sorted(application.glob("*.[ch]") if application else ()):
        yield PurePosixPath("firmware/application", path.name), path.read_text("utf-8")
    for name in port_folders(board):
        folder = FIRMWARE / "ports" / name
        if not folder.is_dir():
            raise TinyqError(
                f"there is no port {name!r}",
                where=f"board {board.name}",
                remedy=f"write firmware/ports/{name} or correct the board's entry",
            )
        for path in sorted(folder.glob("*.[ch]")):
            yield PurePosixPath("firmware/ports", name, path.name), path.read_text("utf-8")


def port_folders(board: Board) -> tuple[str, ...]:
    """Return the folders of firmware/ports that make up a board's port, the shared ones first."""
    shared = ("bare", board.startup) if board.startup else ()
    return tuple(dict.fromkeys((*shared, board.port)))


def _include_flags(files: SourceFiles) -> tuple[str, ...]:
    """Return -I for the root (tq_build.h) and each folder of the firmware and the model's root."""
    folders = {path.parent for path in files if path.parts[0] == "firmware"}
    return tuple(f"-I{folder}" for folder in (".", "model", *sorted(folders)))


def _render_script(board: Board, files: SourceFiles) -> str:
    sources = "".join(text for path, text in files.items() if path.parts[0] == "model")
    return render(
        FIRMWARE / "linker",
        f"{board.startup}.ld.j2",
        board=board,
        layers=max(map(int, _LAYER.findall(sources)), default=0),
        pages=sorted(set(map(int, _CONSTANT.findall(sources)))),
    )


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise TinyqError("is a file, not a folder", where=str(out), remedy="choose another name")
    if any(out.iterdir()) and not (out / _BUILD_HEADER).is_file():
        raise TinyqError(
            "holds files that are not from a build",
            where=str(out),
            remedy="choose an empty or a new folder",
        )


def _make(plan: _Plan, folder: Path, options: BuildOptions) -> Path:
    """Write the files and let the chosen build system make the firmware of them."""
    system, recipe = find_build_system(options.build_system), _recipe(plan, options)
    if plan.address and not system.DOWNLOADS:
        raise TinyqError(
            f"{options.build_system} does not download libraries",
            where=plan.address,
            remedy="use --build-system platformio, or name a folder with headers and archive",
        )
    _write_files(system.lay_out(recipe), folder)
    _copy_library(options.library, folder)
    try:
        system.run(recipe, folder)
    except ToolError as failure:
        if plan.bare and not plan.address and _OVERFLOW.search(failure.output):
            _raise_excess(plan, folder / "oversize", options)
        raise
    return folder / "firmware.elf"


def _raise_excess(plan: _Plan, folder: Path, options: BuildOptions) -> None:
    """Link without limits, to say by how much flash or RAM is too small."""
    limitless = replace(plan.board, flash_bytes=_UNLIMITED_BYTES, ram_bytes=_UNLIMITED_BYTES)
    system, recipe = find_build_system(DIRECT), _recipe(plan, options)
    _write_files({**plan.files, _SCRIPT: _render_script(limitless, plan.files)}, folder)
    _copy_library(options.library, folder)
    system.run(recipe, folder)
    check_budget(_measure(plan, folder / "firmware.elf"), options.flash_costs, options.ram_costs)


def _copy_library(library: Library | None, folder: Path) -> None:
    if library and library.archive:
        shutil.copyfile(library.archive, folder / library.place)


def _recipe(plan: _Plan, options: BuildOptions) -> Recipe:
    toolchain = TOOLCHAINS[plan.board.toolchain]
    return Recipe(
        board=plan.board,
        program=plan.compiler,
        objcopy=toolchain.objcopy,
        prefix_map=toolchain.prefix_map,
        files=plan.files,
        sources=plan.sources,
        cflags=plan.cflags,
        model_cflags=(*_MODEL_CFLAGS, *options.model_cflags),
        ldflags=plan.ldflags,
        ldlibs=plan.ldlibs,
        address=plan.address,
    )


def _write_files(files: SourceFiles, folder: Path) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8", newline="\n")


def read_version(compiler: Path) -> str:
    """Return name and version as a compiler prints them."""
    done = subprocess.run([str(compiler), "--version"], capture_output=True, text=True)
    return (done.stdout.splitlines() or [compiler.name])[0].strip()


def _measure(plan: _Plan, elf: Path) -> Image:
    sizes = read_sizes(elf)
    return Image(
        elf=elf,
        board=plan.board,
        text_bytes=sizes.text,
        data_bytes=sizes.data,
        bss_bytes=sizes.bss,
        flash_bytes=sizes.flash,
        ram_bytes=sizes.ram,
        toolchain=plan.toolchain,
        firmware_digest=plan.firmware_digest,
    )
