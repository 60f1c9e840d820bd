"""Generated C of models made of all methods equals Keras, on the host and the emulated STM32."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

import tinyq
from tests.contract.test_layers import IMAGE, sloped
from tests.contract.test_methods import CHUNKS, SHAPE, chunk, quantized_chain
from tests.harness import compile_models, pack_rows
from tests.many_graphs import Case, ask_device
from tests.selected import emit_for
from tests.small_models import functional, scramble
from tinyq.codegen import emit
from tinyq.graph import Graph
from tinyq.graph.reference import dequantize, quantize_input
from tinyq.hardware.boards import find_board
from tinyq.memory.planner import plan
from tinyq.selection import prefer_isas
from tinyq.training import calibrate
from tinyq.training.lowering.network import import_keras
from tinyq.training.schedule import advance

SAMPLES = 100
DEVICE_SAMPLES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A trained model as a graph, codes of its inputs, and what Keras infers."""

    graph: Graph
    codes: np.ndarray
    expected: np.ndarray

    def unpack(self, packed):
        """Real outputs from packed ones, in the shape of Keras'."""
        output = self.graph.output.type
        rows = packed.reshape(len(packed), -1, output.format.row_bytes(output.shape[-1]))
        return dequantize(
            output.format.unpack(rows, output.shape[-1]).reshape(-1, *output.shape), output
        )


def finished(model, name, rng):
    """A model at the end of its training, ready for the device."""
    x = rng.normal(0, 1, (SAMPLES, *model.input_shape[1:])).astype(np.float32)
    advance(model, 1.0)
    calibrate(model, x)
    graph = dataclasses.replace(import_keras(model), name=name)
    expected = model.predict(x, batch_size=SAMPLES, verbose=0)
    return Made(graph, quantize_input(x, graph.input.type), expected)


@pytest.fixture(scope="module")
def made(seed):
    rng = np.random.default_rng((seed, 11))
    models = [quantized_chain(chunk(number), rng) for number in CHUNKS]
    slopes = functional(IMAGE, sloped)
    scramble(slopes, rng)
    models.append(tinyq.quantize(slopes, {"weights": "ternary"}))
    assert models[0].input_shape[1:] == SHAPE
    found = [finished(model, f"methods{n}", rng) for n, model in enumerate(models)]
    varying = sum((m.expected != m.expected[:1]).any() for m in found)
    assert varying > len(found) // 2, "outputs that never vary test nothing"
    return found


def test_c_equals_keras(made):
    programs = compile_models([emit(m.graph, plan(m.graph)) for m in made])
    for m, program in zip(made, programs, strict=True):
        packed = pack_rows(m.graph.input.type.format.pack(m.codes), SAMPLES)
        rows = program(packed).reshape(SAMPLES, -1)
        np.testing.assert_array_equal(m.unpack(rows), m.expected, err_msg=m.graph.name)


@pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc")
def test_the_emulated_stm32_equals_keras(made, tmp_path):
    isas = prefer_isas("armv7em")
    cases = []
    for m in made:
        tree = emit_for(m.graph, isas)
        packed = m.graph.input.type.format.pack(m.codes[:DEVICE_SAMPLES])
        room = np.zeros((DEVICE_SAMPLES, m.graph.output.type.packed_bytes), np.uint8)
        cases.append(Case(m.graph, tree, packed.reshape(DEVICE_SAMPLES, -1), room))
    replies = ask_device(cases, find_board("stm32"), tmp_path / "out")
    for m, got in zip(made, replies, strict=True):
        found = m.unpack(np.ascontiguousarray(got))
        wanted = m.expected[:DEVICE_SAMPLES]
        np.testing.assert_array_equal(found, wanted, err_msg=m.graph.name)
