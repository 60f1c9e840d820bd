"""Sequences on a device: every step has its answer, whatever happens on the way.

The firmware of a network that keeps state runs as a program of this machine.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from tests.contract.test_interruptions import Board, hurried  # noqa: F401  # a fixture
from tests.listener import SCORES, VALUES, listener
from tinyq.commands.cli import main
from tinyq.errors import DataError, LinkError
from tinyq.graph import reference
from tinyq.graph.interface import pack_codes, unpack_codes
from tinyq.hardware.boards import find_board
from tinyq.measurement.diff import compare, open_execution
from tinyq.measurement.run import Measurement, measure
from tinyq.measurement.sequences import split_sequences
from tinyq.project import Project, create_project
from tinyq.support.datasets import Dataset, make_dataset
from tinyq.targets import open_link, session, wire

pytestmark = pytest.mark.requires("gcc")

COUNT, STEPS = 6, 40


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("sequences") / "build"
    return create_project(listener(), find_board("host"), folder)


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 4, (COUNT, STEPS, 1, VALUES))


@pytest.fixture
def data(x: np.ndarray, rng: np.random.Generator) -> Dataset:
    return make_dataset(x, rng.integers(0, SCORES, (COUNT, STEPS)))


@pytest.fixture
def board(project: Project, tmp_path: Path):
    plugged = Board(project.image.elf, tmp_path / "port")
    yield plugged
    plugged.pull()


def expect(project: Project, x: np.ndarray) -> np.ndarray:
    codes = reference.quantize_input(x.reshape(-1, 1, VALUES), project.graph.input.type)
    codes = codes.reshape(x.shape)
    return reference.run_sequences(project.graph, {"input": codes})["scores"]


def check(result: Measurement) -> None:
    assert (result.samples, result.steps, result.mismatches) == (COUNT * STEPS, STEPS, 0)
    assert result.accuracy["device"] == result.accuracy["reference"]


def infer_sequence(project: Project, link, codes: np.ndarray) -> np.ndarray:
    packed = link.infer_sequence(pack_codes(project.graph, {"input": codes}))
    return unpack_codes(project.graph, ("scores",), packed)["scores"]


def test_answers_depend_on_the_steps_before(project: Project, x: np.ndarray) -> None:
    """What all others here rely on: a step that is lost, or counted twice, is seen at once."""
    whole = expect(project, x)
    for shorter in (x[:, 1:], np.concatenate([x[:, :1], x], axis=1)):
        found = expect(project, shorter)[:, -STEPS + 1 :]
        assert (found[:, 5:20] != whole[:, 6:21]).any(axis=(1, 2)).all()


def test_a_link_begins_each_sequence_anew(project: Project, x: np.ndarray) -> None:
    expected = expect(project, x)
    codes = reference.quantize_input(x.reshape(-1, 1, VALUES), project.graph.input.type)
    codes = codes.reshape(x.shape)
    with contextlib.closing(open_link(project.image, "host")) as link:
        assert link.hello().keeps_state
        for index in (1, 0, 1):
            np.testing.assert_array_equal(
                infer_sequence(project, link, codes[index]), expected[index]
            )
        alone = link.infer(pack_codes(project.graph, {"input": codes[0]}))
        found = unpack_codes(project.graph, ("scores",), alone)["scores"]
        wanted = reference.run(project.graph, codes[0])
        np.testing.assert_array_equal(found, wanted)


def test_without_interruption(project: Project, data: Dataset, board: Board) -> None:
    result = measure(project, board.target, data)
    check(result)
    assert (result.resets, board.answered) == (0, COUNT * STEPS)
    assert result.state_bytes == project.plan.state_bytes == 32


def test_a_reset_begins_the_sequence_again(project, data, board, monkeypatch) -> None:
    original = session.Session._send
    steps = []

    def send(self, line: bytes) -> None:
        original(self, line)
        if wire.decode(line.strip(b"\0")).kind == wire.Kind.INFER:
            steps.append(line)
            if len(steps) in (2, 5):
                board.reset()

    monkeypatch.setattr(session.Session, "_send", send)
    monkeypatch.setattr(wire.DeviceInfo, "batch", property(lambda _: 16))
    result = measure(project, board.target, data)
    check(result)
    assert result.resets == 2


def test_a_device_that_resets_in_every_sequence_is_told(project, data, board, monkeypatch) -> None:
    original = session.Session._send

    def send(self, line: bytes) -> None:
        if wire.decode(line.strip(b"\0")).kind == wire.Kind.INFER:
            board.reset()
        original(self, line)

    monkeypatch.setattr(session.Session, "_send", send)
    with pytest.raises(LinkError, match=r"resets whenever it computes a sequence.*watchdog"):
        measure(project, board.target, data)


def test_a_run_goes_on_behind_the_last_whole_sequence(project, data, board, monkeypatch) -> None:
    """Killed in the middle of a sequence: those before it are kept, it begins again."""
    original = session.Session._infer_batches
    sequences = []

    def infer(self, inputs, ask):
        sequences.append(len(inputs))
        if len(sequences) == 4:
            original(self, inputs[: STEPS // 2], ask)
            raise KeyboardInterrupt
        return original(self, inputs, ask)

    monkeypatch.setattr(session.Session, "_infer_batches", infer)
    with pytest.raises(KeyboardInterrupt):
        measure(project, board.target, data)
    check(measure(project, board.target, data))
    assert board.answered == COUNT * STEPS + STEPS // 2
    assert len(sequences) == 4 + COUNT - 3
    assert not list(project.folder.glob("*.partial"))


def test_a_wrong_step_is_noticed(project, data, monkeypatch) -> None:
    original = session.Session._take_outputs

    def take(self, inputs, reply):
        answers = original(self, inputs, reply).copy()
        answers[0, 2] ^= 1
        return answers

    monkeypatch.setattr(session.Session, "_take_outputs", take)
    assert measure(project, "host", data).mismatches >= COUNT


class TestData:
    def test_labels_of_steps_and_of_sequences(self, project, x) -> None:
        best = expect(project, x).argmax(axis=2)
        for labels, score in ((best, 1.0), (best[:, -1], 1.0), ((best + 1) % SCORES, 0.0)):
            result = measure(project, "host", make_dataset(x, labels))
            assert result.accuracy == {"device": score, "reference": score}
            assert (labels.ndim == 1) == any("last of the 40 steps" in it for it in result.notes)

    def test_labels_whose_rows_look_like_probabilities(self, project, x) -> None:
        """A one at one step of each sequence is no answer of 40 classes."""
        labels = np.zeros((COUNT, STEPS), int)
        labels[:, 7] = 1
        found = split_sequences(project.graph, make_dataset(x, labels))
        np.testing.assert_array_equal(found.data.y, labels.reshape(-1))

    def test_single_steps_and_one_signal(self, project, x) -> None:
        found = split_sequences(project.graph, make_dataset(x[0], np.zeros(STEPS, int)))
        assert (found.count, found.steps, found.last) == (STEPS, 1, False)
        assert "first step of a sequence" in found.notes[0]
        signal = split_sequences(project.graph, make_dataset(x[0].reshape(-1, VALUES)))
        assert (signal.count, signal.steps) == (1, STEPS)
        assert "one signal: 40 steps of 1" in signal.notes[0]
        np.testing.assert_array_equal(signal.data.x, x[0])

    @pytest.mark.parametrize("shape", [(3, 4, 5, 1, VALUES), (3, 4, 1, VALUES + 1), (3,)])
    def test_other_shapes_are_refused(self, project, shape) -> None:
        with pytest.raises(DataError, match="a step takes"):
            split_sequences(project.graph, make_dataset(np.zeros(shape)))

    def test_labels_of_neither(self, project, x) -> None:
        with pytest.raises(DataError, match="6 sequences of 40 steps"):
            labels = Dataset({"": x}, make_dataset(np.zeros(3), np.zeros(3)).answers)
            split_sequences(project.graph, labels)


def test_two_executions_are_compared_step_by_step(project: Project, x: np.ndarray) -> None:
    executions = [open_execution(f"{project.folder}@{place}") for place in ("reference", "host")]
    found = compare(*executions, make_dataset(x[:2]))
    assert found.difference is None
    assert found.output_equal
    assert found.samples == 2 * STEPS


def test_commands_show_the_state(project: Project, x: np.ndarray, tmp_path, capsys) -> None:
    from tinyq.graph.storage import save_graph

    save_graph(listener(), tmp_path / "listener.tqg")
    assert main(["inspect", str(tmp_path / "listener.tqg")]) == 0
    shown = capsys.readouterr().out
    assert "32 bytes are kept" in shown
    assert "copied" in shown
    np.savez(tmp_path / "data.npz", x=x)
    assert main(["measure", str(project.folder), "--data", str(tmp_path / "data.npz")]) == 0
    assert "state" in capsys.readouterr().out
