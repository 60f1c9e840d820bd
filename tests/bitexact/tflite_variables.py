"""Files with variables, made here, as streaming networks have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.bitexact.one_operator import DTYPES


@dataclass
class Subgraph:
    """A subgraph in the making: tensors and operators in execution order."""

    file: File
    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(self, kind, shape, data=None, scale=0.5, zero=3) -> int:
        schema = self.file.schema
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), getattr(schema.TensorType, kind)
        tensor.name = f"t{len(self.tensors)}".encode()
        tensor.buffer = self.file.store(kind, data)
        if kind in ("INT8", "INT16", "UINT8"):
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [scale]
            tensor.quantization.zeroPoint = [zero if kind != "INT16" else 0]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def apply(self, name, reads, writes, kind=None, **options) -> None:
        schema = self.file.schema
        operator = schema.OperatorT()
        operator.opcodeIndex = self.file.code(name)
        operator.inputs, operator.outputs = list(reads), list(writes)
        if kind:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                assert hasattr(operator.builtinOptions, key), key
                setattr(operator.builtinOptions, key, value)
        self.operators.append(operator)

    def handle(self, name) -> int:
        place = self.tensor("RESOURCE", ())
        self.apply("VAR_HANDLE", [], [place], "VarHandleOptions", container=b"", sharedName=name)
        return place

    def read(self, handle, kind, shape, **meaning) -> int:
        place = self.tensor(kind, shape, **meaning)
        self.apply("READ_VARIABLE", [handle], [place], "ReadVariableOptions")
        return place

    def assign(self, handle, value) -> None:
        self.apply("ASSIGN_VARIABLE", [handle, value], [], "AssignVariableOptions")

    def join(self, reads, kind, shape, axis=1, **meaning) -> int:
        place = self.tensor(kind, shape, **meaning)
        self.apply("CONCATENATION", reads, [place], "ConcatenationOptions", axis=axis)
        return place

    def last(self, source, kind, shape, dropped) -> int:
        """The columns behind the first ``dropped`` ones."""
        rank = len(shape)
        begin = [0, dropped, *[0] * (rank - 2)]
        ends = [size + start for size, start in zip(shape, begin, strict=True)]
        vectors = [self.tensor("INT32", (rank,), np.array(it)) for it in (begin, ends, [1] * rank)]
        place = self.tensor(kind, shape)
        self.apply("STRIDED_SLICE", [source, *vectors], [place], "StridedSliceOptions")
        return place


class File:
    """A file of a main subgraph, which calls the second one once."""

    def __init__(self, calls: bool = True) -> None:
        from tensorflow.lite.python import schema_py_generated as schema

        self.schema = schema
        self.buffers = [schema.BufferT()]
        self.names: list[str] = []
        self.main, self.start = Subgraph(self), Subgraph(self)
        if calls:
            self.main.apply("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)

    def store(self, kind, data) -> int:
        if data is None:
            return 0
        buffer = self.schema.BufferT()
        content = np.asarray(data).astype(DTYPES[kind]).tobytes()
        buffer.data = np.frombuffer(content, np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def code(self, name) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def begin(self, name, kind, shape, codes, **meaning) -> None:
        """What a variable holds before the first inference."""
        handle = self.start.handle(name)
        data = np.broadcast_to(codes, shape)
        self.start.assign(handle, self.start.tensor(kind, shape, data, **meaning))

    def write(self) -> bytes:
        import flatbuffers

        schema, model = self.schema, self.schema.ModelT()
        model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, self.buffers, [], []
        for name in self.names:
            code = schema.OperatorCodeT()
            kind, _, custom = name.partition(":")
            code.customCode = custom.encode() or None
            number = getattr(schema.BuiltinOperator, kind)
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            code.version = 1 if name != "CONCATENATION" else 2
            model.operatorCodes.append(code)
        for part in (self.main, self.start):
            graph = schema.SubGraphT()
            graph.tensors, graph.operators = part.tensors, part.operators
            graph.inputs, graph.outputs = part.inputs, part.outputs
            graph.name = b"main" if part is self.main else b"start"
            model.subgraphs.append(graph)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
