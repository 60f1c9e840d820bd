"""Special kernels: their text is written anew for every node whose sizes differ.

Everything about a node is known when its code is written: sizes, strides, shifts, clip range. The
template of a special kernel has macros over the node's `Facts`, here ``f``:

    refusal(f)         why the kernel does not fit, nothing where it does
    cost(f)            instructions, about; of the kernels that fit the cheapest is chosen
    scratch_bytes(f)   bytes of arena that it needs while it runs
    in_place(f)        operands whose bytes the output may take; the macro may be missing
    write(f, n, function, once)   the C text

``n`` holds the integers of the layout, whose module in `tinyq.codegen.layouts` the variable
``layout`` names. ``once(name)`` is true at the first use of a name in a program: parts that several
kernels share are written behind it. The C function takes the operands of `Facts.data` (a constant
among them by its packed codes), the tables of the layout, the constants of the output stage where
its own function finishes the sums (`Arrangement.staged`), the output, and the scratch memory if it
needs any.

A kernel for activations of `WIDE` also serves those of fewer bits: `tinyq.codegen.widening`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jinja2

from tinyq.codegen.kernels import WIDE, Kernel
from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.rendering import make_environment
from tinyq.codegen.widening import Widening, widen, write_widening
from tinyq.support.resources import TEMPLATES

if TYPE_CHECKING:
    from tinyq.codegen.variants import Facts


@dataclass(frozen=True, slots=True, eq=False)
class Special:
    """A special kernel that fits a node.

    Attributes:
        kernel: The template.
        facts: What is known about the node, with operands as the kernel reads them.
        arrangement: Its constants as the kernel wants them.
        cost: Estimated instructions.
        scratch_bytes: Bytes of arena while it runs.
        in_place: Operands that it may write over.
        widening: What is unpacked before it runs, None where nothing is.
    """

    kernel: Kernel
    facts: Facts
    arrangement: Arrangement
    cost: int
    scratch_bytes: int
    in_place: tuple[int, ...]
    widening: Widening | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a special kernel does not fit a node."""

    kernel: Kernel
    reason: str


def is_special(kernel: Kernel) -> bool:
    """Whether a kernel's text is written for each node."""
    return hasattr(_read(kernel), "write")


def specialize(kernel: Kernel, facts: Facts) -> Special | Refusal:
    """A special kernel for a node, or why it does not fit."""
    if kernel.widened:
        return _specialize_widened(kernel, facts)
    template = _read(kernel)
    reason = " ".join(template.refusal(facts).split())
    if reason:
        return Refusal(kernel, reason)
    layout = importlib.import_module(f"tinyq.codegen.layouts.{template.layout}")
    reason = layout.refuse(facts)
    if reason:
        return Refusal(kernel, reason)
    cost, scratch = int(float(template.cost(facts))), int(template.scratch_bytes(facts))
    in_place: tuple[int, ...] = ()
    if hasattr(template, "in_place"):
        in_place = tuple(int(index) for index in template.in_place(facts).split())
    return Special(kernel, facts, layout.arrange(facts), cost, scratch, in_place)


def _specialize_widened(kernel: Kernel, facts: Facts) -> Special | Refusal:
    """The kernel for the node with wide operands, behind what unpacks them."""
    wide, widening = widen(facts, kernel.widened)
    found = specialize(replace(kernel, widened=()), wide)
    if isinstance(found, Refusal):
        return replace(found, kernel=kernel)
    return replace(
        found,
        kernel=kernel,
        cost=found.cost + widening.cost,
        scratch_bytes=found.scratch_bytes + widening.scratch_bytes,
        # They are unpacked before anything is written.
        in_place=tuple(sorted({*found.in_place, *kernel.widened})),
        widening=widening,
    )


def write_special(special: Special, function: str, once: Callable[[str], bool]) -> str:
    """The C text of a special kernel, and of what unpacks its operands."""
    widening = special.widening
    if widening is None:
        return _write_kernel(special, function, once)
    kernel = f"{function}_{WIDE}"
    scratch = special.scratch_bytes > widening.scratch_bytes
    inner = _write_kernel(special, kernel, once)
    outer = write_widening(widening, function, kernel, special.arrangement, once, scratch=scratch)
    return f"{inner}\n{outer}"


def _write_kernel(special: Special, function: str, once: Callable[[str], bool]) -> str:
    template = _read(special.kernel)
    text: str = template.write(special.facts, special.arrangement.numbers, function, once)
    return text.strip("\n") + "\n"


def make_once() -> Callable[[str], bool]:
    """A function that is true when a name is given for the first time."""
    seen: set[str] = set()

    def once(name: str) -> bool:
        fresh = name not in seen
        seen.add(name)
        return fresh

    return once


@functools.cache
def _read(kernel: Kernel) -> Any:
    """Macros and variables of a kernel's template; none where its text needs more than facts."""
    try:
        return _environment().get_template(kernel.path.relative_to(TEMPLATES).as_posix()).module
    except (jinja2.UndefinedError, ValueError):
        return None


@functools.cache
def _environment() -> jinja2.Environment:
    return make_environment()
