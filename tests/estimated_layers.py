"""Layers of one generic kernel each, to hold its estimated instructions against counted ones.

The cases of the bit-exact tests are drawn again with the sizes of real layers: an operation that
has cases there has layers here.
"""

from __future__ import annotations

import itertools
import math
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bitexact.bench import Case
from tests.bitexact.cases import finish_case
from tests.drawing.bench import CHANNELS, Draw
from tests.operations import REGISTRY
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, Node, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.ops.window import Window, same_padding
from tinyq.hardware.boards import find_board
from tinyq.kernels.base import Kernel
from tinyq.kernels.epilogues import EpilogueFunction, list_epilogues
from tinyq.kernels.estimates import Work, estimate_instructions
from tinyq.kernels.layer import measure_work, split_inputs
from tinyq.measurement.layer_programs import LayerProgram, run_programs
from tinyq.numerics.formats import Format
from tinyq.selection import select_kernels

BOARD = "mps2-an386"
# Where every kernel was fitted; what another epilogue costs is a figure of its own.
_USUAL = ("requantize", "s8")
_WIDE_STAGE = ("requantizewide", "s16")
_MOST_WORK, _LEAST_WORK = 300_000, 200
_MOST_VALUES = 16_384
_WIDE_SUMS = ("conv2d", "dense", "depthwise2d", "transposeconv2d", "matmul")
# Windows of one tap are layers of their own there.
_POINTWISE = ("conv2d", "transposeconv2d")
_FEW = 16  # codes of a constant operand
_TRIES = 2000
_IMAGE = 60  # layers of one firmware: its data lie in the flash of the emulated board


class SizedDraw(Draw):
    """Draws layers as large as those of networks for microcontrollers."""

    def channels(self) -> int:
        return int(self.rng.choice((*CHANNELS, 10, 12, 24, 40, 48, 64, 96, 128)))

    def size(self, most: int) -> int:
        return self.integer(1, most * int(self.rng.choice((1, 2, 4, 8, 12))))

    def window(self, padded: bool = True) -> tuple[Window, tuple[int, int]]:
        sides = (self.integer(5, 24), self.integer(5, 24))
        size = [(1, 1), (2, 2), (3, 3), (3, 3), (5, 5), (4, 10), sides][self.integer(0, 6)]
        size = (min(size[0], sides[0]), min(size[1], sides[1]))
        stride = (self.integer(1, 2),) * 2 if self.rng.random() < 0.8 else size
        same = padded and self.rng.random() < 0.5
        padding = same_padding((*sides, 1), size, stride, (1, 1)) if same else (0, 0, 0, 0)
        return Window(size, stride, (1, 1), padding), sides


@dataclass(frozen=True, slots=True)
class Sample:
    """One layer of a generic kernel, or two of different sizes, which the compiler inlines less.

    Attributes:
        kernel: What computes them.
        graph: The first layer reads the input, if it can; all other operands are constants.
    """

    kernel: Kernel
    graph: Graph

    @property
    def works(self) -> tuple[Work, ...]:
        return tuple(measure_work(self.graph, node) for node in self.graph.nodes)

    def __str__(self) -> str:
        name = self.kernel.name
        return f"{name}: {', '.join(self._describe(node) for node in self.graph.nodes)}"

    def _describe(self, node: Node) -> str:
        inputs = " ".join(map(str, self.graph.types(node)))
        return f"{inputs} -> {self.graph.tensors[node.output].type}"


def draw_samples(
    kernel: Kernel, seed: str, count: int, epilogue: EpilogueFunction | None = None
) -> tuple[Sample, ...]:
    """Samples of a kernel, of one layer or of two, the same ones for the same seed.

    Args:
        kernel: A generic kernel.
        seed: Any word; those of two words differ in size.
        count: How many.
        epilogue: Epilogue; the one that the kernels were fitted with if none is given.
    """
    rng = np.random.default_rng(zlib.crc32(f"{seed} {kernel.name}".encode()))
    draw = SizedDraw(rng)
    cases = _draw_fitting(draw, kernel, epilogue)
    samples = (
        Sample(kernel, _make_graph([next(cases) for _ in range(1 + index % 2)]))
        for index in itertools.count()
    )
    usual = (sample for sample in samples if not _is_degenerate(sample.graph))
    return tuple(itertools.islice(usual, count))


def count_instructions(samples: Sequence[Sample]) -> tuple[int, ...]:
    """Instructions of each sample on the emulated Cortex-M4."""
    counts: list[int] = []
    for start in range(0, len(samples), _IMAGE):
        part = samples[start : start + _IMAGE]
        programs = [LayerProgram(sample.graph, select_kernels(sample.graph)) for sample in part]
        with tempfile.TemporaryDirectory(prefix="tinyq-costs-") as folder:
            outcomes = run_programs(programs, find_board(BOARD), Path(folder) / "image")
        counts += [outcome.instructions for outcome in outcomes]
    return tuple(counts)


def estimate(sample: Sample) -> int:
    """Instructions that the table says."""
    found = (estimate_instructions(sample.kernel.name, work) for work in sample.works)
    return sum(count for count in found if count is not None)


def has_epilogue(kernel: Kernel) -> bool:
    """Whether an epilogue finishes the kernel's values."""
    return kernel.operation in REGISTRY.finishing


def find_usual_epilogue(kernel: Kernel) -> EpilogueFunction:
    """The epilogue that a kernel was fitted with."""
    wide = kernel.operation in _WIDE_SUMS and kernel.formats[0] == "s16"
    wanted = _WIDE_STAGE if wide else _USUAL
    return next(it for it in list_epilogues() if (it.epilogue, it.format) == wanted)


def _draw_fitting(draw: Draw, kernel: Kernel, epilogue: EpilogueFunction | None) -> Iterator[Case]:
    """Cases with as much work as layers of networks, no two of the same sizes."""
    seen = set()
    for _ in range(_TRIES):
        case = _draw_case(draw, kernel, epilogue)
        shapes = tuple(entry.shape for entry in case.types)
        try:
            graph = _make_graph([case])
        except ModelError:  # sums of any codes leave int32, those of the drawn ones did not
            continue
        if shapes not in seen and _fits(graph):
            seen.add(shapes)
            yield case
    raise AssertionError(f"too few layers are drawn for {kernel.name}")


def _draw_case(draw: Draw, kernel: Kernel, epilogue: EpilogueFunction | None) -> Case:
    if kernel.operation in REGISTRY.plain:
        op, operands = REGISTRY.plain[kernel.operation](draw, kernel)
        return next(finish_case(draw, kernel, None, op, operands))
    epilogue = epilogue or find_usual_epilogue(kernel)
    op, operands = REGISTRY.finishing[kernel.operation](draw, kernel, draw.epilogue(epilogue))
    return next(finish_case(draw, kernel, epilogue, op, operands))


def _make_graph(cases: Sequence[Case]) -> Graph:
    builder = GraphBuilder.start("layers", cases[0].types[0])
    # The device makes any codes as input, of which sums of 32-bit codes would leave int32.
    results, wide = [], cases[0].types[0].format.bits == 32
    for place, case in enumerate(cases):
        names = [
            builder.constant(f"constant_{place}_{index}", codes, *_describe(entry))
            for index, (codes, entry) in enumerate(zip(case.codes, case.types, strict=True))
            if place or index or wide
        ]
        first = [] if place or wide else ["input"]
        results.append(builder.apply(f"layer_{place}", case.op, *first, *names))
    return builder.build(results[0])


def _describe(entry: TensorType) -> tuple[Format, float | None, int]:
    return entry.format, entry.scale, entry.zero_point


def _is_degenerate(graph: Graph) -> bool:
    """Whether the compiler folds a layer.

    Windows of one tap that are moved alone, few weights, one code alone in the output.
    """
    for node in graph.nodes:
        geometry = node.op.geometry(*graph.types(node))
        moved = geometry.get("kernel_height", 0) * geometry.get("kernel_width", 0) == 1
        operands = (graph.tensors[name] for name in split_inputs(node)[0])
        few = isinstance(node.op, Accumulating) and any(
            it.is_constant and math.prod(it.type.shape) < _FEW for it in operands
        )
        single = "lo" in geometry and geometry["lo"] == geometry["hi"]
        if few or single or (moved and node.op.kernel not in _POINTWISE):
            return True
    return False


def _fits(graph: Graph) -> bool:
    values = max(math.prod(tensor.type.shape) for tensor in graph.tensors.values())
    work = measure_work(graph, graph.nodes[0])
    total = max(work.macs, work.taps, work.elements)
    return total <= _MOST_WORK and values <= _MOST_VALUES and max(total, work.inputs) >= _LEAST_WORK
