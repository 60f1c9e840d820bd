"""Random graphs of several inputs and outputs: passes, files, generated C and devices agree."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.harness import SanitizerError, compile_models, named_differences, read_ports
from tests.random_graphs import draw_all_inputs, draw_network, networks
from tinyq.codegen import emit
from tinyq.graph.interface import label_ports, pack_codes, packed_bytes, unpack_codes
from tinyq.graph.passes import PIPELINE
from tinyq.graph.reference import run_named, run_named_batched
from tinyq.graph.storage import digest, load_graph, save_graph
from tinyq.memory.planner import plan

GRAPHS = int(os.environ.get("TINYQ_FUZZ_GRAPHS", "100"))
COMPILERS = {
    "gcc": ("-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "clang": ("-O2",),
}


@given(networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(100))
def test_every_pass_keeps_the_inputs_the_outputs_and_their_codes(graph, seed):
    inputs = draw_all_inputs(np.random.default_rng(seed), graph, 3)
    expected = run_named(graph, inputs)
    changed = graph
    for transform in PIPELINE:
        changed = transform(changed)
        changed.verify()
        assert changed.inputs == graph.inputs
        # The only output may be computed under another name, one of several is known by its own.
        assert len(graph.outputs) == 1 or changed.outputs == graph.outputs
        got = run_named(changed, inputs)
        for one, other in zip(expected.values(), got.values(), strict=True):
            np.testing.assert_array_equal(one, other)


@given(networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(50))
def test_codes_are_packed_one_behind_the_other_and_taken_apart(graph, seed):
    inputs = draw_all_inputs(np.random.default_rng(seed), graph, 3)
    packed = pack_codes(graph, inputs)
    assert packed.shape == (3, packed_bytes(graph, graph.inputs))
    for name, codes in unpack_codes(graph, graph.inputs, packed).items():
        np.testing.assert_array_equal(codes, inputs[name])
    batched = run_named_batched(graph, inputs, batch=2)
    for name, codes in run_named(graph, inputs).items():
        np.testing.assert_array_equal(codes, batched[name])


@given(networks())
@settings(max_examples=examples(50))
def test_a_graph_comes_back_from_its_file(graph):

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.tqg"
        save_graph(graph, path)
        again = load_graph(path)
    assert (again.inputs, again.outputs) == (graph.inputs, graph.outputs)
    assert digest(again) == digest(graph)


@given(networks())
@settings(max_examples=examples(100))
def test_the_header_names_every_input_and_output_in_order(graph):
    sizes = [{}, {}]
    labels = label_ports(graph)
    for side, names in zip(sizes, (graph.inputs, graph.outputs), strict=True):
        for name in names:
            side[labels[name]] = graph.tensors[name].type.packed_bytes
    assert len({*labels.values()}) == len(graph.inputs) + len(graph.outputs)
    assert read_ports(emit(graph, plan(graph))) == tuple(sizes)


@pytest.mark.slow
@pytest.mark.spread
@pytest.mark.parametrize(
    "compiler", [pytest.param(it, marks=pytest.mark.requires(it)) for it in COMPILERS]
)
def test_generated_c_equals_the_reference(compiler, seed):
    """Under AddressSanitizer and UBSan; every buffer is a block of memory of its own."""
    count = GRAPHS if compiler == "gcc" else GRAPHS // 4
    cases = []
    for index in range(count):
        rng = np.random.default_rng((seed, index, 3))
        graph = draw_network(rng, f"model_{index}")
        cases.append((graph, draw_all_inputs(rng, graph)))
    trees = [emit(graph, plan(graph)) for graph, _ in cases]
    wrong = []
    for start in range(0, count, 50):
        batch = slice(start, start + 50)
        programs = compile_models(trees[batch], compiler, COMPILERS[compiler])
        for (graph, inputs), program in zip(cases[batch], programs, strict=True):
            try:
                found: int | str = named_differences(graph, program, inputs)
            except SanitizerError as error:
                found = str(error)[:2000]
            if found:
                wrong.append(f"{graph.name} {graph.inputs} -> {graph.outputs}: {found}")
    assert not wrong, "\n".join(wrong)
