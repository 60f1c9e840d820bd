"""Special kernels: their text is written anew for every node whose sizes differ.

Everything about a node is known when its code is written: sizes, strides, shifts, clip range. The
template of a special kernel has macros over the node's `LayerSpec`, here ``f``:

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
from typing import Any

import jinja2

from tinyq.codegen.kernel_text import write_kernel
from tinyq.codegen.kernels import WIDE, Kernel
from tinyq.codegen.layouts import Arrangement
from tinyq.codegen.rendering import make_environment
from tinyq.codegen.widening import Widening, widen, write_widening
from tinyq.kernels import base
from tinyq.kernels.layer import LayerSpec
from tinyq.support.resources import TEMPLATES


@dataclass(frozen=True, slots=True, eq=False)
class Special:
    """A special kernel that fits a node.

    Attributes:
        kernel: The template.
        layer: What is known about the node, with operands as the kernel reads them.
        arrangement: Its constants as the kernel wants them.
        cost: Estimated instructions.
        scratch_bytes: Bytes of arena while it runs.
        in_place: Operands that it may write over.
        widening: What is unpacked before it runs, None where nothing is.
        bound: The kernel of `tinyq.kernels` behind it.
    """

    kernel: Kernel
    layer: LayerSpec
    arrangement: Arrangement
    cost: int
    scratch_bytes: int
    in_place: tuple[int, ...]
    widening: Widening | None = None
    bound: base.Bound | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a special kernel does not fit a node."""

    kernel: Kernel
    reason: str


def is_special(kernel: Kernel) -> bool:
    """Whether a kernel's text is written for each node."""
    if kernel.typed:
        return True
    return hasattr(_read(kernel), "write")


def specialize(kernel: Kernel, layer: LayerSpec) -> Special | Refusal:
    """A special kernel for a node, or why it does not fit."""
    if kernel.widened:
        return _specialize_widened(kernel, layer)
    if kernel.typed:
        return _bind(kernel, kernel.typed, layer)
    template = _read(kernel)
    reason = " ".join(template.refusal(layer).split())
    if reason:
        return Refusal(kernel, reason)
    layout = importlib.import_module(f"tinyq.codegen.layouts.{template.layout}")
    reason = layout.refuse(layer)
    if reason:
        return Refusal(kernel, reason)
    cost, scratch = int(float(template.cost(layer))), int(template.scratch_bytes(layer))
    in_place: tuple[int, ...] = ()
    if hasattr(template, "in_place"):
        in_place = tuple(int(index) for index in template.in_place(layer).split())
    return Special(kernel, layer, layout.arrange(layer), cost, scratch, in_place)


def _bind(kernel: Kernel, typed: base.Kernel, layer: LayerSpec) -> Special | Refusal:
    """A kernel of `tinyq.kernels` as it is known here, until all kernels are there."""
    bound = typed.bind(layer)
    if isinstance(bound, base.Refusal):
        return Refusal(kernel, bound.reason)
    return Special(
        kernel,
        layer,
        Arrangement(bound.tables, staged=bound.calls_epilogue),
        bound.instructions,
        bound.scratch_bytes,
        bound.in_place,
        bound=bound,
    )


def _specialize_widened(kernel: Kernel, layer: LayerSpec) -> Special | Refusal:
    """The kernel for the node with wide operands, behind what unpacks them."""
    wide, widening = widen(layer, kernel.widened)
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
    if special.bound:
        return write_kernel(special.bound, function, once)
    template = _read(special.kernel)
    text: str = template.write(special.layer, special.arrangement.numbers, function, once)
    return text.strip("\n") + "\n"


@functools.cache
def _read(kernel: Kernel) -> Any:
    """Macros and variables of a kernel's template; none where its text needs more than layer."""
    try:
        return _environment().get_template(kernel.path.relative_to(TEMPLATES).as_posix()).module
    except (jinja2.UndefinedError, ValueError):
        return None


@functools.cache
def _environment() -> jinja2.Environment:
    return make_environment()
