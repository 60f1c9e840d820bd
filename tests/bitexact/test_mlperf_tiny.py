"""The four MLPerf Tiny networks and one of our own: LiteRT, tinyq's reference, generated C."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.litert import run_litert
from tests.harness import compile_model, differences
from tests.mlperf_tiny import NAMES, NETWORKS
from tinyq.codegen import emit
from tinyq.graph import reference
from tinyq.graph.passes import simplify
from tinyq.importers.tflite import import_tflite
from tinyq.memory.planner import plan

pytestmark = pytest.mark.parametrize("name", NAMES)
VWW_LIVE_MACS = 3_733_073


def correct(codes: np.ndarray, labels: np.ndarray) -> int:
    return int((codes.reshape(len(labels), -1).argmax(axis=1) == labels).sum())


def test_bytes_equal_litert(name):
    network = NETWORKS[name]
    graph = import_tflite(network.path, "tflite")
    codes, labels = network.load(graph)
    assert len(codes) >= 150
    expected = run_litert(network.path.read_bytes(), codes)
    found = reference.run_batched(graph, codes, 16)
    mismatches = int((found != expected.reshape(found.shape)).sum())
    assert mismatches == 0, f"{mismatches} of {found.size} codes differ"
    if labels is not None:
        assert correct(found, labels) == network.correct["tflite"]


def test_single_rounding_keeps_the_accuracy(name):
    network = NETWORKS[name]
    graph = import_tflite(network.path, "half_up")
    codes, labels = network.load(graph)
    found = reference.run_batched(graph, codes, 16)
    if labels is None:
        twice = reference.run_batched(import_tflite(network.path, "tflite"), codes, 16)
        assert np.abs(found - twice).max() <= 1
    else:
        assert correct(found, labels) == network.correct["half_up"]


@pytest.mark.parametrize("rounding", ["tflite", "half_up"])
def test_simplified_graph_has_the_same_bytes(name, rounding):
    network = NETWORKS[name]
    graph = import_tflite(network.path, rounding)
    simple = simplify(graph)
    codes = network.load(graph)[0][:64]
    same = reference.run_batched(graph, codes, 16) == reference.run_batched(simple, codes, 16)
    assert same.all()
    assert sum(graph.macs(node) for node in graph.nodes) == network.macs
    macs = sum(simple.macs(node) for node in simple.nodes)
    assert macs <= (VWW_LIVE_MACS if name == "vww" else network.macs)


@pytest.mark.parametrize("rounding", ["tflite", "half_up"])
def test_generated_c_has_the_same_bytes(name, rounding):
    network = NETWORKS[name]
    graph = simplify(import_tflite(network.path, rounding))
    program = compile_model(emit(graph, plan(graph)), flags=("-O2",))
    assert differences(graph, program, network.load(graph)[0]) == 0
