"""One operator of an .onnx file: its attributes, its inputs, what an importer refuses it by."""

from __future__ import annotations

from typing import Any

from tinyq.importers.onnx.reader import FileModel, FileNode
from tinyq.importers.refusing import Refusing


class FileLayer(Refusing):
    """What may be asked of an operator, whatever is made of it."""

    def __init__(self, node: FileNode, model: FileModel) -> None:
        self.node = node
        self.model = model

    @property
    def opset(self) -> int:
        """Version of the operators."""
        return self.model.opset

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or ``default`` where the file has none."""
        return self.node.attributes.get(name, default)

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.node.inputs) and self.node.inputs[position] != ""
