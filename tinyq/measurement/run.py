"""Measure a build folder on a target: accuracy, agreement with the reference, cost.

What comes from the device, what was counted by the emulator and what is known from the ELF file
stay in fields of their own: docs/decisions/0006-measurement.md.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

import tinyq
from tinyq.codegen import mark_layers, marked_nodes
from tinyq.errors import TinyqError
from tinyq.firmware.build import Image
from tinyq.graph import Graph, Node, reference
from tinyq.graph.interface import pack_codes, packed_bytes, unpack_codes
from tinyq.graph.summary import describe_node, zero_weights
from tinyq.measurement.inputs import NamedInputs, encode_all
from tinyq.measurement.journal import Bytes, Journal, Run, open_journal
from tinyq.measurement.result import LayerMeasurement, Measurement, OutputMeasurement
from tinyq.measurement.scoring import (
    Output,
    Score,
    check_answers,
    list_outputs,
    score_answers,
)
from tinyq.measurement.sequences import Sequences, split_sequences
from tinyq.numerics.formats import Codes
from tinyq.project import MANIFEST, LayerKernel, Project, build_for_host, describe_kernel
from tinyq.support.datasets import Dataset
from tinyq.targets import EMULATORS, Link, open_link
from tinyq.targets.counts import InstructionCounts, LayerCount

Progress = Callable[[int, int], None]

_CHUNK = 32
_BATCH = 64  # sequences that the reference runs at once


def measure(
    project: Project,
    target: str,
    data: Dataset,
    progress: Progress | None = None,
) -> Measurement:
    """Stream a data set through the firmware and compare every output with the reference.

    Answers are kept on disk until the run is complete: an interrupted run resumes where it stopped,
    on any port; with state behind the last whole sequence.

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
    sequences = split_sequences(project.graph, data)
    check_answers(project.graph, sequences.data)
    inputs = encode_all(sequences.data, project.graph, strict=True)
    watch = _Watch(project)
    image = build_for_host(project) if target == "host" else project.image
    run = _describe_run(project, image, target, inputs, sequences)
    packed = pack_codes(project.graph, inputs.codes)
    with open_journal(project.folder, run) as journal:
        with closing(open_link(image, target, counting=target in EMULATORS)) as link:
            answers = _stream(link, packed, sequences, journal, _both(watch.check, progress))
            device = _query_device(link, image, packed, answers)
        watch.check()
        result = _describe(project, target, sequences, inputs, device)
        journal.remove()
    return replace(result, data_digest=run.data_digest, notes=(*sequences.notes, *inputs.notes))


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


def _describe_run(
    project: Project, image: Image, target: str, inputs: NamedInputs, sequences: Sequences
) -> Run:
    graph, digest = project.graph, hashlib.sha256()
    for codes in inputs.codes.values():
        digest.update(np.ascontiguousarray(codes).tobytes())
    shape = next(iter(inputs.codes.values())).shape
    if len(graph.inputs) > 1:
        shape = (inputs.samples, packed_bytes(graph, graph.inputs))
    if graph.states:
        shape = (sequences.count, sequences.steps, *shape[1:])
    return Run(
        firmware_digest=image.firmware_digest,
        graph_digest=project.graph_digest,
        kind=target.partition(":")[0],
        shape=shape,
        data_digest=digest.hexdigest(),
        answer_bytes=sequences.steps * packed_bytes(graph, graph.outputs),
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
    sequences: Sequences,
    inputs: NamedInputs,
    device: _Device,
) -> Measurement:
    graph, image, counts, cycles = project.graph, device.image, device.counts, device.cycles
    answers = unpack_codes(graph, graph.outputs, device.answers)
    zeros = _Zeros(graph)
    for name, codes in inputs.codes.items():
        zeros.count(name, codes)
    expected = _expect(graph, inputs, sequences, zeros.count)
    outputs = tuple(
        _score(output, answers[output.name], expected[output.name], sequences)
        for output in list_outputs(graph, sequences.data)
    )
    found = outputs[0] if len(outputs) == 1 else Score()
    return Measurement(
        model=graph.name,
        board=image.board.name,
        target=target,
        samples=inputs.samples,
        accuracy=found.accuracy,
        confusion=found.confusion,
        class_accuracy=found.class_accuracy,
        errors=found.errors,
        mismatches=sum(output.mismatches for output in outputs),
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
        data=sequences.data.name,
        data_digest="",
        flash_limit_bytes=image.board.flash_bytes,
        ram_limit_bytes=image.board.ram_bytes,
        notes=(),
        outputs=outputs if len(outputs) > 1 else (),
        state_bytes=project.plan.state_bytes,
        steps=sequences.steps if graph.states else None,
    )


def _expect(
    graph: Graph, inputs: NamedInputs, sequences: Sequences, observe: reference.Observer
) -> dict[str, Codes]:
    """What the reference says of every step."""
    if not graph.states:
        return reference.run_named_batched(graph, inputs.codes, observe=observe)
    split, parts = sequences.split(inputs.codes), []
    for start in range(0, sequences.count, _BATCH):
        part = {name: codes[start : start + _BATCH] for name, codes in split.items()}
        parts.append(reference.run_sequences(graph, part, observe))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}
    return {name: codes.reshape(-1, *codes.shape[2:]) for name, codes in joined.items()}


def _score(
    output: Output, device: Codes, expected: Codes, sequences: Sequences
) -> OutputMeasurement:
    scored = map(sequences.take_scored, (device, expected))
    found = score_answers(output, **dict(zip(("device", "reference"), scored, strict=True)))
    return OutputMeasurement(
        name=output.name,
        accuracy=found.accuracy,
        confusion=found.confusion,
        class_accuracy=found.class_accuracy,
        errors=found.errors,
        mismatches=int((device != expected).sum()),
    )


def _stream(
    link: Link, packed: Bytes, sequences: Sequences, journal: Journal, progress: Progress
) -> Bytes:
    """Answers to all steps; the journal has those of a sequence in one record."""
    # At least one answer comes from this run: counts and stack belong to inferences.
    answers = journal.read()[: sequences.count - 1]
    while len(answers) < sequences.count:
        start = len(answers)
        part = _ask(link, packed, start, sequences.steps)
        journal.write(start, part)
        answers = np.concatenate([answers, part])
        progress(len(answers), sequences.count)
    return answers.reshape(len(packed), -1)


def _ask(link: Link, packed: Bytes, start: int, steps: int) -> Bytes:
    """Answers to the next samples, or to the steps of the next sequence in one row."""
    if link.hello().keeps_state:
        answers = link.infer_sequence(packed[start * steps : (start + 1) * steps])
        return answers.reshape(1, -1)
    return link.infer(packed[start : start + _CHUNK])


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
    graph, on_host = project.graph, target == "host"
    kernels = {} if on_host else project.chosen
    alone = ((node,) for node in marked_nodes(graph))
    return tuple(
        _join_layers(
            [
                _layer(
                    graph,
                    node,
                    kernels.get(node.name),
                    None if counts is None else (counts.layers[index], counts.runs),
                    None if cycles is None else cycles[index],
                    zeros.share(node),
                )
                for node in nodes
            ]
        )
        for index, nodes in enumerate(alone if on_host else mark_layers(graph, project.plan))
    )


def _join_layers(layers: Sequence[LayerMeasurement]) -> LayerMeasurement:
    """Layers of a chain, which have one mark, as one."""
    first, last = layers[0], layers[-1]
    if first is last:
        return first
    weighted = [it for it in layers if it.zero_weights is not None]
    weights = sum(it.weight_bytes for it in weighted)
    zeros = sum((it.zero_weights or 0.0) * it.weight_bytes for it in weighted)
    kernels = dict.fromkeys(it.kernel for it in layers if it.kernel)
    return replace(
        first,
        name=f"{first.name}..{last.name}",
        operation=" ".join(it.operation for it in layers),
        formats="; ".join(it.formats for it in layers),
        macs=sum(it.macs for it in layers),
        weight_bytes=sum(it.weight_bytes for it in layers),
        kernel=", ".join(kernels) or None,
        flash_bytes=sum(it.flash_bytes or 0 for it in layers) if kernels else None,
        zero_weights=zeros / weights if weights else None,
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
