"""What a file computes in floating point behind its last codes."""

from __future__ import annotations

from dataclasses import dataclass

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
