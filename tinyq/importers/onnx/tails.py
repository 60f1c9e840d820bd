"""Where a file ends: at named tensors, or before what it computes in floating point at last."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinyq.errors import ModelError
from tinyq.graph.cutting import Cut
from tinyq.importers.onnx.reader import FileModel, FileNode

# Rising functions of all values: in floating point at the end they say no more than their inputs.
_TAILS = ("LogSoftmax", "Sigmoid", "Softmax")
_NOTHING = ("Identity",)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file.

    Attributes:
        end: The tensor that is the output without the tail.
        left_out: Operators that are not imported.
    """

    end: str
    left_out: tuple[FileNode, ...]


def cut_file(model: FileModel, cut: Cut) -> FileModel:
    """The part of a file that computes tensors of it, which become its outputs.

    Raises:
        ModelError: There is no such tensor, or the part should begin inside of the file.
    """
    if not cut:
        return model
    if cut.inputs:
        raise ModelError(
            "an .onnx file is cut at outputs alone",
            where=model.path,
            remedy="leave --inputs out, or extract the part by onnx.utils.extract_model",
        )
    makers = {name: node for node in model.nodes for name in node.outputs if name}
    missing = [name for name in cut.outputs if name not in makers]
    if missing:
        raise ModelError(
            f"no operator computes a tensor {missing[0][:60]!r}",
            where=model.path,
            remedy="name tensors of the file; netron shows them",
        )
    needed, open_names = set[int](), [*cut.outputs]
    while open_names:
        node = makers.get(open_names.pop())
        if node is not None and node.index not in needed:
            needed.add(node.index)
            open_names += node.inputs
    kept = tuple(node for node in model.nodes if node.index in needed)
    read = {name for node in kept for name in node.inputs}
    inputs = tuple(source for source in model.inputs if source.name in read)
    return replace(model, nodes=kept, inputs=inputs, outputs=cut.outputs)


def drop_tails(model: FileModel) -> tuple[list[FileNode], Tail]:
    """Operators without the rising function that a file ends in, if it ends in one."""
    makers = {name: node for node in model.nodes for name in node.outputs}
    end, dropped, found = model.outputs[0], [], []
    while (node := makers.get(end)) is not None and node.kind in _TAILS + _NOTHING:
        dropped.append(node)
        end = node.inputs[0] if node.inputs else ""
        if node.kind in _TAILS:
            found.append(node)
            break
    if not found or len(model.outputs) > 1:
        return list(model.nodes), Tail(model.outputs[0], ())
    readers = [node for node in model.nodes if end in node.inputs and node not in dropped]
    if readers or end not in makers:
        return list(model.nodes), Tail(model.outputs[0], ())
    kept = [node for node in model.nodes if node not in dropped]
    return kept, Tail(end, tuple(found))
