"""Turns the records of an .onnx file into a graph."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.cutting import WHOLE, Cut
from tinyq.graph.interface import own_outputs
from tinyq.importers.finishing import check_kernels, name_graph
from tinyq.importers.onnx.arrangement import View
from tinyq.importers.onnx.entry import find_entries
from tinyq.importers.onnx.folding import fold
from tinyq.importers.onnx.layer import HALF_UP, REMEDY, ROUNDINGS, Conversion, Layer
from tinyq.importers.onnx.outputs import finish_output
from tinyq.importers.onnx.reader import FileModel, FileNode, read_model
from tinyq.importers.onnx.registry import find_importers
from tinyq.importers.onnx.tails import cut_file, drop_tails
from tinyq.importers.onnx.values import Coded, Fixed, Open
from tinyq.numerics.formats import FORMATS

_DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulInteger", "ConvInteger")


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A graph and where its tensors are in the file.

    Attributes:
        graph: The graph, before any pass.
        tensors: By names of the graph: the file's tensor of codes, how it lies in the graph's, and
            what the file's codes are more.
        inputs: By names of the file's inputs, what they are in the graph.
        ends: By names of the file's outputs, likewise; without a tail that was left out.
    """

    graph: Graph
    tensors: dict[str, tuple[str, Coded]]
    inputs: dict[str, Coded]
    ends: dict[str, Coded]


def import_onnx(path: Path, rounding: str = HALF_UP, cut: Cut = WHOLE) -> Graph:
    """Read an integer .onnx model: QDQ, QOperator or QCDQ.

    Args:
        path: The file.
        rounding: ``half_up``, tinyq's single rounding; ``tflite``, two roundings; or ``onnx``, the
            codes of onnxruntime's CPU kernels. The rule becomes part of the graph.
        cut: At which tensors of the file the part ends that is read; it begins where the file does.

    Returns:
        A verified graph named after the file. Images have channels last, whatever the file has. A
        float input or output that the file quantizes first or dequantizes last becomes the
        quantized tensor; a last softmax, log-softmax or sigmoid in floating point is left out, and
        so is an argmax behind it, with a warning.

    Raises:
        ToolMissing: onnx is not installed.
        ModelError: The file is damaged, not quantized, or holds an operator, type or shape that is
            not supported; the message names the operator and its index.
    """
    return import_with_places(Path(path), rounding, cut).graph


def import_with_places(path: Path, rounding: str, cut: Cut = WHOLE) -> Imported:
    """Like ``import_onnx``, with what the graph's tensors are in the file."""
    if rounding not in ROUNDINGS:
        raise TinyqError(
            f"there is no rounding rule {rounding!r}", remedy=f"use {' or '.join(ROUNDINGS)}"
        )
    model = cut_file(read_model(path), cut)
    conversion = Conversion(model, rounding)
    nodes, tail = drop_tails(model)
    _check_operators(model, nodes)
    known = _fold_constants(model, nodes, conversion)
    source = _begin(model, nodes, conversion, name_graph(path.stem))
    importers = find_importers()
    tensors: dict[str, tuple[str, Coded]] = {}
    for node in nodes:
        if node.index not in known:
            _convert(importers[node.kind], Layer(node, conversion), tensors)
    wanted = model.outputs if tail.end in model.outputs else (tail.end,)
    ends = {name: finish_output(conversion, nodes, name) for name in wanted}
    if tail.left_out:
        warnings.warn(
            f"{path}: {', '.join(map(str, tail.left_out))} at the end is left out; the outputs "
            "are the codes that it reads",
            stacklevel=3,
        )
    outputs = own_outputs(conversion.builder, [end.name for end in ends.values()])
    graph = conversion.builder.build(*outputs)
    check_kernels(model.path, graph)
    pairs = zip(ends.items(), outputs, strict=True)
    own = {key: replace(end, name=output) for (key, end), output in pairs}
    return Imported(graph, tensors, source, own)


def _check_operators(model: FileModel, nodes: list[FileNode]) -> None:
    known = find_importers()
    unknown = [node for node in nodes if node.kind not in known and not _is_foldable(node)]
    if not unknown:
        return
    names = ", ".join(f"{node.index} {node.kind[:40]}" for node in unknown[:8])
    rest = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
    dynamic = any(node.kind in _DYNAMIC for node in unknown)
    raise ModelError(
        f"unsupported operators: {names}{rest}",
        where=model.path,
        remedy="quantize statically, with calibration data (onnxruntime's quantize_static)"
        if dynamic
        else "export the model up to these operators, and compute them and what follows in the "
        "application; or build it of others (docs/decisions/0029 lists them)",
    )


def _is_foldable(node: FileNode) -> bool:
    from tinyq.importers.onnx.folding import FOLDED

    return node.kind in FOLDED and not node.domain


def _fold_constants(model: FileModel, nodes: list[FileNode], conversion: Conversion) -> set[int]:
    """Compute what depends on constants alone; returns the operators that are done."""
    values = conversion.values
    values.update({name: Fixed(array) for name, array in model.constants.items()})
    done = set()
    for node in nodes:
        inputs = [values.get(name) for name in node.inputs]
        if any(
            name and not isinstance(found, Fixed)
            for name, found in zip(node.inputs, inputs, strict=True)
        ):
            continue
        arrays = [found.array if isinstance(found, Fixed) else None for found in inputs]
        found = fold(model, node, arrays)
        if found is not None:
            conversion.spend(found.size)
            values[node.outputs[0]] = Fixed(found)
            done.add(node.index)
    return done


def _begin(
    model: FileModel, nodes: list[FileNode], conversion: Conversion, name: str
) -> dict[str, Coded]:
    """The graph with its inputs, whose scales are those of their first quantization."""
    found: dict[str, Coded] = {}
    for entry in find_entries(model, nodes, conversion):
        sizes = tuple(entry.shape[axis] for axis in entry.order if axis or entry.shape[axis] > 1)
        view, meaning = View.of(entry.shape, entry.order), entry.meaning
        kind = TensorType(sizes or (1,), FORMATS[meaning.format], meaning.scale, meaning.zero_point)
        single = len(model.inputs) == 1
        label = "input" if single else _label(entry.name, conversion)
        if found:
            conversion.builder.add_input(label, kind)
        else:
            conversion.builder = GraphBuilder.start(name, kind, label)
        conversion.used.add(label)
        coded = Coded(label, view, meaning)
        conversion.values[entry.name] = Open(view, label, meaning) if entry.is_float else coded
        found[entry.name] = coded
    return found


def _label(name: str, conversion: Conversion) -> str:
    """A name of the file as one of the graph."""
    stem = re.sub(r"\W+", "_", name[:60], flags=re.ASCII).strip("_") or "input"
    label, count = stem, 1
    while label in conversion.used:
        count += 1
        label = f"{stem}_{count}"
    return label


def _convert(importer: object, layer: Layer, tensors: dict[str, tuple[str, Coded]]) -> None:
    try:
        importer(layer)  # type: ignore[operator]
    except TinyqError as error:
        place = f"{layer.conversion.model.path}, {layer.node}"
        raise ModelError(error.message, where=place, remedy=error.remedy or REMEDY) from None
    for output in layer.node.outputs:
        value = layer.conversion.values.get(output)
        if output and value is None:
            raise ModelError(
                f"output {output[:60]!r} is not supported",
                where=f"{layer.conversion.model.path}, {layer.node}",
            )
        # A Clip behind a QuantizeLinear gives the codes that the graph has.
        if isinstance(value, Coded) and (value.name not in tensors or layer.node.kind == "Clip"):
            tensors[value.name] = (output, value)
            layer.conversion.origins[value.name] = output
