"""Generated C of models made of all methods equals the reference and Keras."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.contract.test_methods import CHUNKS, SHAPE, chunk, quantized_chain
from tests.harness import compile_models, pack_rows
from tinyq.codegen import emit
from tinyq.importers.keras import import_keras
from tinyq.plan import plan
from tinyq.reference import dequantize, quantize_input
from tinyq.training import calibrate
from tinyq.training.schedule import advance

SAMPLES = 100


def test_c_equals_keras(rng):
    graphs, expected, packed = [], [], []
    for number in CHUNKS:
        model = quantized_chain(chunk(number), rng)
        x = rng.normal(0, 1, (SAMPLES, *SHAPE)).astype(np.float32)
        advance(model, 1.0)
        calibrate(model, x)
        graph = dataclasses.replace(import_keras(model), name=f"methods{number}")
        graphs.append(graph)
        codes = quantize_input(x, graph.input.type)
        packed.append(pack_rows(graph.input.type.format.pack(codes), SAMPLES))
        expected.append(model.predict(x, batch_size=SAMPLES, verbose=0))
    programs = compile_models([emit(graph, plan(graph)) for graph in graphs])
    for number, graph, program, x, wanted in zip(
        CHUNKS, graphs, programs, packed, expected, strict=True
    ):
        output = graph.output.type
        rows = program(x).reshape(SAMPLES, -1, output.format.row_bytes(output.shape[-1]))
        codes = output.format.unpack(rows, output.shape[-1]).reshape(wanted.shape)
        np.testing.assert_array_equal(dequantize(codes, output), wanted, err_msg=str(number))
    varying = sum((wanted != wanted[:1]).any() for wanted in expected)
    assert varying > len(expected) // 2, "outputs that never vary test nothing"
