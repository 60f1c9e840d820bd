"""Chains by rows on the emulated Cortex-M4, with its own kernels: answers, builds, profiles."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import closing

import numpy as np
import pytest

from tests.many_graphs import Case, ask_device
from tests.random_graphs import draw_inputs
from tests.row_graphs import draw_chains, draw_rows
from tinyq.codegen import emit
from tinyq.errors import TinyqError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.conv2d import Conv2D
from tinyq.graph.ops.depthwise_conv2d import DepthwiseConv2D
from tinyq.graph.ops.window import Window, same_padding
from tinyq.graph.reference import run, run_batched
from tinyq.hardware.boards import find_board
from tinyq.measurement.arena import draw_arena
from tinyq.measurement.places import choose_target
from tinyq.measurement.profile import profile
from tinyq.numerics.formats import find_format
from tinyq.numerics.rounding import fold_affine
from tinyq.project import MANIFEST, Selection, create_project, open_project
from tinyq.selection import plan_kernels, prefer_isas, select_kernel, select_kernels
from tinyq.targets import open_link

GRAPHS = int(os.environ.get("TINYQ_EMULATOR_GRAPHS", "16"))
BOARD = "mps2-an386"
ISAS = prefer_isas("armv7em")
SAMPLES = 3
S8, S32, EPILOGUE = find_format("s8"), find_format("s32"), Requantize("s8", 0.1, -5, -5, 127)
# Expanded channels, taps, stride and channels of inverted bottlenecks.
BOTTLENECKS = ((48, 3, 1, 8), (48, 5, 2, 16), (96, 3, 1, 16))
SMALL = ((16, 3, 2, 8),)
WIDE = ((64, 3, 1, 8), (48, 5, 2, 16))
# One board of each other core. The last has too little RAM for the network without chains.
BOARDS = {
    "mps2-an385": BOTTLENECKS,
    "mps3-an547": BOTTLENECKS,
    "riscv-virt": BOTTLENECKS,
    "arduino-mega": SMALL,
    "microbit-v1": WIDE,
}


def draw_case(seed: int, index: int) -> tuple[Case, list[str]]:
    """A network with chains, and the kernels of their layers."""
    rng = np.random.default_rng((seed, index, 6))
    while True:
        graph = draw_rows(rng, f"model_{index}")
        chains = draw_chains(rng, graph)
        if chains and graph.input.type.packed_bytes < 3000:
            break
    bounds = dict(select_kernels(graph, ISAS))
    members = [it for chain in chains for it in chain.members]
    for member in members:
        bounds[member.node.name] = select_kernel(member.graph, member.graph.nodes[0], ISAS)
    codes = draw_inputs(rng, graph, SAMPLES)
    case = Case(
        graph,
        emit(graph, plan_kernels(graph, bounds, chains), bounds),
        graph.input.type.format.pack(codes).reshape(SAMPLES, -1),
        graph.output.type.format.pack(run(graph, codes)).reshape(SAMPLES, -1),
    )
    return case, [bounds[it.node.name].kernel.name for it in members]


def test_the_device_answers_as_the_reference(seed, tmp_path):
    drawn = [draw_case(seed, index) for index in range(GRAPHS)]
    cases = [case for case, _ in drawn]
    replies = ask_device(cases, find_board(BOARD), tmp_path / "out")
    wrong = [
        f"{case.graph.name}: {kernels}"
        for (case, kernels), got in zip(drawn, replies, strict=True)
        if not np.array_equal(got, case.answers)
    ]
    assert not wrong, "\n".join(wrong)
    isas = Counter("armv7em" in kernel for _, kernels in drawn for kernel in kernels)
    assert isas[True] > GRAPHS // 4, isas


Sizes = tuple[tuple[int, int, int, int], ...]


class _Builder:
    """A graph of layers whose codes spread over int8.

    Attributes:
        rng: Source of weights.
        builder: The graph so far.
        last: Newest tensor.
        codes: Codes of tensors for some inputs, about.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.builder = GraphBuilder.start("bottlenecks", TensorType((16, 16, 8), S8, 0.1, -5))
        self.last = self.builder.input
        self.codes = {self.last: rng.integers(-128, 128, (2, 16, 16, 8)).astype(np.int32)}
        self.name = ""

    def constant(self, name: str, *content: object) -> str:
        """A constant under the name of the layer."""
        return self.builder.constant(f"{self.name}_{name}", *content)

    def apply(self, name: str, operation: Accumulating, *operands: str | np.ndarray) -> None:
        """Add a layer with weights, or one of two tensors."""
        self.name = name
        names = [it if isinstance(it, str) else self.constant("weights", it, S8) for it in operands]
        values = [self.codes[it] if isinstance(it, str) else it for it in operands]
        acc = operation.accumulate(*values)
        channels = acc.shape[-1]
        gain = 300 / np.abs(acc).max() * self.rng.uniform(0.5, 1.5, channels)
        folded = fold_affine(gain, self.rng.uniform(-20, 20, channels))
        tables = [
            self.constant(key, np.asarray(getattr(folded, field)), S32)
            for key, field in zip(EPILOGUE.names, ("bias", "multiplier", "shift"), strict=True)
        ]
        self.last = self.builder.apply(name, operation, *names, *tables)
        scale = max(int(np.abs(acc).max()) // 127, 1)
        self.codes[self.last] = np.clip(acc // scale, -128, 127).astype(np.int32)


def draw_bottlenecks(rng: np.random.Generator, sizes: Sizes = BOTTLENECKS) -> Graph:
    """Inverted bottlenecks, some with a sum."""
    made = _Builder(rng)
    for number, (wide, taps, stride, narrow) in enumerate(sizes):
        before = made.last
        shape = made.builder.type(before).shape
        pixel, size = Window((1, 1)), (taps, taps)
        around = same_padding(shape, size, (stride, stride), (1, 1))
        window = Window(size, (stride, stride), (1, 1), around)
        for name, operation, weights in (
            ("expand", Conv2D(EPILOGUE, pixel, -5), (wide, 1, 1, shape[2])),
            ("depthwise", DepthwiseConv2D(EPILOGUE, window, -5), (*size, wide)),
            ("project", Conv2D(EPILOGUE, pixel, -5), (narrow, 1, 1, wide)),
        ):
            codes = rng.integers(-127, 128, weights).astype(np.int32)
            made.apply(f"{name}_{number}", operation, made.last, codes)
        if made.builder.type(before) == made.builder.type(made.last):
            made.apply(f"sum_{number}", Add(EPILOGUE, 3, 5, -5, -5), made.last, before)
    return made.builder.build(made.last)


def test_a_build_for_ram_goes_by_rows_and_opens_again(seed, tmp_path):
    rng = np.random.default_rng((seed, 7))
    graph = draw_bottlenecks(rng)
    board = find_board(BOARD)
    whole = create_project(graph, board, tmp_path / "whole")
    project = create_project(graph, board, tmp_path / "out", kernels=Selection(optimize="ram"))
    chains = project.plan.chains
    assert chains
    assert not whole.plan.chains
    assert project.plan.arena_bytes < whole.plan.arena_bytes * 0.6
    codes = rng.integers(-128, 128, (4, *graph.input.type.shape)).astype(np.int32)
    packed = graph.input.type.format.pack(codes).reshape(4, -1)
    with closing(open_link(project.image, "qemu", counting=True)) as link:
        found = link.infer(packed)
        counts = link.instruction_counts()
    expected = run_batched(project.graph, codes)
    assert np.array_equal(found, graph.output.type.format.pack(expected).reshape(4, -1))
    seen = profile(project, {graph.inputs[0]: codes[:1]})
    assert sum(layer.costs.instructions for layer in seen.layers) == seen.costs.instructions
    assert counts is not None
    assert len(counts.layers) == len(seen.layers) < len(project.graph.nodes)
    assert {chain.name for chain in chains} <= {layer.name for layer in seen.layers}
    drawn = {block.name for block in draw_arena(project.graph, project.plan)}
    assert {f"{name} by rows" for chain in chains for name in chain.rings} <= drawn
    again = open_project(tmp_path / "out")
    assert again.plan.offsets == project.plan.offsets
    assert [it.name for it in again.plan.chains] == [it.name for it in chains]


@pytest.mark.parametrize("board", BOARDS)
def test_every_core_answers_as_the_reference(board, seed, tmp_path):
    rng = np.random.default_rng((seed, 9))
    graph, chosen = draw_bottlenecks(rng, BOARDS[board]), find_board(board)
    objective = "balanced" if BOARDS[board] == WIDE else "ram"
    project = create_project(graph, chosen, tmp_path / "out", kernels=Selection(optimize=objective))
    assert project.plan.chains
    codes = rng.integers(-128, 128, (2, *graph.input.type.shape)).astype(np.int32)
    packed = graph.input.type.format.pack(codes).reshape(2, -1)
    with closing(open_link(project.image, choose_target(chosen))) as link:
        found = link.infer(packed)
    expected = run_batched(project.graph, codes)
    assert np.array_equal(found, graph.output.type.format.pack(expected).reshape(2, -1))


@pytest.mark.parametrize("damage", ["rows", "layers", "twice"])
def test_a_manifest_with_other_chains_is_refused(damage, seed, tmp_path):
    graph = draw_bottlenecks(np.random.default_rng((seed, 8)))
    folder = tmp_path / "out"
    create_project(graph, find_board("host"), folder, kernels=Selection(optimize="ram"))
    content = json.loads((folder / MANIFEST).read_text())
    chain = content["chains"][0]
    if damage == "rows":
        chain["rows"][0] = 7
    elif damage == "layers":
        chain["layers"][0] = "nothing"
    else:
        content["chains"].append(chain)
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(TinyqError, match="chain"):
        open_project(folder)
