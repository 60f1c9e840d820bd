"""Public wake words on the emulated Cortex-M4: from samples of speech to the word."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from tests.speech import group_frames, speak
from tests.wake_words import HEARD, VOICES, find_wake_word
from tinyq.graph import Graph
from tinyq.graph.front_ends import build_front_end, count_warm_up, make_front_end
from tinyq.graph.interface import pack_codes, unpack_codes
from tinyq.graph.reference import run_sequences
from tinyq.hardware.boards import find_board
from tinyq.importers.tflite import import_tflite
from tinyq.numerics.formats import Codes
from tinyq.project import create_project
from tinyq.targets import open_link

BOARD = "mps2-an386"


def run_device(graph: Graph, sequence: Codes, folder) -> Codes:
    """Answers of the steps of a sequence on the emulated core; they are the reference's."""
    project = create_project(graph, find_board(BOARD), folder)
    steps = {graph.inputs[0]: sequence}
    with closing(open_link(project.image, "qemu")) as link:
        packed = link.infer_sequence(pack_codes(project.graph, steps))
    name = project.graph.outputs[0]
    found = unpack_codes(project.graph, (name,), packed)[name]
    (wanted,) = run_sequences(project.graph, {graph.inputs[0]: sequence[None]}).values()
    np.testing.assert_array_equal(found, wanted[0])
    return found


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
@pytest.mark.parametrize("name", ["alexa", "hey_jarvis", "okay_nabu"])
def test_a_spoken_word_is_heard_on_the_device(name, tmp_path):
    front_end = make_front_end("micro")
    samples = speak(name.replace("_", " "), VOICES[name])
    hops = samples[: len(samples) // front_end.hop * front_end.hop].astype(np.int32)
    hops = hops.reshape(-1, front_end.hop)
    features = run_device(build_front_end(front_end), hops, tmp_path / "front_end")
    graph = import_tflite(find_wake_word(name), "tflite")
    (steps,) = group_frames(features[count_warm_up(front_end) :], graph.input.type.shape)
    assert run_device(graph, steps, tmp_path / "word").max() >= HEARD
