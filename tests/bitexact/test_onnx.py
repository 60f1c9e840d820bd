"""Drawn ONNX files: the graph gives onnxruntime's codes, and C those of the graph."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.harness import compile_models, differences
from tests.onnx_models import CASES, draw_file
from tests.requirements import require_module
from tinyq.codegen import emit
from tinyq.graph import reference
from tinyq.graph.passes import simplify
from tinyq.memory.planner import plan

require_module("onnx")
require_module("onnxruntime")

from tinyq.importers.onnx.convert import import_with_places  # noqa: E402
from tinyq.importers.onnx.runtime import run_layers  # noqa: E402

FILES, SAMPLES = 4, 20


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def draw_codes(rng, imported):
    graph = imported.graph
    (coded,) = imported.inputs.values()
    shape = (SAMPLES, *graph.input.type.shape)
    return rng.integers(coded.meaning.lo, coded.meaning.hi + 1, shape).astype(np.int32)


@pytest.mark.spread
@pytest.mark.parametrize("name", sorted(CASES))
def test_codes_equal_those_of_onnxruntime(name, rng, tmp_path):
    for index in range(FILES):
        path = draw_file(name, rng, tmp_path / f"{name}_{index}.onnx")
        imported = import_with_places(path, "onnx")
        graph, codes = imported.graph, draw_codes(rng, imported)
        wanted = run_layers(path, imported, {graph.inputs[0]: codes}, inner=False)
        found = reference.run(graph, codes)
        assert np.count_nonzero(found != wanted[graph.outputs[0]]) == 0, path
        assert np.array_equal(reference.run(simplify(graph), codes), found)


@pytest.mark.parametrize("rounding", ["half_up", "tflite", "onnx"])
def test_c_equals_the_reference(rounding, rng, tmp_path):
    """One file of each case, all of them in one program."""
    drawn = []
    for name in sorted(CASES):
        if rounding == "tflite" and name == "few_bits":  # its codes are of 8 and 16 bits
            continue
        imported = import_with_places(draw_file(name, rng, tmp_path / f"{name}.onnx"), rounding)
        drawn.append((simplify(imported.graph), draw_codes(rng, imported)))
    programs = compile_models([emit(graph, plan(graph)) for graph, _ in drawn])
    for (graph, codes), program in zip(drawn, programs, strict=True):
        assert differences(graph, program, codes) == 0, graph.name
