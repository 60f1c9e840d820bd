"""Measure a build folder on a target: accuracy, agreement with the reference, cost.

What comes from the device, what was counted by the emulator and what is known from the ELF file
stay in fields of their own: docs/decisions/0006-measurement.md.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tinyq
from tinyq.codegen import marked_nodes
from tinyq.errors import DataError, LinkError
from tinyq.graph import Graph, Node, reference
from tinyq.graph.summary import describe_node, zero_weights
from tinyq.numerics.formats import Codes
from tinyq.project import LayerKernel, Project, build_for_host, describe_kernel
from tinyq.support.datasets import Dataset
from tinyq.support.documents import SCHEMAS, stamp
from tinyq.targets import EMULATORS, Link, open_link
from tinyq.targets.counts import InstructionCounts, LayerCount

Progress = Callable[[int, int], None]
Bytes = npt.NDArray[np.uint8]

_CHUNK = 32
# An input scaled to 0 .. 255 where 0 .. 1 is meant saturates nearly everywhere.
_SATURATED = 0.5


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
        mismatches: Output codes, over all samples, in which device and reference differ.
        flash_bytes: Code and constants of the image.
        ram_bytes: Variables and stack reserve of the image.
        arena_bytes: Activations, part of ram_bytes.
        arena_proven: Whether no smaller arena exists.
        stack_bytes: Deepest stack that the device saw, part of ram_bytes; None where unknown.
        instructions: Mean executed instructions per inference; None where not counted.
        cycles: Cycles of one inference by the device's counter; None where it has none.
        clock_hz: Core clock that the device reports; 0 where an emulator has none.
        resets: Resets of the device that were noticed; their samples were sent again.
        layers: Per call of the generated code.
        graph_digest: SHA-256 of the integer graph.
        firmware_digest: SHA-256 of sources and flags.
        toolchain: Compiler that built the image.
        tinyq_version: Version of this package.
        machine: Operating system and processor of the host.
        notes: What a reader should know, such as inputs that saturate.
    """

    model: str
    board: str
    target: str
    samples: int
    accuracy: dict[str, float] | None
    mismatches: int
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    arena_proven: bool
    stack_bytes: int | None
    instructions: float | None
    cycles: int | None
    clock_hz: int
    resets: int
    layers: tuple[LayerMeasurement, ...]
    graph_digest: str
    firmware_digest: str
    toolchain: str
    tinyq_version: str
    machine: str
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
        DataError: The data do not fit the model.
        LinkError: The target cannot be opened, is silent, or runs another firmware.
    """
    codes = reference.quantize_input(data.x, project.graph.input.type)
    image = build_for_host(project) if target == "host" else project.image
    journal = _Journal(project, target, codes)
    packed = pack_codes(project.graph, codes)
    counting = target in EMULATORS
    with journal.explaining(), closing(open_link(image, target, counting=counting)) as link:
        answers = _stream(link, packed, journal, progress)
        stack_bytes = link.stack_used()
        cycles = link.profile(packed[0])
        info = link.hello()
        counts = link.instruction_counts()
    outputs = unpack_codes(project.graph, answers)
    zeros = _Zeros(project.graph)
    zeros.count(project.graph.inputs[0], codes)
    expected = reference.run_batched(project.graph, codes, observe=zeros.count)
    journal.remove()
    return Measurement(
        model=project.graph.name,
        board=image.board.name,
        target=target,
        samples=len(codes),
        accuracy=_accuracies(project.graph, data.y, device=outputs, reference=expected),
        mismatches=int((outputs != expected).sum()),
        flash_bytes=image.flash_bytes,
        ram_bytes=image.ram_bytes,
        arena_bytes=project.plan.arena_bytes,
        arena_proven=project.plan.proven,
        stack_bytes=stack_bytes,
        instructions=None
        if counts is None
        else sum(row.total for row in counts.layers) / counts.runs,
        cycles=None if cycles is None else sum(cycles),
        clock_hz=info.clock_hz,
        resets=link.resets,
        layers=_layers(project, target, counts, cycles, zeros),
        graph_digest=project.graph_digest,
        firmware_digest=image.firmware_digest,
        toolchain=image.toolchain,
        tinyq_version=tinyq.__version__,
        machine=f"{platform.system()} {platform.machine()}",
        notes=_notes(project.graph, codes),
    )


def predict_classes(graph: Graph, outputs: Codes) -> npt.NDArray[np.int64]:
    """Class of each output: the largest code, what argmax gave, or the sign of one value."""
    flat = outputs.reshape(len(outputs), -1)
    if flat.shape[1] > 1:
        return np.asarray(flat.argmax(axis=1), np.int64)
    if graph.output.type.scale is None:
        return flat[:, 0].astype(np.int64)
    return (flat[:, 0] > graph.output.type.zero_point).astype(np.int64)


def score(graph: Graph, outputs: Codes, labels: npt.NDArray[np.int64]) -> float:
    """Share of samples whose class is the label's, 0 .. 1."""
    return float((predict_classes(graph, outputs) == labels).mean())


def _accuracies(
    graph: Graph, labels: npt.NDArray[np.int64] | None, **outputs: Codes
) -> dict[str, float] | None:
    if labels is None:
        return None
    return {name: score(graph, codes, labels) for name, codes in outputs.items()}


def pack_codes(graph: Graph, codes: Codes) -> Bytes:
    """Input codes as the device takes them, uint8, shape (samples, input bytes)."""
    packed = graph.input.type.format.pack(codes)
    return packed.reshape(len(codes), -1)


def unpack_codes(graph: Graph, packed: Bytes) -> Codes:
    """Output codes of the bytes that the device sends, one row per sample."""
    output = graph.output.type
    rows = packed.reshape(len(packed), *output.shape[:-1], -1)
    return output.format.unpack(rows, output.shape[-1])


def _stream(link: Link, packed: Bytes, journal: _Journal, progress: Progress | None) -> Bytes:
    # At least one answer comes from this run: counts and stack belong to inferences.
    answers = journal.read()[: len(packed) - 1]
    while len(answers) < len(packed):
        start = len(answers)
        part = link.infer(packed[start : start + _CHUNK])
        journal.write(start, part)
        answers = np.concatenate([answers, part])
        if progress is not None:
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


def _notes(graph: Graph, codes: Codes) -> tuple[str, ...]:
    number_format = graph.input.type.format
    ends = (codes == number_format.lo) | (codes == number_format.hi)
    share = float(ends.mean())
    if (
        number_format.bits >= 4
        and share > _SATURATED
        and float((codes == codes.max()).mean()) > share / 2
    ):
        return (
            f"{share:.0%} of the input codes are at the end of the range: is the data scaled as in "
            "training?",
        )
    return ()


class _Journal:
    """Answers of an unfinished run, one file per firmware, kind of target and data.

    The answer to sample i stands at i times its size, so that none is there twice.
    """

    def __init__(self, project: Project, target: str, codes: Codes) -> None:
        output_bytes = project.graph.output.type.packed_bytes
        kind, _, _ = target.partition(":")  # a board that is plugged again may have another port
        key = hashlib.sha256(
            json.dumps(
                [SCHEMAS["journal"], project.image.firmware_digest, kind, codes.shape]
            ).encode()
            + np.ascontiguousarray(codes).tobytes()
        ).hexdigest()
        self._output_bytes = output_bytes
        self._limit = len(codes)
        self._path: Path = project.folder / f"measure-{key[:16]}.partial"

    def read(self) -> Bytes:
        """Complete answers so far, uint8, shape (n, output_bytes)."""
        content = self._path.read_bytes() if self._path.is_file() else b""
        whole = min(len(content) // self._output_bytes, self._limit)
        kept = content[: whole * self._output_bytes]
        return np.frombuffer(kept, np.uint8).reshape(whole, self._output_bytes)

    def write(self, start: int, answers: Bytes) -> None:
        """Put answers in the place of samples `start` and following, and forget what was behind."""
        try:
            with self._path.open("r+b" if self._path.is_file() else "w+b") as file:
                file.seek(start * self._output_bytes)
                file.write(np.ascontiguousarray(answers).tobytes())
                file.truncate()
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", where=str(self._path)) from None

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Let a link's error say how many answers are kept for the next run."""
        try:
            yield
        except LinkError as error:
            kept = len(self.read())
            if not kept:
                raise
            note = f"the answers to {kept} of {self._limit} samples are kept, the next run goes on"
            remedy = f"{error.remedy}; {note}" if error.remedy else note
            raise LinkError(error.message, where=error.where, remedy=remedy) from None

    def remove(self) -> None:
        """Forget the run: it is complete."""
        self._path.unlink(missing_ok=True)
