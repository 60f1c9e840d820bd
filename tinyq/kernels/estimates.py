"""Estimates of what kernels cost before anything is compiled.

Special kernels state their instructions themselves. Those of the generic kernels are fitted to
counts, see benchmarks/generic.py, which writes the table that is read here.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyq.support.resources import TEMPLATES

TABLE = TEMPLATES / "kernels/generic.json"

# Thumb instructions of two bytes that kernels in assembly use; nearly all others have four.
_NARROW = frozenset(("mov", "cmp", "b", "bne", "beq", "bx", "it", "subs", "adds", "push", "pop"))
# Mean of the kernels' C parts with gcc -O2 on Cortex-M4.
_STATEMENT_BYTES = 7
# Kernels were counted with a stage of three constants; this is what each threshold more costs.
_CONSTANT_COST = 6
_STATEMENT = re.compile(r"[;{]")


@dataclass(frozen=True, slots=True)
class Work:
    """What a node has to do in one inference.

    Attributes:
        macs: Multiply-accumulates.
        elements: Values of the output.
        lines: Lines of windows, elements times the height of a window.
        constants: Constants of the output stage that are read beside three for each value.
    """

    macs: int
    elements: int
    lines: int
    constants: int = 0


def estimate_instructions(name: str, work: Work) -> int:
    """Instructions of a generic kernel.

        instructions = macs * a + lines * b + elements * c + constants * 6

    A kernel that was never counted is as slow as the slowest one of its operation, or of all.
    """
    table = _load_table(TABLE)
    operation = name.split("_")[0]
    rivals = [entry for key, entry in table.items() if key.split("_")[0] == operation]
    entries = [table[name]] if name in table else rivals or list(table.values())
    return round(max(_apply(entry, work) for entry in entries)) + _CONSTANT_COST * work.constants


def estimate_code(text: str) -> int:
    """Bytes of machine code of a C text whose inner loops may be Thumb assembly."""
    repeats, assembly, statements = [1], 0, 0
    for line in map(str.strip, text.splitlines()):
        if not line.startswith('"'):
            statements += 0 if line.startswith(("*", "/*")) else len(_STATEMENT.findall(line))
            continue
        word = (line.strip('"').removesuffix("\\n").split() or [""])[0]
        if word == ".rept":
            repeats.append(repeats[-1] * int(line.strip('"').removesuffix("\\n").split()[1]))
        elif word == ".endr":
            repeats.pop()
        elif word and not word.startswith(".") and not word.endswith(":"):
            assembly += repeats[-1] * (2 if word in _NARROW else 4)
    return assembly + _STATEMENT_BYTES * statements


def _apply(entry: Mapping[str, float], work: Work) -> float:
    return entry["mac"] * work.macs + entry["line"] * work.lines + entry["element"] * work.elements


@functools.cache
def _load_table(path: Path) -> Mapping[str, Mapping[str, float]]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    kernels: Mapping[str, Mapping[str, float]] = content["kernels"]
    return kernels
