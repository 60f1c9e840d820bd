"""One render of every family of specialized kernels for every core, as it is kept.

A change of a shared micro-kernel shows here in the assembly that it makes. To accept it:
``pytest tests/golden --update-golden``.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.fast_graphs import draw_fitting
from tests.selected import list_specialized
from tinyq.kernels.base import Bound, Kernel
from tinyq.kernels.registry import list_kernels
from tinyq.kernels.text import make_once, write_kernel

GOLDEN = Path(__file__).resolve().parent / "kernels"


def list_families() -> list[Kernel]:
    """The first of the kernels that differ in their formats alone."""
    families: dict[tuple[str, ...], Kernel] = {}
    for kernel in list_kernels():
        if not kernel.shared:
            families.setdefault((kernel.isa, kernel.operation, kernel.variant), kernel)
    return list(families.values())


FAMILIES = list_families()


def render(kernel: Kernel) -> str:
    """Text of a kernel for a layer that depends on its name alone."""
    rng = np.random.default_rng(zlib.crc32(kernel.name.encode()))
    graph, names = next(draw_fitting(rng, kernel, "layer", 1))
    node = next(node for node in graph.nodes if node.name in names)
    bound = next(
        it
        for it in list_specialized(graph, node, (kernel.isa,))
        if isinstance(it, Bound) and it.kernel.name == kernel.name and not it.kernel.unpacked
    )
    types = ", ".join(map(str, graph.types(node)[: len(bound.layer.inputs)]))
    head = f"/* {kernel.name}: {types} -> {bound.layer.output} by {bound.layer.epilogue} */"
    return f"{head}\n{write_kernel(bound, bound.function, make_once())}"


@pytest.mark.parametrize("kernel", FAMILIES, ids=lambda kernel: kernel.name)
def test_a_text_is_the_one_kept(kernel, update_golden):
    path, text = GOLDEN / kernel.isa / f"{kernel.name}.c", render(kernel)
    if update_golden:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.is_file(), f"{kernel.name} has no golden text: pytest tests/golden --update-golden"
    kept = path.read_text("utf-8")
    assert text == kept, f"{path.name} changed; if so meant: pytest tests/golden --update-golden"


def test_no_text_is_kept_for_a_kernel_that_is_gone():
    kept = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.c")}
    assert kept == {f"{kernel.isa}/{kernel.name}.c" for kernel in FAMILIES}
