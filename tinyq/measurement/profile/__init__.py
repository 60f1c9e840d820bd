"""Where an inference spends its time: counted on an emulated core, priced with published timings.

Counts are exact. Cycles are estimates, and so is what is said of a board; how far such estimates
were from published results stands beside them. Nothing here is measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import tinyq
from tinyq.codegen import mark_layers
from tinyq.errors import BoardError, DataError, LinkError, TinyqError
from tinyq.firmware import cmsis_nn
from tinyq.firmware.build import Image, build
from tinyq.graph import Graph, Node, TensorType
from tinyq.graph.interface import pack_codes
from tinyq.graph.summary import describe_nodes, name_nodes
from tinyq.hardware.boards import Board, find_board
from tinyq.measurement.profile.cores import (
    BoardConstant,
    Core,
    core_named,
    find_constant,
    find_core,
)
from tinyq.measurement.profile.costs import Costs, Line, add_up, price_layers
from tinyq.measurement.profile.disassembly import disassemble
from tinyq.measurement.profile.loops import find_loops
from tinyq.measurement.profile.result import KernelProfile, LayerProfile, Prediction, Profile
from tinyq.numerics.formats import Codes
from tinyq.targets import open_profiler

if TYPE_CHECKING:
    from tinyq.project import Project

Progress = Callable[[int, int], None]

__all__ = [
    "Costs",
    "KernelProfile",
    "LayerProfile",
    "Prediction",
    "Profile",
    "estimate_layers",
    "predict",
    "profile",
]

_STEPS = 3  # of the progress: build, run, read


def profile(
    project: Project,
    codes: Mapping[str, Codes] | None = None,
    core: str | None = None,
    loops: int = 3,
    progress: Progress | None = None,
) -> Profile:
    """Run one inference in the emulator and say where it spends its instructions.

    A board without an emulator is stood for by an emulated one with the same core, for which the
    same generated sources are built with the board's compiler flags in DIR/emulated.

    Args:
        project: A build folder.
        codes: One input, shape (1, *input shape); random codes, the same each time, when None.
        core: Core whose timings are taken, by its name in cores.yaml; the board's when None.
        loops: Hot loops of each layer, at most.
        progress: Called with the steps done and their number.

    Raises:
        BoardError: No emulated core stands for the board.
        ToolMissing: Emulator, compiler or objdump is not installed.
        TinyqError: The model cannot be built for the emulated board.
    """
    board = project.image.board
    own = find_core(board)
    chosen = core_named(core) if core else own
    if chosen.architecture != own.architecture:
        raise BoardError(
            f"the board has no code that a {chosen.title} runs",
            where=f"board {board.name}",
            remedy=f"leave --core out or take one of the family of {own.name}",
        )
    step = _count_steps(progress)
    image = _find_image(project, own)
    step()
    lines = _run(image, _pack(project.graph, codes), chosen)
    step()
    constant = find_constant(board.name)
    constant = constant if constant and constant.core == chosen.name else None
    found = _describe(project, image, chosen, constant, lines, loops)
    step()
    return found


def estimate_layers(
    image: Image, packed: npt.NDArray[np.uint8], core: Core | None = None
) -> tuple[Costs, ...]:
    """Run one inference in the emulator of an image's board and return the costs of each layer.

    Args:
        image: Firmware of a board with an emulator.
        packed: One packed input, uint8, shape (input bytes,).
        core: Whose timings are taken, see `tinyq.measurement.profile.cores.core_named`; the
            board's when None.

    Returns:
        Counts, exact, and cycles, estimated, of one inference, one entry for each layer.

    Raises:
        BoardError: No timings or classes are known for the board's core.
        LinkError: The board has no emulator, or the device does not answer as it should.
    """
    core = core or find_core(image.board)
    return tuple(add_up(layer, core) for layer in _run(image, packed[None], core))


def predict(costs: Costs, constant: BoardConstant) -> float:
    """Cycles on a board: the core's estimate plus the constant for each data load from flash."""
    return (costs.cycles or 0) + constant.cycles_per_flash_load * costs.flash_loads


def _count_steps(progress: Progress | None) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, _STEPS)

    if progress is not None:
        progress(0, _STEPS)
    return step


def _find_image(project: Project, core: Core) -> Image:
    """The project's firmware, or the same model for the emulated board that stands for its own."""
    board = project.image.board
    if board.qemu_machine or board.simavr_mcu:
        return project.image
    if core.counts_on is None:
        raise BoardError(
            f"no emulator is known for {board.title}",
            where=f"board {board.name}",
            remedy="build for a board with an emulator (`tinyq boards`)",
        )
    if (project.folder / cmsis_nn.NAME).is_dir():
        raise TinyqError(
            "the library that the model was built with is not part of the build folder",
            where=str(project.folder),
            remedy=f"build with it for {core.counts_on}, whose core is the same, and profile that",
        )
    return _build_stand_in(project, replace(find_board(core.counts_on), cflags=board.cflags))


def _build_stand_in(project: Project, board: Board) -> Image:
    from tinyq.project import capacities

    options = replace(capacities(project.graph, board), cflags=project.cflags)
    return build(project.folder / "model", board, project.folder / "emulated", options)


def _pack(graph: Graph, codes: Mapping[str, Codes] | None) -> npt.NDArray[np.uint8]:
    draw = np.random.default_rng(0)
    given = {name: _draw(draw, graph.tensors[name].type) for name in graph.inputs}
    given |= codes or {}
    for name, values in given.items():
        entry = graph.tensors[name].type
        if values.shape != (1, *entry.shape):
            raise DataError(
                f"one input of shape {entry.shape} is needed, not {values.shape}", where="the data"
            )
    return pack_codes(graph, given)


def _draw(draw: np.random.Generator, entry: TensorType) -> Codes:
    """One input of random codes."""
    drawn = draw.integers(entry.format.lo, entry.format.hi + 1, (1, *entry.shape))
    return (drawn - (drawn - entry.format.lo) % entry.format.step).astype(np.int32)


def _run(image: Image, packed: npt.NDArray[np.uint8], core: Core) -> tuple[tuple[Line, ...], ...]:
    link = open_profiler(image)
    try:
        link.infer(packed)
        counts = link.instruction_counts()
    finally:
        link.close()
    if counts is None or counts.runs == 0:
        raise LinkError(
            "the emulator counted no complete inference",
            where=f"board {image.board.name}",
            remedy="profile again",
        )
    return price_layers(disassemble(image), counts.costs, core, len(counts.layers))


def _describe(
    project: Project,
    image: Image,
    core: Core,
    constant: BoardConstant | None,
    lines: Sequence[Sequence[Line]],
    loops: int,
) -> Profile:
    graph = project.graph
    layers = mark_layers(graph, project.plan)
    every = [line for layer in lines for line in layer]
    costs = add_up(every, core)
    return Profile(
        model=graph.name,
        board=project.image.board.name,
        emulated=image.board.name,
        core=core,
        costs=costs,
        prediction=_predict_board(costs, constant, project.image.board),
        clock_hz=project.image.board.clock_hz,
        layers=tuple(
            _describe_layer(graph, nodes, core, constant, layer, loops)
            for nodes, layer in zip(layers, lines, strict=True)
        ),
        kernels=_split_kernels(every, core),
        graph_digest=project.graph_digest,
        firmware_digest=image.firmware_digest,
        toolchain=image.toolchain,
        tinyq_version=tinyq.__version__,
        notes=_notes(project.image.board, image.board, core),
    )


def _describe_layer(
    graph: Graph,
    nodes: Sequence[Node],
    core: Core,
    constant: BoardConstant | None,
    lines: Sequence[Line],
    loops: int,
) -> LayerProfile:
    costs = add_up(lines, core)
    return LayerProfile(
        name=name_nodes(nodes),
        operation=" ".join(node.op.kernel for node in nodes),
        formats=describe_nodes(graph, nodes),
        macs=sum(map(graph.macs, nodes)),
        costs=costs,
        predicted_cycles=None if constant is None else predict(costs, constant),
        kernels=_split_kernels(lines, core),
        loops=find_loops(lines, loops),
    )


def _split_kernels(lines: Sequence[Line], core: Core) -> tuple[KernelProfile, ...]:
    by_function: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_function[line.instruction.function].append(line)
    kernels = [KernelProfile(name, add_up(own, core)) for name, own in by_function.items()]
    return tuple(
        sorted(kernels, key=lambda it: (-(it.costs.cycles or it.costs.instructions), it.function))
    )


def _predict_board(costs: Costs, constant: BoardConstant | None, board: Board) -> Prediction | None:
    if constant is None:
        return None
    return Prediction(
        board=board.name,
        cycles=predict(costs, constant),
        clock_hz=constant.clock_hz,
        error=constant.error,
        source=constant.source,
    )


def _notes(board: Board, emulated: Board, core: Core) -> tuple[str, ...]:
    notes = []
    if board.name != emulated.name:
        notes.append(
            f"counted on {emulated.name}, which runs the same sources built with the flags of "
            f"{board.name}"
        )
    if core.cycles is None:
        notes.append(f"{core.title}: {core.source}")
    return tuple(notes)
