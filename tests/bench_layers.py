"""Layers that kernels are measured on: published ones, with random weights and data.

All layers of one kind share an image. The device makes the data itself and answers with a hash of
the output, so that the serial line carries eight bytes; the reference must give the same hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from tests.selected import emit_for, list_specialized
from tinyq.firmware.build import BuildOptions, Image, build
from tinyq.firmware.sections import function_sizes
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Requantize, Threshold
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window, same_padding
from tinyq.hardware.boards import Board, find_board
from tinyq.kernels.base import Bound
from tinyq.measurement.layer_programs import INCREMENT, MULTIPLIER, OFFSET, PRIME, expect_hash
from tinyq.memory.layout import find_views
from tinyq.numerics.formats import find_format
from tinyq.numerics.rounding import fold_affine
from tinyq.selection import force_kernels, plan_kernels
from tinyq.targets import open_link
from tinyq.targets.wire import payload_bytes

BOARD = "mps2-an386"
S32 = find_format("s32")

_INSTANCE = """
#include "tq_model.h"

{includes}

static uint32_t data[{input_words}];
static uint32_t result[{output_words}];

static void run(const void *input, void *output)
{{
    const uint32_t index = *(const uint32_t *)input;
    const uint8_t *bytes = (const uint8_t *)result;
    uint32_t state = 1u;
    uint32_t hash = {offset}u;
    uint32_t count = 0u;
    for (uint32_t i = 0; i < {input_words}u; i++) {{
        state = state * {multiplier}u + {increment}u;
        data[i] = state ^ (state >> 15);
    }}
    switch (index) {{
{cases}
    default:
        break;
    }}
    for (uint32_t i = 0; i < count; i++) {{
        hash = (hash ^ bytes[i]) * {prime}u;
    }}
    *(uint32_t *)output = hash;
}}

const tq_model tq_model_instance = {{"layers", {{0}}, 4, 4, 0, {layers}, run, 0, 0, 0, 0, 0}};
"""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: operation, input (height, width, channels), output channels, kernel and stride."""

    operation: str
    shape: tuple[int, ...]
    outputs: int = 0
    size: tuple[int, int] = (3, 3)
    stride: int = 1

    @property
    def title(self) -> str:
        size = "x".join(map(str, self.shape))
        window = f" {self.size[0]}x{self.size[1]}" if "conv" in self.operation.lower() else ""
        stride = f" s{self.stride}" if self.stride > 1 else ""
        outputs = f"-{self.outputs}" if self.outputs else ""
        return f"{self.operation}{window}{stride} {size}{outputs}"


@dataclass(frozen=True, slots=True)
class Row:
    """What one kernel needs for one layer.

    Attributes:
        layer: Title of the layer.
        weights: Format of the weights.
        kernel: File name of the kernel.
        instructions: Executed, exact.
        work: Multiply-accumulates, or elements where there are none.
        code_bytes: Functions of the layer's program.
        table_bytes: Constants as they lie in flash.
        scratch_bytes: RAM beside input and output.
        exact: Whether the device's answer equals the reference's.
    """

    layer: str
    weights: str
    kernel: str
    instructions: int
    work: int
    code_bytes: int
    table_bytes: int
    scratch_bytes: int
    exact: bool

    @property
    def per_work(self) -> float:
        return self.instructions / self.work


@dataclass(frozen=True, slots=True)
class Network:
    """What a network needs.

    Attributes:
        instructions: Of one inference, exact.
        code_bytes: Functions of the network's program.
        table_bytes: Constants as they lie in flash.
        flash_bytes: The whole image, with start-up code and the protocol of the firmware.
        arena_bytes: Activations and scratch memory.
        exact: Whether the device's answer equals the reference's.
    """

    instructions: int
    code_bytes: int
    table_bytes: int
    flash_bytes: int
    arena_bytes: int
    exact: bool


def make_graph(layer: Layer, name: str, x: str, w: str) -> Graph:
    """A graph of the layer with random constants that spread the output over its codes."""
    rng = np.random.default_rng(1)
    entry, weights = find_format(x), find_format(w)
    zero = 0 if entry.step == 2 else max(entry.lo, -3)
    epilogue = Threshold() if entry.step == 2 else Requantize("s8", 1.0, -5, -128, 127)
    builder = GraphBuilder.start(name, TensorType(layer.shape, entry, None, zero))
    count = 2 if len(layer.shape) > 1 else 64
    samples = rng.integers(0, 2, (count, *layer.shape)) * 2 - 1
    if entry.step == 1:
        samples = rng.integers(entry.lo, entry.hi + 1, (count, *layer.shape))
    operation, constants = _make_operation(layer, epilogue, zero)
    operands = ["input"]
    codes = [samples.astype(np.int32)]
    if constants:
        drawn = rng.integers(0, 2, constants) * 2 - 1
        if weights.step == 1:
            drawn = np.round(rng.normal(0, weights.hi / 3, constants))
            drawn = drawn.clip(max(weights.lo, -127), weights.hi)
        codes.append(drawn.astype(np.int32))
        operands.append(builder.constant("weights", codes[1], weights))
    else:
        operands.append("input")
        codes.append(codes[0])
    acc = operation.accumulate(*codes)
    tables = _draw_tables(rng, epilogue, acc, bool(constants))
    operands += [builder.constant(key, table, S32) for key, table in tables.items()]
    builder.apply("layer", operation, *operands)
    return builder.build("layer")


def _make_operation(
    layer: Layer, epilogue: Requantize | Threshold, zero: int
) -> tuple[Accumulating, tuple[int, ...]]:
    inputs = layer.shape[-1]
    if layer.operation == "Add":
        return OPERATIONS["Add"](epilogue, 16384, 11731, -7, 12), ()
    if layer.operation == "Dense":
        return OPERATIONS["Dense"](epilogue, zero), (layer.outputs, inputs)
    stride = (layer.stride, layer.stride)
    padding = same_padding(layer.shape, layer.size, stride, (1, 1))
    window = Window(layer.size, stride, (1, 1), padding)
    operation = OPERATIONS[layer.operation](epilogue, window, zero)
    depthwise = layer.operation == "DepthwiseConv2D"
    return operation, (*layer.size, inputs) if depthwise else (layer.outputs, *layer.size, inputs)


def _draw_tables(
    rng: np.random.Generator, epilogue: Requantize | Threshold, acc: np.ndarray, each: bool
) -> Mapping[str, np.ndarray]:
    channels = acc.shape[-1]
    flat = acc.reshape(-1, channels).astype(float)
    if isinstance(epilogue, Threshold):
        return {"threshold": rng.integers(-9, 10, channels), "flip": rng.integers(0, 2, channels)}
    gain = 50.0 / (flat.std(0) + 1.0) * rng.uniform(0.6, 1.3, channels)
    offset = -flat.mean(0) * gain
    if not each:
        gain[:], offset[:] = gain[0], offset[0]
    folded = fold_affine(gain, offset)
    return {"bias": folded.bias, "multiplier": folded.multiplier, "shift": folded.shift}


def choose_smallest(graph: Graph, isas: Sequence[str]) -> dict[str, str]:
    """Specialized kernels whose constants take least flash, by node; of equal ones the cheapest."""
    views = find_views(graph)
    chosen = {}
    for node in graph.nodes:
        if node.name in views:
            continue
        found = [s for s in list_specialized(graph, node, isas) if isinstance(s, Bound)]
        if found:
            best = min(found, key=lambda s: (_table_bytes(s), s.instructions or 0, s.kernel.name))
            chosen[node.name] = best.kernel.name
    return chosen


def _table_bytes(bound: Bound) -> int:
    return sum(table.words.nbytes for table in bound.tables)


def measure_layers(
    layers: Sequence[Layer],
    formats: tuple[str, str],
    isas: Sequence[str],
    folder: Path,
    *,
    board: Board | None = None,
    smallest: bool = False,
) -> list[Row]:
    """Run all layers on an emulated board, one after the other.

    Args:
        layers: What to measure.
        formats: Formats of activations and weights.
        isas: Instruction sets whose kernels may be used, best first.
        folder: Missing; the image is built there.
        board: With an emulator; a Cortex-M4 if none is given.
        smallest: The specialized kernels with the smallest constants, not the fastest.
    """
    graphs = [make_graph(layer, f"layer_{i}", *formats) for i, layer in enumerate(layers)]
    overrides = [choose_smallest(graph, isas) if smallest else {} for graph in graphs]
    image = _build_image(graphs, isas, overrides, folder, board or find_board(BOARD))
    sizes = _measure_code(image.elf)
    rows = []
    for index, (layer, graph, forced) in enumerate(zip(layers, graphs, overrides, strict=True)):
        link = open_link(image, "qemu", counting=True)
        try:
            answer = link.infer(np.array([[index]], "<u4").view(np.uint8))
            instructions = link.instruction_counts().layers[0].max
        finally:
            link.close()
        node = graph.nodes[0]
        bound = force_kernels(graph, isas, forced)[node.name]
        rows.append(
            Row(
                layer.title,
                formats[1] if layer.operation != "Add" else "-",
                bound.kernel.name,
                instructions,
                graph.macs(node) or int(np.prod(layer.shape)),
                sizes.get(f"{graph.name}.c", 0),
                graph.constant_bytes(node) if bound.shared else _table_bytes(bound),
                bound.scratch_bytes,
                int(answer.view("<u4")[0, 0]) == expect_hash(graph),
            )
        )
    return rows


def measure_network(
    graph: Graph, isas: Sequence[str], overrides: Mapping[str, str], folder: Path, board: str
) -> Network:
    """Run a network on the emulated board, and build it for another.

    Args:
        graph: A verified graph whose name is an identifier in C.
        isas: Instruction sets whose kernels may be used, best first.
        overrides: Kernels by node that must be used.
        folder: Missing; the images are built there.
        board: Whose flash is counted.
    """
    image = _build_image([graph], isas, [overrides], folder / "emulated", find_board(BOARD))
    link = open_link(image, "qemu", counting=True)
    try:
        answer = link.infer(np.zeros((1, 4), np.uint8))
        instructions = link.instruction_counts().per_run
    finally:
        link.close()
    views, constants = find_views(graph), 0
    bounds = force_kernels(graph, isas, overrides)
    for node in graph.nodes:
        if node.name not in views:
            bound = bounds[node.name]
            constants += graph.constant_bytes(node) if bound.shared else _table_bytes(bound)
    return Network(
        instructions,
        _measure_code(image.elf).get(f"{graph.name}.c", 0),
        constants,
        _build_image([graph], isas, [overrides], folder / "board", find_board(board)).flash_bytes,
        plan_kernels(graph, bounds).arena_bytes,
        int(answer.view("<u4")[0, 0]) == expect_hash(graph),
    )


def _build_image(
    graphs: Sequence[Graph],
    isas: Sequence[str],
    overrides: Sequence[Mapping[str, str]],
    folder: Path,
    board: Board,
) -> Image:
    files: dict[PurePath, str] = {}
    for graph, forced in zip(graphs, overrides, strict=True):
        files |= emit_for(graph, isas, forced).files
    files[PurePath("tq_model_instance.c")] = _INSTANCE.format(
        includes="\n".join(f'#include "{graph.name}.h"' for graph in graphs),
        layers=f"{graphs[0].name.upper()}_LAYERS",
        cases="\n".join(_write_case(index, graph) for index, graph in enumerate(graphs)),
        input_words=max(-(-graph.input.type.packed_bytes // 4) for graph in graphs),
        output_words=max(-(-graph.output.type.packed_bytes // 4) for graph in graphs),
        multiplier=MULTIPLIER,
        increment=INCREMENT,
        prime=PRIME,
        offset=OFFSET,
    )
    request, reply = payload_bytes(4, 4, 1)
    options = BuildOptions(payload_bytes=request, reply_bytes=reply)
    return build(files, board, folder, options)


def _write_case(index: int, graph: Graph) -> str:
    source = f"(const {graph.input.type.format.c_type} *)data"
    target = f"({graph.output.type.format.c_type} *)result"
    return (
        f"    case {index}:\n        {graph.name}_run({source}, {target});\n"
        f"        count = {graph.output.type.packed_bytes}u;\n        break;"
    )


def _measure_code(elf: Path) -> dict[str, int]:
    """Bytes of the functions of each source file."""
    found = function_sizes(elf)
    runs = {name.removesuffix("_run"): size for name, size in found[""].items()}
    return {
        source: sum(sizes.values()) + runs.get(source.removesuffix(".c"), 0)
        for source, sizes in found.items()
    } | {f"{name}.c": size for name, size in runs.items() if f"{name}.c" not in found}
