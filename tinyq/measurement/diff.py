"""The first layer at which two executions of a model differ.

An execution is a model and a place, written ``PATH@PLACE``:

    model.tflite@litert      LiteRT's reference kernels
    model.onnx@onnxruntime   onnxruntime's CPU kernels
    model.keras@reference    tinyq's reference in NumPy
    model.tqg@c              the generated C as a program on this machine
    out@qemu                 the firmware of a build folder in an emulator
    out@serial:/dev/ttyACM0  the same on a board
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinyq.codegen import marked_nodes
from tinyq.errors import DataError, ModelError, TinyqError
from tinyq.firmware.cmsis_nn import ISA
from tinyq.graph import Graph, reference
from tinyq.graph.cutting import WHOLE, Cut
from tinyq.graph.interface import pack_codes, unpack_codes
from tinyq.graph.passes.drop_dead_nodes import drop_dead_nodes
from tinyq.hardware.boards import Board, find_board
from tinyq.measurement.difference import Difference, describe_difference
from tinyq.measurement.inputs import encode_all
from tinyq.measurement.places import choose_target
from tinyq.measurement.sequences import split_sequences
from tinyq.models import HALF_UP, ONNX, TFLITE, load_model
from tinyq.numerics.formats import Codes
from tinyq.project import (
    MANIFEST,
    Project,
    Selection,
    build_for_host,
    create_project,
    open_project,
    repeat_kernels,
)
from tinyq.support.datasets import Dataset, make_dataset
from tinyq.targets import Link, open_link

PLACES = ("reference", "c", "litert", "onnxruntime")
_OWN = {".tflite": "litert", ".onnx": "onnxruntime"}  # places that run a file as it is
_RULES = {".tflite": TFLITE, ".onnx": ONNX}

Batch = tuple[Codes, ...]
"""Codes of each input of a graph, in its order; of a graph with state (sequences, steps, ...)."""
Answer = Callable[[Sequence[str], Batch], Mapping[str, Codes]]


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """A model at a place.

    Attributes:
        name: What the user wrote, with the place.
        graph: The integer graph, whose tensor names are those of the layers.
        layers: Tensors whose codes can be asked for, in execution order, the outputs last.
        answer: Codes of some of these tensors for a batch of input codes, of all steps of all
            sequences one behind the other.
        whole: Whether one answer with all layers costs no more than one with the last.
    """

    name: str
    graph: Graph
    layers: tuple[str, ...]
    answer: Answer
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison of two executions showed.

    Attributes:
        first: Name of the first execution.
        second: Name of the second execution.
        samples: Inputs that both answered.
        compared: Layers compared, in order, up to the first that differs.
        difference: What differs there; None where nothing does.
        output_equal: Whether all outputs are equal all the same.
    """

    first: str
    second: str
    samples: int
    compared: tuple[str, ...]
    difference: Difference | None
    output_equal: bool


def open_execution(
    text: str, rounding: str | None = HALF_UP, trust: bool = False, cut: Cut = WHOLE
) -> Execution:
    """Read ``PATH`` or ``PATH@PLACE``.

    Without a place, a .tflite file runs in LiteRT, an .onnx file in onnxruntime, another model in
    the reference, and a build folder in the emulator of its board.

    Args:
        text: What to run where.
        rounding: Rule by which tinyq reads a .tflite or .onnx file; None for its own, tflite or
            onnx.
        trust: Whether the author of a SavedModel, which is a program, is trusted.
        cut: The part of a model file; a build folder is what it was built of.

    Raises:
        TinyqError: There is no such model or place, or they do not go together.
    """
    head, separator, place = text.rpartition("@")
    path = Path(head if separator else text)
    if (path / MANIFEST).is_file():
        return _open_project(path, place if separator else "")
    suffix = path.suffix.lower()
    place = place if separator else _OWN.get(suffix, "reference")
    if place not in PLACES:
        raise TinyqError(
            f"a model file does not run on {place!r}",
            where=text,
            remedy=f"use {', '.join(PLACES)}, or name a build folder",
        )
    rounding = _RULES.get(suffix, HALF_UP) if rounding is None or suffix not in _OWN else rounding
    if place == "litert":
        return _open_litert(path, rounding, suffix == ".tflite", cut)
    if place == "onnxruntime":
        return _open_onnxruntime(path, rounding, cut)
    graph = load_model(path, rounding, trust, cut)
    name = f"{path}@{place}"
    if place == "reference":
        return execute_reference(graph, name)
    return Execution(name, graph, _layers(graph), _built_answer(graph, find_board("host"), "host"))


def execute_reference(graph: Graph, name: str | None = None) -> Execution:
    """A graph in the reference interpreter.

    Args:
        graph: The graph.
        name: What the user calls it; by its own name when None.
    """
    name = name or f"{graph.name}@reference"
    return Execution(name, graph, _layers(graph), _reference_answer(graph), whole=True)


def compare(first: Execution, second: Execution, data: Dataset | npt.ArrayLike) -> Comparison:
    """Compare two executions of a model layer by layer.

    The outputs come first. A built model is cut and built again for each of its layers, so these
    are asked for only where the outputs differ, one after the other; the reference and LiteRT are
    compared layer by layer in any case. Compared are the layers that both graphs have by the same
    name, shape and format; inputs and outputs belong together by their place.

    Args:
        first: One execution.
        second: Another one.
        data: Real inputs: of a model with one input an array, shape (samples, ...), and with
            state (sequences, steps, ...).

    Raises:
        DataError: The data do not fit, or the executions take different inputs.
    """
    _check_alike(first, second)
    given = data if isinstance(data, Dataset) else make_dataset(data)
    sequences = split_sequences(first.graph, given)
    samples = sequences.data
    encoded = encode_all(samples, first.graph).codes
    codes = tuple((sequences.split(encoded) if first.graph.states else encoded).values())
    ends = (first.graph.outputs, second.graph.outputs)
    found = [
        execution.answer(names, codes)
        for execution, names in zip((first, second), ends, strict=True)
    ]
    outputs = [(name, found[0][name], found[1][other]) for name, other in zip(*ends, strict=True)]
    differing = [it for it in outputs if not np.array_equal(it[1], it[2])]
    compared: list[str] = []
    difference = None
    if differing or (first.whole and second.whole):
        compared, difference = _compare_layers(first, second, codes)
    if difference is None:
        compared += [name for name in ends[0] if name not in compared]
    if difference is None and differing:
        difference = describe_difference(first.graph, *differing[0])
        compared = compared[: compared.index(difference.layer) + 1]
    return Comparison(
        first.name, second.name, len(samples), tuple(compared), difference, not differing
    )


def _check_alike(first: Execution, second: Execution) -> None:
    """Refuse executions of different inputs or outputs."""
    where = f"{first.name}, {second.name}"
    remedy = "compare executions of one model"
    if bool(first.graph.states) != bool(second.graph.states):
        raise DataError("one of them keeps state, the other does not", where=where, remedy=remedy)
    types = [
        [
            [it.graph.tensors[name].type for name in names]
            for names in (it.graph.inputs, it.graph.outputs)
        ]
        for it in (first, second)
    ]
    if types[0][0] != types[1][0]:
        sides = [", ".join(map(str, side[0])) for side in types]
        raise DataError(
            f"the inputs differ: {sides[0]} and {sides[1]}, or scales", where=where, remedy=remedy
        )
    shapes = [[it.shape for it in side[1]] for side in types]
    if shapes[0] != shapes[1]:
        texts = [", ".join(map(str, side)) for side in shapes]
        raise ModelError(
            f"the outputs have shapes {texts[0]} and {texts[1]}", where=where, remedy=remedy
        )


def _compare_layers(
    first: Execution, second: Execution, inputs: Batch
) -> tuple[list[str], Difference | None]:
    """Layers compared, up to the first that differs, and how it does."""
    common = [name for name in first.layers if _comparable(first, second, name)]
    known = [it.answer(common, inputs) if it.whole else {} for it in (first, second)]
    for index, name in enumerate(common):
        pair = [
            codes[name] if name in codes else execution.answer([name], inputs)[name]
            for execution, codes in zip((first, second), known, strict=True)
        ]
        if not np.array_equal(pair[0], pair[1]):
            return common[: index + 1], describe_difference(first.graph, name, *pair)
    return common, None


def cut(graph: Graph, layer: str) -> Graph:
    """The part of a graph that computes one of its tensors, which becomes the output."""
    return drop_dead_nodes(replace(graph, outputs=(layer,)))


def _comparable(first: Execution, second: Execution, name: str) -> bool:
    if name not in second.layers:
        return False
    types = [execution.graph.tensors[name].type for execution in (first, second)]
    return types[0].shape == types[1].shape and types[0].format == types[1].format


def _layers(graph: Graph) -> tuple[str, ...]:
    names = [node.output for node in marked_nodes(graph) if node.output not in graph.outputs]
    return (*names, *graph.outputs)


def _reference_answer(graph: Graph) -> Answer:
    def answer(layers: Sequence[str], inputs: Batch) -> Mapping[str, Codes]:
        parts: dict[str, list[Codes]] = {name: [] for name in layers}

        def observe(name: str, codes: Codes) -> None:
            if name in parts:
                parts[name].append(codes)

        named = dict(zip(graph.inputs, inputs, strict=True))
        if not graph.states:
            reference.run_named_batched(graph, named, observe=observe)
            return {name: np.concatenate(codes) for name, codes in parts.items()}
        reference.run_sequences(graph, named, observe)
        stacked = {name: np.stack(codes, axis=1) for name, codes in parts.items()}
        return {name: codes.reshape(-1, *codes.shape[2:]) for name, codes in stacked.items()}

    return answer


def _open_litert(path: Path, rounding: str, is_tflite: bool, cut: Cut) -> Execution:
    from tinyq.importers.tflite import import_tflite
    from tinyq.importers.tflite.litert import map_layers, run_layers

    if not is_tflite:
        raise TinyqError(
            "LiteRT runs .tflite files alone", where=str(path), remedy="use reference or c"
        )
    graph = import_tflite(path, rounding, cut)
    known: dict[bytes, Mapping[str, Codes]] = {}

    def answer(layers: Sequence[str], inputs: Batch) -> Mapping[str, Codes]:
        key = b"".join(codes.tobytes() for codes in inputs)
        if key not in known:
            named = dict(zip(graph.inputs, inputs, strict=True))
            known[key] = run_layers(path, graph, named, cut)
        return {name: known[key][name] for name in layers}

    names = [name for name in map_layers(path, graph, cut) if name not in graph.outputs]
    return Execution(f"{path}@litert", graph, (*names, *graph.outputs), answer, whole=True)


def _open_onnxruntime(path: Path, rounding: str, cut: Cut) -> Execution:
    from tinyq.importers.onnx.convert import import_with_places
    from tinyq.importers.onnx.runtime import list_layers, run_layers

    if path.suffix.lower() != ".onnx":
        raise TinyqError(
            "onnxruntime runs .onnx files alone", where=str(path), remedy="use reference or c"
        )
    imported = import_with_places(path, rounding, cut)
    graph, known = imported.graph, dict[tuple[bool, bytes], Mapping[str, Codes]]()

    def answer(layers: Sequence[str], inputs: Batch) -> Mapping[str, Codes]:
        inner = not {*layers}.issubset(graph.outputs)
        key = (inner, b"".join(codes.tobytes() for codes in inputs))
        if key not in known:
            named = dict(zip(graph.inputs, inputs, strict=True))
            known[key] = run_layers(path, imported, named, inner=inner)
        return {name: known[key][name] for name in layers}

    return Execution(f"{path}@onnxruntime", graph, list_layers(imported), answer)


def _open_project(folder: Path, place: str) -> Execution:
    project = open_project(folder)
    graph, board = project.graph, project.image.board
    place = place or choose_target(board)
    name = f"{folder}@{place}"
    if place == "reference":
        return execute_reference(graph, name)
    if place in ("c", "host"):
        board, place = find_board("host"), "host"
    whole = _project_answer(project, place)
    # A board keeps its firmware, and a foreign library is known to its build folder alone.
    if place.startswith("serial") or (ISA in project.isas and place != "host"):
        return Execution(name, graph, graph.outputs, whole)
    kernels = None if place == "host" else repeat_kernels(project)
    parts = _built_answer(graph, board, place, kernels)

    def answer(layers: Sequence[str], inputs: Batch) -> Mapping[str, Codes]:
        inner = [layer for layer in layers if layer not in graph.outputs]
        outer = [layer for layer in layers if layer in graph.outputs]
        found = dict(parts(inner, inputs))
        return found | dict(whole(outer, inputs) if outer else {})

    return Execution(name, graph, _layers(graph), answer)


def _project_answer(project: Project, place: str) -> Answer:
    """The outputs of a project that is built."""
    graph = project.graph

    def answer(layers: Sequence[str], inputs: Batch) -> Mapping[str, Codes]:
        image = build_for_host(project) if place == "host" else project.image
        link = open_link(image, place)
        try:
            packed = _infer(link, graph, inputs)
        finally:
            link.close()
        found = unpack_codes(graph, graph.outputs, packed)
        return {layer: found[layer] for layer in layers}

    return answer


def _infer(link: Link, graph: Graph, inputs: Batch) -> npt.NDArray[np.uint8]:
    """Packed outputs of all samples, or of all steps of all sequences."""
    named = dict(zip(graph.inputs, inputs, strict=True))
    if not graph.states:
        return link.infer(pack_codes(graph, named))
    return np.concatenate(
        [
            link.infer_sequence(pack_codes(graph, {key: it[index] for key, it in named.items()}))
            for index in range(len(inputs[0]))
        ]
    )


def _built_answer(
    graph: Graph, board: Board, place: str, kernels: Selection | None = None
) -> Answer:
    """Layers of generated C: the graph is cut behind each and built by itself."""

    def answer(layers: Sequence[str], inputs: Batch) -> Mapping[str, Codes]:
        found = {}
        for layer in layers:
            with tempfile.TemporaryDirectory(prefix="tinyq-diff-") as scratch:
                part = cut(graph, layer)
                project = create_project(part, board, Path(scratch) / "part", kernels=kernels)
                found[layer] = _project_answer(project, place)([layer], inputs)[layer]
        return found

    return answer
