"""Estimates of every kernel on every emulated core, specialized and generic, against counts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tests.cores import CORES as ARM_CORES
from tests.estimated_layers import Sample, draw_samples
from tests.fast_graphs import draw_fitting
from tinyq.hardware.boards import Board, find_board
from tinyq.kernels.base import Kernel
from tinyq.kernels.estimates import GENERIC
from tinyq.kernels.registry import list_kernels
from tinyq.measurement.layer_programs import LayerProgram, run_programs
from tinyq.selection import force_kernels

CORES: Mapping[str, Board] = MappingProxyType({**ARM_CORES, "rv32": find_board("riscv-virt")})
KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {it.name: it for it in list_kernels() if it.isa == GENERIC or not it.shared}
)
_IMAGE = 24  # programs of one image: their data lie in the flash of the emulated board


@dataclass(frozen=True, slots=True)
class Estimate:
    """A drawn layer or two of one kernel on one core.

    Attributes:
        core: The core.
        kernel: Name of the kernel.
        layers: Their shapes.
        program: How they run.
    """

    core: str
    kernel: str
    layers: str
    program: LayerProgram

    @property
    def instructions(self) -> int:
        """What the kernels of all layers say."""
        return sum(it.instructions or 0 for it in self.program.bounds.values())


def draw_estimates(core: str, kernels: Sequence[Kernel], seed: int, each: int) -> list[Estimate]:
    """Layers of kernels, the same ones for the same seed."""
    return [found for kernel in kernels for found in _draw(core, kernel, seed, each)]


def _draw(core: str, kernel: Kernel, seed: int, each: int) -> Iterator[Estimate]:
    if kernel.isa == GENERIC:
        for sample in draw_samples(kernel, f"{core} {seed}", each):
            yield draw_generic(core, sample)
        return
    position = sorted(KERNELS).index(kernel.name)
    rng = np.random.default_rng((seed, position, 7))
    for graph, names in draw_fitting(rng, kernel, "layers", each):
        bounds = force_kernels(graph, (kernel.isa, GENERIC), names)
        shapes = " ".join(str(graph.tensors[node.output].type) for node in graph.nodes)
        text = f"{kernel.name}: {graph.input.type} -> {shapes}"
        yield Estimate(core, kernel.name, text, LayerProgram(graph, bounds))


def draw_generic(core: str, sample: Sample) -> Estimate:
    """Layers of a generic kernel, as a core estimates them."""
    isas = (core, GENERIC)
    names = {node.name: sample.kernel.name for node in sample.graph.nodes}
    bounds = force_kernels(sample.graph, isas, names)
    return Estimate(core, sample.kernel.name, str(sample), LayerProgram(sample.graph, bounds))


def count_all(estimates: Sequence[Estimate]) -> list[int]:
    """Instructions of each, on its core."""
    counts: list[int] = []
    for start in range(0, len(estimates), _IMAGE):
        part = estimates[start : start + _IMAGE]
        with tempfile.TemporaryDirectory(prefix="tinyq-costs-") as folder:
            board = CORES[part[0].core]
            outcomes = run_programs([it.program for it in part], board, Path(folder) / "image")
        counts += [outcome.instructions for outcome in outcomes]
    return counts


def list_kernels_of(core: str) -> list[Kernel]:
    """The kernels that a core is held to: its own, and the generic ones."""
    return [it for it in KERNELS.values() if it.isa in (core, GENERIC)]
