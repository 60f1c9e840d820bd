"""One operator of a .tflite file: its options, its tensors, what an importer refuses it by."""

from __future__ import annotations

from typing import Any

from tinyq.importers.refusing import Refusing
from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor


class FileLayer(Refusing):
    """What may be asked of an operator, whatever is made of it."""

    def __init__(self, operator: FileOperator, model: FileModel) -> None:
        self.operator = operator
        self.model = model

    def name(self, suffix: str = "") -> str:
        """Name for what is made of this operator."""
        base = f"{self.operator.name.removeprefix('CUSTOM:').lower()}_{self.operator.index}"
        return f"{base}_{suffix}" if suffix else base

    def option(self, name: str, default: Any) -> Any:
        """An option of the operator, or ``default`` where the file has none."""
        return self.operator.options.get(name, default)

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        inputs = self.operator.inputs
        return position < len(inputs) and inputs[position] >= 0

    def source(self, position: int = 0) -> FileTensor:
        """File tensor of an input."""
        self.require(self.has(position), f"input {position} is missing")
        return self.model.tensors[self.operator.inputs[position]]

    def result(self, position: int = 0) -> FileTensor:
        """File tensor of an output."""
        outputs = self.operator.outputs
        self.require(position < len(outputs), f"output {position} is missing")
        return self.model.tensors[outputs[position]]
