"""Generated C of models made of all quantized layers equals what Keras predicts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.contract.test_layers import make
from tests.harness import compile_models, pack_rows
from tinyq.codegen import emit
from tinyq.graph.reference import dequantize, quantize_input
from tinyq.memory.planner import plan
from tinyq.training.lowering.network import import_keras

SAMPLES = 100
CASES = (
    "conv-int4-uint4",
    "conv-ternary-uint4",
    "conv-dilation",
    "depthwise-binary-binary",
    "conv1d-causal",
    "dense",
    "activation-binary",
    "add-binary",
    "add-planes",
    "input-planes",
    "concatenate",
    "pooling",
    "pooling-planes",
    "joined-planes",
    "global-max",
    "padded-signs",
    "signed-2",
    "signed-3",
    "signed-4",
    "signed-6",
    "signed-clip",
    "signed-offset",
    "signed-offset-2",
)


@pytest.mark.filterwarnings("ignore:image. the model's input has method:tinyq.errors.TinyqWarning")
def test_c_equals_keras(rng):
    graphs, expected, packed = [], [], []
    for number, case in enumerate(CASES):
        model, x = make(case, rng)
        graph = dataclasses.replace(import_keras(model), name=f"case{number}")
        codes = quantize_input(x[:SAMPLES], graph.input.type)
        graphs.append(graph)
        expected.append(model.predict(x[:SAMPLES], batch_size=SAMPLES, verbose=0))
        packed.append(pack_rows(graph.input.type.format.pack(codes), SAMPLES))
    programs = compile_models([emit(graph, plan(graph)) for graph in graphs])
    for case, graph, program, x, wanted in zip(
        CASES, graphs, programs, packed, expected, strict=True
    ):
        output = graph.output.type
        rows = program(x).reshape(SAMPLES, -1, output.format.row_bytes(output.shape[-1]))
        codes = output.format.unpack(rows, output.shape[-1]).reshape(wanted.shape)
        np.testing.assert_array_equal(dequantize(codes, output), wanted, err_msg=case)
