"""Estimates of what kernels cost before anything is compiled.

Specialized kernels state their instructions themselves. Those of the generic kernels are fitted to
counts, see benchmarks/generic.py, which writes the table that is read here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType

from tinyq.support.documents import read_document
from tinyq.support.resources import TEMPLATES

TABLE = TEMPLATES / "kernels/generic.json"
GENERIC = "generic"

# Thumb instructions of two bytes that kernels in assembly use; nearly all others have four.
_NARROW = frozenset(("mov", "cmp", "b", "bne", "beq", "bx", "it", "subs", "adds", "push", "pop"))
# Whose loops are those of which unsigned format, but for the sign.
_UNSIGNED: Mapping[str, str] = MappingProxyType({"s2": "u2", "s3": "u2", "s4": "u4"})
# Mean of the kernels' C parts with gcc -O2 on Cortex-M4.
_STATEMENT_BYTES = 7
# Kernels were counted with an epilogue of three constants; this is what each threshold more costs.
CONSTANT_COST = 6
_STATEMENT = re.compile(r"[;{]")


@dataclass(frozen=True, slots=True)
class Work:
    """What a node has to do in one inference.

    Attributes:
        macs: Multiply-accumulates, those with padding left out.
        elements: Values of the output.
        lines: Lines of windows inside the image, elements times the height of a window.
        constants: Constants of the epilogue that are read beside three for each value.
        taps: Places of windows inside the image, elements times the area of a window; or what
            `Op.taps` says.
        rows: Rows along the innermost axis of the output, pixels of an image.
        inputs: Values of the first operand.
        words: Words of the output, each for all taps of its window.
        epilogue: Name and format of the epilogue, empty without one.
        shared: Whether other nodes have the same kernel: the compiler then inlines it less, and
            what is constant for one node is none for all.
    """

    macs: int
    elements: int
    lines: int
    constants: int = 0
    taps: int = 0
    rows: int = 0
    inputs: int = 0
    words: int = 0
    epilogue: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """Fitted figures of a generic kernel.

    Attributes:
        terms: Instructions for one of each of `list_terms` that counts.
        epilogue: Epilogue that it was counted with, empty without one.
    """

    terms: Mapping[str, float]
    epilogue: str


@dataclass(frozen=True, slots=True)
class Core:
    """How a core differs from the one that kernels were fitted on.

    Attributes:
        factors: Instructions of an operation's loops by those of that core; the operation alone, or
            with the format of its first operand where formats differ.
        epilogues: Instructions of epilogues for each value of the output.
    """

    factors: Mapping[str, float]
    epilogues: Mapping[str, float]

    def find_factor(self, kernel: str) -> float:
        """The factor of a kernel's loops; 1 where none is known."""
        operation, entry, *_ = f"{kernel}_".split("_")
        return self.factors.get(f"{operation}_{entry}", self.factors.get(operation, 1.0))


@dataclass(frozen=True, slots=True)
class Table:
    """All fitted figures.

    Attributes:
        kernels: By the kernel's name.
        epilogues: Instructions of epilogues for each value of the output.
        median_per_element: Instructions for each value of the output; median of all operations.
        cores: What differs, by instruction set; the others are like the core of the fit.
    """

    kernels: Mapping[str, Entry]
    epilogues: Mapping[str, float]
    median_per_element: float
    cores: Mapping[str, Core]

    def apply(self, entry: Entry, work: Work, kernel: str = "", isa: str = "") -> float:
        """Instructions of a kernel for a node, its further constants left out."""
        terms = list_terms(work)
        loops = sum(value * terms[name] for name, value in entry.terms.items())
        core = self.cores.get(isa)
        factor = core.find_factor(kernel) if core else 1.0
        known = find_counted(work.epilogue, self.epilogues)
        if not known or entry.epilogue not in self.epilogues:
            return loops * factor
        # Figures of epilogues are those of the smallest kernel, which does nothing else.
        loops = max(loops - work.elements * self.epilogues[entry.epilogue], 0.0)
        each = self.epilogues[known]
        each = core.epilogues.get(work.epilogue, each) if core else each
        return loops * factor + work.elements * each


def list_terms(work: Work) -> Mapping[str, int]:
    """What an estimate is a sum of."""
    return {
        "call": 1,
        "row": work.rows,
        "element": work.elements,
        "line": work.lines,
        "tap": work.taps,
        "mac": work.macs,
        "input": work.inputs,
        # For each value of the output, the values of a row of the input: a search among them.
        "search": work.elements * work.inputs // max(work.rows, 1),
        "word": work.words,
        "shared_element": work.elements * work.shared,
        "shared_tap": work.taps * work.shared,
        "shared_word": work.words * work.shared,
    }


def estimate_instructions(name: str, work: Work, isa: str = "") -> int:
    """Instructions of a generic kernel.

        loops = sum over terms of coefficient * work - elements * the epilogue of the fit
        instructions = loops * factor of the core + elements * epilogue on the core
                     + constants * 6

    A kernel that was never counted is as fast as that of the unsigned format of its activations
    (see ``find_counted``), else as the median of its operation; without any, it takes for each
    value of the output what the median of all operations takes.

    Args:
        name: Of the kernel.
        work: What it has to do.
        isa: The core's own instruction set.
    """
    table = load_table(TABLE)
    rivals = [it for key, it in table.kernels.items() if _operation(key) == _operation(name)]
    counted = find_counted(name, table.kernels)
    entries = [table.kernels[counted]] if counted else rivals
    estimates = [table.apply(entry, work, name, isa) for entry in entries]
    found = median(estimates) if estimates else table.median_per_element * work.elements
    return max(round(found) + CONSTANT_COST * work.constants, 1)


def find_counted(name: str, counted: Container[str]) -> str:
    """The kernel or epilogue whose counts stand for those of ``name``; empty where there is none.

    Itself, or the one whose formats are unsigned where its own are signed ones of few bits: their
    loops are the same but for the sign.

    Args:
        name: ``<operation>_<formats>_generic`` or ``<epilogue>_<format>``.
        counted: Names of those that were counted.
    """
    operation, *formats = name.split("_")
    first = [_UNSIGNED.get(formats[0], formats[0]), *formats[1:]] if formats else []
    every = [_UNSIGNED.get(entry, entry) for entry in formats]
    choices = ("_".join((operation, *part)) for part in (formats, first, every))
    return next((choice for choice in choices if choice in counted), "")


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


def _operation(name: str) -> str:
    return name.partition("_")[0]


@functools.cache
def load_table(path: Path) -> Table:
    """Read what benchmarks/generic.py wrote."""
    content = read_document(path, "estimates", "install tinyq again")
    return Table(
        {
            name: Entry(MappingProxyType(entry["terms"]), entry["epilogue"])
            for name, entry in content["kernels"].items()
        },
        content["epilogues"],
        content["median_per_element"],
        {name: Core(it["factors"], it["epilogues"]) for name, it in content["cores"].items()},
    )
