"""Public wake words, driven by speech: every tensor is LiteRT's, and the words are heard."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from tests.harness import compile_model, sequence_differences
from tests.requirements import require_module
from tests.speech import group_frames, hear, speak
from tests.wake_words import HEARD, NAMES, NOTHING, VOICES, find_wake_word, list_others
from tinyq.codegen import emit
from tinyq.graph import Graph
from tinyq.graph.ops.reshape import Reshape
from tinyq.graph.passes import simplify
from tinyq.graph.reference import run_sequences
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.litert import run_layers
from tinyq.memory.planner import plan
from tinyq.numerics.formats import Codes

STEPS = 500
FILES = [*NAMES, *list_others()]


def find_file(entry: str | Path) -> Path:
    return find_wake_word(entry) if isinstance(entry, str) else entry


@functools.cache
def hear_word(name: str) -> Codes:
    return hear(speak(name.replace("_", " "), VOICES[name]))


@functools.cache
def hear_everything() -> Codes:
    """All of the words one behind the other, then codes without a meaning."""
    words = np.concatenate([hear_word(name) for name in NAMES])
    rng = np.random.default_rng(0)
    noise = rng.integers(-128, 128, (max(3 * STEPS - 3 * len(words), 300), words.shape[1]))
    return np.concatenate([words, words[:, ::-1], noise, words]).astype(np.int32)


def draw_steps(graph: Graph) -> dict[str, Codes]:
    """``STEPS`` steps from a reset."""
    shape = graph.input.type.shape
    features = np.resize(hear_everything(), (STEPS * shape[0], shape[1]))
    return {graph.input.name: group_frames(features, shape)}


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("entry", FILES, ids=str)
def test_every_tensor_of_every_step_is_litert_s(entry):
    require_module("ai_edge_litert.interpreter")
    path = find_file(entry)
    graph = import_tflite(path, "tflite")
    inputs = draw_steps(graph)
    expected = run_layers(path, graph, inputs)
    found: dict[str, list[Codes]] = {name: [] for name in expected}
    run_sequences(graph, inputs, lambda name, codes: found.get(name, []).append(codes[0]))
    wrong = [name for name in expected if not np.array_equal(np.stack(found[name]), expected[name])]
    assert wrong == []
    assert missing_states(graph, expected) == []
    assert all(len(codes) == STEPS for codes in expected.values())
    simple = simplify(graph)
    program = compile_model(emit(simple, plan(simple)), flags=("-O2",))
    assert sequence_differences(simple, program, inputs) == 0


def missing_states(graph: Graph, compared) -> list[str]:
    """States whose next value, or what that is a reshape of, was not compared."""
    reshapes = {node.output: node.inputs[0] for node in graph.nodes if type(node.op) is Reshape}
    return [
        state.name
        for state in graph.states
        if state.next not in compared and reshapes.get(state.next) not in compared
    ]


def answer(name: str, features: Codes) -> Codes:
    graph = import_tflite(find_wake_word(name), "tflite")
    steps = group_frames(features, graph.input.type.shape)
    return run_sequences(graph, {graph.input.name: steps})[graph.output.name]


@pytest.mark.parametrize("name", NAMES)
def test_a_spoken_word_is_heard_and_noise_is_not(name, rng):
    assert answer(name, hear_word(name)).max() >= HEARD
    codes = rng.integers(-128, 128, (3 * STEPS, 40)).astype(np.int32)
    assert answer(name, codes).max() < NOTHING
    sound = rng.integers(-3000, 3001, 16000 * 5).astype(np.int16)
    assert answer(name, hear(sound)).max() < NOTHING
    others = [other for other in NAMES if other != name]
    assert max(answer(name, hear_word(other)).max() for other in others) < HEARD
