"""Kernels whose computations are still in their templates, as kernels of today."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyq.kernels.base import SUFFIX, Bound, Kernel, Refusal
from tinyq.kernels.environment import make_environment
from tinyq.kernels.layer import LayerSpec
from tinyq.support.resources import TEMPLATES


def list_old() -> list[Kernel]:
    """Kernels of templates/kernels itself."""
    found = []
    for path in sorted((TEMPLATES / "kernels").glob(f"*{SUFFIX}")):
        operation, *formats, last = path.name.removesuffix(SUFFIX).split("_")
        isa, _, variant = last.partition("-")
        binder = functools.partial(_bind, path)
        found.append(
            Kernel(operation, tuple(formats), isa, variant, f"kernels/{path.name}", binder=binder)
        )
    return found


def _bind(path: Path, layer: LayerSpec) -> Bound | Refusal:
    template = _read(path)
    reason = " ".join(template.refusal(layer).split())
    layout = importlib.import_module(f"tinyq.codegen.layouts.{template.layout}")
    reason = reason or layout.refuse(layer)
    if reason:
        return Refusal(reason)
    arrangement = layout.arrange(layer)
    in_place = template.in_place(layer).split() if hasattr(template, "in_place") else ()

    def write(function: str, once: Callable[[str], bool]) -> str:
        text: str = template.write(layer, arrangement.numbers, function, once)
        return text.strip("\n") + "\n"

    return Bound(
        layer,
        int(float(template.cost(layer))),
        arrangement.tables,
        int(template.scratch_bytes(layer)),
        tuple(map(int, in_place)),
        values={"transition": write},
        calls_epilogue=arrangement.staged,
    )


@functools.cache
def _read(path: Path) -> Any:
    return _environment().get_template(path.relative_to(TEMPLATES).as_posix()).module


@functools.cache
def _environment() -> Any:
    return make_environment()
