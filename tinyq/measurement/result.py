"""What a measurement gives: figures of the whole, of each output and of each layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tinyq.measurement.scoring import Errors
from tinyq.support.documents import stamp


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
class OutputMeasurement:
    """What one of several outputs showed; fields as of `Measurement`."""

    name: str
    accuracy: dict[str, float] | None
    confusion: tuple[tuple[int, ...], ...] | None
    class_accuracy: tuple[float | None, ...] | None
    errors: dict[str, Errors] | None
    mismatches: int


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
        mismatches: Output codes, over all samples and outputs, in which device and reference
            differ.
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
        outputs: Each output of a model that has several, of which the fields from ``accuracy`` to
            ``errors`` say nothing then; empty for a model with one.
        state_bytes: What is kept from one step to the next, part of ram_bytes.
        steps: Of each sequence of a model that keeps state; samples are all of them. None without.
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
    outputs: tuple[OutputMeasurement, ...] = ()
    state_bytes: int = 0
    steps: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return stamp("measurement", asdict(self))
