"""What is compiled for this machine to run or count firmware: once, and kept from run to run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tinyq.errors import LinkError, ToolMissing
from tinyq.support.resources import FIRMWARE

_FOLDER = FIRMWARE / "emulator"
_COMPILERS = ("cc", "gcc", "clang")


@dataclass(frozen=True, slots=True)
class Native:
    """A program or library of firmware/emulator.

    Attributes:
        source: Name of its C file; headers are those beside it.
        title: What it is, for messages.
        purpose: What needs it, for messages.
        flags: Compiler flags.
        libraries: Flags after the source.
        suffix: End of the compiled file's name.
        packages: How to install what it needs.
    """

    source: str
    title: str
    purpose: str
    flags: tuple[str, ...]
    packages: str
    libraries: tuple[str, ...] = ()
    suffix: str = ""


def compile_once(native: Native) -> Path:
    """Return the compiled file; the first call for a source, compiler and flags compiles it.

    Raises:
        ToolMissing: If no C compiler is installed.
        LinkError: If it does not compile.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise ToolMissing(
            f"{native.purpose} needs a C compiler for this machine", remedy=native.packages
        )
    source = _FOLDER / native.source
    identity = "\0".join([compiler, *native.flags]).encode()
    for path in (source, *sorted(_FOLDER.glob("*.h"))):
        identity += path.read_bytes()
    key = hashlib.sha256(identity).hexdigest()[:16]
    target = cache_folder() / f"{source.stem}-{key}{native.suffix}"
    if not target.exists():
        _compile(native, compiler, target)
    return target


def cache_folder() -> Path:
    """Return the folder of what is compiled for emulators, kept from run to run."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tinyq"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyq"


def _compile(native: Native, compiler: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        command = [compiler, *native.flags, "-o", str(built), str(_FOLDER / native.source)]
        done = subprocess.run(
            [*command, *native.libraries], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise LinkError(
                f"{native.title} does not compile: {done.stderr.strip()}",
                where=native.source,
                remedy=f"check that {compiler} can build it ({native.packages})",
            )
        built.replace(target)
