"""Files of one operator, made here: what TensorFlow's converter does not write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

DTYPES = {
    "BOOL": "?",
    "INT8": "i1",
    "UINT8": "u1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FLOAT32": "<f4",
}


@dataclass
class OneOperator:
    """A file in the making; the tensors of `inputs` and `outputs` are those of the model.

    Attributes:
        name: Of the operator, in the schema.
        options: Fields of its options, by their names in the schema.
        version: Of the operator.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)

    def add(self, kind, shape, scale=None, zero=0, data=None) -> int:
        """A tensor that the operator reads; without ``data`` it is an input of the model."""
        index = self._tensor(kind, shape, scale, zero, data)
        self.reads.append(index)
        if data is None:
            self.inputs.append(index)
        return index

    def give(self, kind, shape, scale=None, zero=0) -> int:
        """A tensor that the operator writes."""
        index = self._tensor(kind, shape, scale, zero, None)
        self.writes.append(index)
        return index

    def _tensor(self, kind, shape, scale, zero, data) -> int:
        from tensorflow.lite.python import schema_py_generated as schema

        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.shape, tensor.type = list(shape), getattr(schema.TensorType, kind)
        tensor.name = f"t{len(self.tensors)}".encode()
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale)]
            tensor.quantization.zeroPoint = [int(zero)]
        if data is not None:
            content = np.asarray(data).astype(DTYPES[kind])
            buffer.data = np.frombuffer(content.tobytes(), np.uint8)
        tensor.buffer = len(self.buffers) + 1
        self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def write(self, outputs: list[int] | None = None) -> bytes:
        """The file; all tensors that the operator writes are outputs where none are named."""
        import flatbuffers
        from tensorflow.lite.python import schema_py_generated as schema

        model, graph, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorT()
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, self.name)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version = self.version
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, self.reads, self.writes
        if self.options:
            options = dict(self.options)
            kind = options.pop("kind")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            for name, value in options.items():
                assert hasattr(operator.builtinOptions, name), f"{kind} has no {name}"
                setattr(operator.builtinOptions, name, value)
        graph.tensors, graph.operators = self.tensors, [operator]
        graph.inputs, graph.outputs = self.inputs, outputs or self.writes
        model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
        model.buffers = [schema.BufferT(), *self.buffers]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
