"""GNU make."""

from __future__ import annotations

import shutil
from pathlib import Path

from tinyq.firmware.build_systems import Recipe, run_tool
from tinyq.firmware.build_systems.gcc import lay_out

__all__ = ["lay_out", "run"]

DOWNLOADS = False


def run(recipe: Recipe, folder: Path) -> None:
    """Build `folder`/firmware.elf with make.

    Raises:
        ToolError: make is missing or fails.
    """
    del recipe
    run_tool(["make"], folder, "Makefile")
    shutil.rmtree(folder / "objects")
