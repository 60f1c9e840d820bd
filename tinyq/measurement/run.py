"""Measure a build folder on a target: accuracy, agreement with the reference, cost.

What comes from the device, what was counted by the emulator and what is known from the ELF file
stay in fields of their own: docs/decisions/0006-measurement.md.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

import tinyq
from tinyq.codegen import marked_nodes
from tinyq.errors import TinyqError
from tinyq.firmware.build import Image
from tinyq.graph import Graph, Node, reference
from tinyq.graph.summary import describe_node, zero_weights
from tinyq.measurement.inputs import encode_inputs
from tinyq.measurement.journal import Bytes, Journal, Run, open_journal
from tinyq.measurement.scoring import Errors, check_answers, score_answers
from tinyq.numerics.formats import Codes
from tinyq.project import MANIFEST, LayerKernel, Project, build_for_host, describe_kernel
from tinyq.support.datasets import Dataset
from tinyq.support.documents import stamp
from tinyq.targets import EMULATORS, Link, open_link
from tinyq.targets.counts import InstructionCounts, LayerCount

Progress = Callable[[int, int], None]

_CHUNK = 32


@dataclass(frozen=True, slots=True)
class LayerMeasurement:
    """Cost of one call of the generated code.

    Attributes:
        name: Node of the graph.
        operation: Kernel name, such as conv2d.
        formats: Formats and shapes of inputs, weights and output, for people.
        macs: Multiply-accumulates, counted from the shapes.
        weight_bytes: Packed constants of the graph.
        kernel: What computes it on the board; None on the host, which has portable kernels alone.
        flash_bytes: Constants as they lie in the board's flash, arranged for that kernel.
        instructions: Mean executed instructions per inference; None where not counted.
        instructions_min: Least over all inferences.
        instructions_max: Most over all inferences.
        cycles: Cycles of one inference by the device's counter; None where it has none.
        zero_weights: Share of the weights that are 0, 0 .. 1; None where there are none.
        zero_inputs: Share of the values of its first input that are 0, over all samples.
    """

    name: str
    operation: str
    formats: str
    macs: int
    weight_bytes: int
    kernel: str | None
    flash_bytes: int | None
    instructions: float | None
    instructions_min: int | None
    instructions_max: int | None
    cycles: int | None
    zero_weights: float | None
    zero_inputs: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run on one target showed.

    Attributes:
        model: Name of the model.
        board: Board that the image was built for.
        target: What it ran on: host, qemu, simavr, serial:PORT.
        samples: Inputs answered by the device.
        accuracy: Of the device's own answers, and of the reference on the same inputs, 0 .. 1;
            None without labels.
        confusion: Samples by label (rows) and the device's answer (columns); None without labels
            or where there are many classes.
        class_accuracy: Share of right answers of the device by label, 0 .. 1; None without labels,
            and for a label that no sample has.
        errors: Distance from real targets, of the device and of the reference; None without.
        mismatches: Output codes, over all samples, in which device and reference differ.
        flash_bytes: Code and constants of the image.
        ram_bytes: Variables and stack reserve of the image.
        arena_bytes: Activations, part of ram_bytes.
        arena_proven: Whether no smaller arena exists.
        stack_bytes: Deepest stack that the device saw, part of ram_bytes; None where unknown.
        instructions: Mean executed instructions per inference; None where not counted.
        cycles: Cycles of one inference by the device's counter; None where it has none.
        clock_hz: Core clock that the device reports; 0 where an emulator has none.
        milliseconds: Of one inference, cycles over clock; None where one of them is unknown.
        resets: Resets of the device that were noticed; their samples were sent again.
        layers: Per call of the generated code.
        graph_digest: SHA-256 of the integer graph.
        firmware_digest: SHA-256 of sources and flags.
        toolchain: Compiler that built the image.
        tinyq_version: Version of this package.
        machine: Operating system and processor of the host.
        data: Where the samples come from; None where that was not said.
        data_digest: SHA-256 of the input codes.
        flash_limit_bytes: Flash of the board; 0 where there is no limit.
        ram_limit_bytes: RAM of the board; 0 where there is no limit.
        notes: What a reader should know, such as inputs that saturate.
    """

    model: str
    board: str
    target: str
    samples: int
    accuracy: dict[str, float] | None
    confusion: tuple[tuple[int, ...], ...] | None
    class_accuracy: tuple[float | None, ...] | None
    errors: dict[str, Errors] | None
    mismatches: int
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    arena_proven: bool
    stack_bytes: int | None
    instructions: float | None
    cycles: int | None
    clock_hz: int
    milliseconds: float | None
    resets: int
    layers: tuple[LayerMeasurement, ...]
    graph_digest: str
    firmware_digest: str
    toolchain: str
    tinyq_version: str
    machine: str
    data: str | None
    data_digest: str
    flash_limit_bytes: int
    ram_limit_bytes: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return stamp("measurement", asdict(self))


def measure(
    project: Project,
    target: str,
    data: Dataset,
    progress: Progress | None = None,
) -> Measurement:
    """Stream a data set through the firmware and compare every output with the reference.

    Answers are kept on disk until the run is complete: an interrupted run resumes where it stopped,
    on any port.

    Args:
        project: What was built.
        target: "host", "qemu", "simavr" or "serial:PORT".
        data: Real inputs and labels.
        progress: Called with samples done and samples in all.

    Raises:
        DataError: The data do not fit the model, or nearly all saturate.
        LinkError: The target cannot be opened, is silent, or runs another firmware.
        TinyqError: Another run measures the same, or the folder is replaced meanwhile.
    """
    check_answers(project.graph, data)
    inputs = encode_inputs(data.x, project.graph.input.type, strict=True)
    watch = _Watch(project)
    image = build_for_host(project) if target == "host" else project.image
    run = _describe_run(project, image, target, inputs.codes)
    packed = pack_codes(project.graph, inputs.codes)
    with open_journal(project.folder, run) as journal:
        with closing(open_link(image, target, counting=target in EMULATORS)) as link:
            answers = _stream(link, packed, journal, _both(watch.check, progress))
            device = _query_device(link, image, packed, answers)
        watch.check()
        result = _describe(project, target, data, inputs.codes, device)
        journal.remove()
    return replace(result, data_digest=run.data_digest, notes=inputs.notes)


@dataclass(frozen=True, slots=True)
class _Device:
    """What runs, what it has answered, and what it or the emulator says after the last answer."""

    image: Image
    answers: Bytes
    stack_bytes: int | None
    cycles: tuple[int, ...] | None
    clock_hz: int
    counts: InstructionCounts | None
    resets: int


def _query_device(link: Link, image: Image, packed: Bytes, answers: Bytes) -> _Device:
    stack_bytes = link.stack_used()
    cycles = link.profile(packed[0])
    clock_hz = link.hello().clock_hz
    counts = link.instruction_counts()
    return _Device(image, answers, stack_bytes, cycles, clock_hz, counts, link.resets)


def _describe_run(project: Project, image: Image, target: str, codes: Codes) -> Run:
    return Run(
        firmware_digest=image.firmware_digest,
        graph_digest=project.graph_digest,
        kind=target.partition(":")[0],
        shape=codes.shape,
        data_digest=hashlib.sha256(np.ascontiguousarray(codes).tobytes()).hexdigest(),
        answer_bytes=project.graph.output.type.packed_bytes,
    )


class _Watch:
    """Notices that the build folder is replaced while it is measured."""

    def __init__(self, project: Project) -> None:
        self._path = project.folder / MANIFEST
        self._first = self._look()

    def check(self) -> None:
        """Raise a TinyqError if the folder is another one than at first."""
        if self._look() != self._first:
            raise TinyqError(
                "the build folder was replaced while it was measured",
                where=str(self._path.parent),
                remedy="measure again when the build has ended",
            )

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns


def _both(check: Callable[[], None], progress: Progress | None) -> Progress:
    def step(done: int, total: int) -> None:
        check()
        if progress is not None:
            progress(done, total)

    return step


def _describe(
    project: Project,
    target: str,
    data: Dataset,
    codes: Codes,
    device: _Device,
) -> Measurement:
    graph, image, counts, cycles = project.graph, device.image, device.counts, device.cycles
    outputs = unpack_codes(graph, device.answers)
    zeros = _Zeros(graph)
    zeros.count(graph.inputs[0], codes)
    expected = reference.run_batched(graph, codes, observe=zeros.count)
    found = score_answers(graph, data, device=outputs, reference=expected)
    return Measurement(
        model=graph.name,
        board=image.board.name,
        target=target,
        samples=len(codes),
        accuracy=found.accuracy,
        confusion=found.confusion,
        class_accuracy=found.class_accuracy,
        errors=found.errors,
        mismatches=int((outputs != expected).sum()),
        flash_bytes=image.flash_bytes,
        ram_bytes=image.ram_bytes,
        arena_bytes=project.plan.arena_bytes,
        arena_proven=project.plan.proven,
        stack_bytes=device.stack_bytes,
        instructions=None
        if counts is None
        else sum(row.total for row in counts.layers) / counts.runs,
        cycles=None if cycles is None else sum(cycles),
        clock_hz=device.clock_hz,
        milliseconds=1e3 * sum(cycles) / device.clock_hz if cycles and device.clock_hz else None,
        resets=device.resets,
        layers=_layers(project, target, counts, cycles, zeros),
        graph_digest=project.graph_digest,
        firmware_digest=image.firmware_digest,
        toolchain=image.toolchain,
        tinyq_version=tinyq.__version__,
        machine=f"{platform.system()} {platform.machine()}",
        data=data.name,
        data_digest="",
        flash_limit_bytes=image.board.flash_bytes,
        ram_limit_bytes=image.board.ram_bytes,
        notes=(),
    )


def pack_codes(graph: Graph, codes: Codes) -> Bytes:
    """Input codes as the device takes them, uint8, shape (samples, input bytes)."""
    packed = graph.input.type.format.pack(codes)
    return packed.reshape(len(codes), -1)


def unpack_codes(graph: Graph, packed: Bytes) -> Codes:
    """Output codes of the bytes that the device sends, one row per sample."""
    output = graph.output.type
    rows = packed.reshape(len(packed), *output.shape[:-1], -1)
    return output.format.unpack(rows, output.shape[-1])


def _stream(link: Link, packed: Bytes, journal: Journal, progress: Progress) -> Bytes:
    # At least one answer comes from this run: counts and stack belong to inferences.
    answers = journal.read()[: len(packed) - 1]
    while len(answers) < len(packed):
        start = len(answers)
        part = link.infer(packed[start : start + _CHUNK])
        journal.write(start, part)
        answers = np.concatenate([answers, part])
        progress(len(answers), len(packed))
    return answers


class _Zeros:
    """How many values of each activation are 0."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._counts: dict[str, tuple[int, int]] = {}

    def count(self, name: str, codes: Codes) -> None:
        """Add the codes of some samples."""
        zeros, values = self._counts.get(name, (0, 0))
        found = int(np.count_nonzero(codes == self._graph.tensors[name].type.zero_point))
        self._counts[name] = (zeros + found, values + codes.size)

    def share(self, node: Node) -> float:
        """Of a node's first input that is no constant, 0 .. 1."""
        name = next((name for name in node.inputs if name in self._counts), "")
        zeros, values = self._counts.get(name, (0, 1))
        return zeros / values


def _layers(
    project: Project,
    target: str,
    counts: InstructionCounts | None,
    cycles: tuple[int, ...] | None,
    zeros: _Zeros,
) -> tuple[LayerMeasurement, ...]:
    kernels = {} if target == "host" else project.chosen
    return tuple(
        _layer(
            project.graph,
            node,
            kernels.get(node.name),
            None if counts is None else (counts.layers[index], counts.runs),
            None if cycles is None else cycles[index],
            zeros.share(node),
        )
        for index, node in enumerate(marked_nodes(project.graph))
    )


def _layer(
    graph: Graph,
    node: Node,
    kernel: LayerKernel | None,
    count: tuple[LayerCount, int] | None,
    cycles: int | None,
    zero_inputs: float,
) -> LayerMeasurement:
    row, runs = count or (None, 0)
    return LayerMeasurement(
        name=node.name,
        operation=node.op.kernel,
        formats=describe_node(graph, node),
        macs=graph.macs(node),
        weight_bytes=graph.constant_bytes(node),
        kernel=None if kernel is None else describe_kernel(kernel.kernel),
        flash_bytes=None if kernel is None else kernel.table_bytes,
        instructions=None if row is None else row.total / runs,
        instructions_min=None if row is None else row.min,
        instructions_max=None if row is None else row.max,
        cycles=cycles,
        zero_weights=zero_weights(graph, node),
        zero_inputs=zero_inputs,
    )
