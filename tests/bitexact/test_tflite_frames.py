"""Signal operators of TensorFlow Lite Micro that keep samples, step by step.

What is expected was held against tflite-micro 0.dev20261023182759, which ``TINYQ_TFLITE_MICRO=1``
does again where that wheel is installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.bitexact.test_tflite_signal import Chain
from tests.harness import SANITIZE, compile_model, sequence_differences
from tests.requirements import require_module
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph import Graph
from tinyq.graph.reference import run_sequences
from tinyq.importers.tflite import import_tflite
from tinyq.memory.planner import plan

CALLS = 12
Outputs = list[np.ndarray]


@dataclass(frozen=True)
class Case:
    """An operator: its options, its shapes, and what it answers over a sequence of inputs."""

    name: str
    options: dict[str, Any]
    shape: tuple[int, ...]
    result: tuple[int, ...]
    compute: Callable[[np.ndarray], Outputs]


def delay(count: int, lines: int = 1) -> Case:
    def compute(x: np.ndarray) -> Outputs:
        flat = np.concatenate([np.zeros((lines, count), int), *x.reshape(CALLS, lines, -1)], axis=1)
        return [flat[:, : CALLS * 5].reshape(lines, CALLS, 5).transpose(1, 0, 2)]

    return Case("SignalDelay", {"delay_length": count}, (lines, 5), (lines, 5), compute)


def framer(size: int, step: int, frames: int, prefill: bool) -> Case:
    """With zeros before the signal, or with the first frame when it is whole."""

    def compute(x: np.ndarray) -> Outputs:
        queue = [0] * (size - step) if prefill else []
        found, valid = np.zeros((CALLS, frames, size), int), np.ones((CALLS, 1), int)
        for call, hops in enumerate(x.reshape(CALLS, frames, step)):
            for place, hop in enumerate(hops):
                queue += list(hop)
                if len(queue) >= size:
                    found[call, place], queue = queue[:size], queue[step:]
                else:
                    valid[call] = 0
        return [found, valid]

    options = {"frame_size": size, "frame_step": step, "prefill": prefill}
    return Case("SignalFramer", options, (1, frames * step), (1, frames, size), compute)


def stacker(channels: int, left: int, right: int) -> Case:
    def compute(x: np.ndarray) -> Outputs:
        rows = np.concatenate([np.repeat(x[:1], left, axis=0), x])
        count, found, valid = left + right + 1, [], []
        for call in range(CALLS):
            end = left + call + 1
            valid.append([int(end >= count)])
            found.append(
                rows[end - count : end].reshape(-1) if end >= count else [0] * count * channels
            )
        return [np.array(found), np.array(valid)]

    options = {
        "num_channels": channels,
        "stacker_left_context": left,
        "stacker_right_context": right,
        "stacker_step": 1,
    }
    return Case("SignalStacker", options, (channels,), ((left + right + 1) * channels,), compute)


def overlap(size: int, step: int, frames: int) -> Case:
    def compute(x: np.ndarray) -> Outputs:
        kept, found = np.zeros(size, int), []
        for frame in x.reshape(-1, size):
            kept = np.clip(kept + frame, -(2**15), 2**15 - 1)
            found += list(kept[:step])
            kept = np.concatenate([kept[step:], np.zeros(step, int)])
        return [np.array(found).reshape(CALLS, frames * step)]

    options = {"T": 7, "frame_step": step}
    return Case("SignalOverlapAdd", options, (1, frames, size), (1, frames * step), compute)


CASES = {
    "delay": delay(3),
    "long delay": delay(11),
    "delay of lines": delay(4, lines=3),
    "no delay": delay(0),
    "framer": framer(6, 2, 1, False),
    "framer of several": framer(6, 2, 2, False),
    "framer of parts": framer(7, 3, 1, False),
    "filled framer": framer(7, 3, 2, True),
    "framer without overlap": framer(4, 4, 1, False),
    "stacker": stacker(4, 2, 3),
    "stacker of the past": stacker(3, 3, 0),
    "overlap": overlap(6, 2, 1),
    "overlap of several": overlap(5, 2, 3),
}


OPERATORS = {
    "CUSTOM:SignalDelay",
    "CUSTOM:SignalFramer",
    "CUSTOM:SignalOverlapAdd",
    "CUSTOM:SignalStacker",
}


def write(case: Case, path) -> None:
    chain = Chain()
    chain.tensor("signal", "INT16", case.shape)
    chain.tensor("result", "INT16", case.result)
    writes = ["result"]
    if case.name in ("SignalFramer", "SignalStacker"):
        chain.tensor("valid", "BOOL", ())
        writes.append("valid")
    chain.apply(case.name, ["signal"], writes, **case.options)
    chain.write(path, "signal", writes)


def load(case: Case, path) -> Graph:
    write(case, path)
    return import_tflite(path)


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("name", CASES)
def test_every_step_is_tflite_micro_s(name, tmp_path, rng):
    case, path = CASES[name], tmp_path / "model.tflite"
    graph = load(case, path)
    x = rng.integers(-(2**15), 2**15, (CALLS, *case.shape)).astype(np.int32)
    inputs = {graph.inputs[0]: x.reshape(1, CALLS, *graph.input.type.shape)}
    found = list(run_sequences(graph, inputs).values())
    wanted = case.compute(x)
    compare(found, wanted)
    if os.environ.get("TINYQ_TFLITE_MICRO"):
        compare([it[None] for it in run_micro(path, case, x)], wanted)
    program = compile_model(emit(graph, plan(graph)), "gcc", SANITIZE)
    assert sequence_differences(graph, program, inputs) == 0


def compare(found: Outputs, wanted: Outputs) -> None:
    """Codes where they are valid, and where they are."""
    valid = np.ones(CALLS, bool)
    if len(wanted) > 1:
        valid = wanted[1].reshape(-1) > 0
        np.testing.assert_array_equal(found[1].reshape(-1), wanted[1].reshape(-1))
    flat = found[0].reshape(CALLS, -1), wanted[0].reshape(CALLS, -1)
    np.testing.assert_array_equal(*(it[valid] for it in flat))
    assert valid.sum() >= 6


def run_micro(path, case: Case, x: np.ndarray) -> Outputs:
    """What TFLite Micro answers."""
    runtime = require_module("tflite_micro.python.tflite_micro.runtime")
    interpreter = runtime.Interpreter.from_file(str(path))
    answers: list[list[np.ndarray]] = []
    for step in x:
        interpreter.set_input(step.astype(np.int16), 0)
        interpreter.invoke()
        count = 2 if case.name in ("SignalFramer", "SignalStacker") else 1
        answers.append([np.array(interpreter.get_output(place)) for place in range(count)])
    return [np.stack(part).astype(np.int32) for part in zip(*answers, strict=True)]


def test_each_operator_has_cases():
    assert {f"CUSTOM:{case.name}" for case in CASES.values()} == OPERATORS


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("stacker", {"stacker_step": 2}, "stacker_step is 2"),
        ("stacker", {"num_channels": 5}, "no 5 channels"),
        ("overlap", {"T": 0}, "only signals of INT16"),
        ("overlap", {"frame_step": 9}, "frame_step is 9"),
        ("framer", {"frame_step": 0}, "frame_step is 0"),
        ("framer", {"frame_size": 1 << 20}, "frame_size is 1,048,576"),
        ("delay", {"delay_length": -1}, "delay_length is -1"),
        ("delay", {"delay_length": 1 << 30}, "delay_length is 1,073,741,824"),
    ],
)
def test_what_cannot_be_is_refused(name, changes, message, tmp_path):
    case = CASES[name]
    changed = Case(case.name, {**case.options, **changes}, case.shape, case.result, case.compute)
    with pytest.raises(ModelError, match=message):
        load(changed, tmp_path / "model.tflite")


def test_a_small_file_keeps_no_huge_signal(tmp_path):
    case = delay(1 << 16, lines=1 << 10)
    with pytest.raises(ModelError, match="far beyond the size of the file"):
        load(case, tmp_path / "model.tflite")
