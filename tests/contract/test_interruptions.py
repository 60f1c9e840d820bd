"""Wrong port, wrong firmware, resets, a pulled cable: clear messages, no sample lost or doubled.

The firmware runs as a program of this machine behind a pseudo terminal, pyserial opens the other
end, and `measure` and `tinyq measure` see a serial port.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import serial
from cobs import cobs

from tests.classifier import classifier
from tinyq.codegen import emit
from tinyq.commands.cli import main
from tinyq.errors import LinkError
from tinyq.firmware.build import build
from tinyq.hardware.boards import find_board
from tinyq.measurement import run as measuring
from tinyq.measurement.run import Measurement, measure
from tinyq.project import Project, capacities, create_project
from tinyq.support.datasets import Dataset, make_dataset
from tinyq.targets import exchange, session, wire
from tinyq.targets.streams import PortStream, StreamEnded

pytestmark = pytest.mark.requires("gcc")

SAMPLES = 150
CHUNK = measuring._CHUNK
HEADER_BYTES, RECORD_BYTES = 52, 4 + 5 + 4  # of a journal of five-byte answers


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("interrupted") / "build"
    return create_project(classifier(), find_board("host"), folder)


@pytest.fixture
def data(rng: np.random.Generator) -> Dataset:
    return make_dataset(rng.normal(0, 4, (SAMPLES, 12)), rng.integers(0, 5, SAMPLES))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits, for devices that stay silent on purpose."""
    monkeypatch.setattr(exchange, "_GREETING_SECONDS", 0.5)
    monkeypatch.setattr(exchange, "_REPLY_SECONDS", 0.5)
    monkeypatch.setattr(session, "_FIRST_INFERENCE_SECONDS", 0.5)
    monkeypatch.setattr(exchange, "_NOISE_SECONDS", 0.1)
    monkeypatch.setattr(exchange, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(exchange, "_RETURN_SECONDS", 0.3)


class Board:
    """A firmware behind a pseudo terminal, whose name stays the same when it is plugged again.

    It copies the bytes itself, and so counts the inputs that the firmware has answered.
    """

    def __init__(self, elf: Path, port: Path) -> None:
        self.port = port
        self.answered = 0
        self._elf = elf
        self._ends: tuple[int, int] | None = None
        self._firmware: subprocess.Popen[bytes] | None = None
        self.plug()

    @property
    def target(self) -> str:
        return f"serial:{self.port}"

    def plug(self) -> None:
        self._ends = os.openpty()
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self._ends[1]))
        self.start()

    def start(self) -> None:
        assert self._ends is not None
        self._firmware = subprocess.Popen(
            [str(self._elf)], stdin=self._ends[0], stdout=subprocess.PIPE
        )
        threading.Thread(
            target=self._copy, args=(self._firmware, self._ends[0]), daemon=True
        ).start()

    def _copy(self, firmware: subprocess.Popen[bytes], terminal: int) -> None:
        """Count the outputs in what the firmware says, and pass it on."""
        assert firmware.stdout is not None
        decoder = wire.Decoder()
        while sent := os.read(firmware.stdout.fileno(), 1 << 16):
            for frame in decoder.feed(sent):
                if isinstance(frame, wire.Frame) and frame.kind == wire.Kind.INFER | wire.REPLY:
                    self.answered += len(frame.payload) // wire.stride(5)
            os.write(terminal, sent)
        firmware.stdout.close()

    def stop(self) -> None:
        if self._firmware is not None:
            self._firmware.kill()
            self._firmware.wait()
            self._firmware = None

    def reset(self) -> None:
        """Lose all state, as by a watchdog."""
        self.stop()
        self.start()

    def pull(self) -> None:
        """Pull the cable: the power goes, and the port with it."""
        self.stop()
        if self._ends is not None:
            self.port.unlink(missing_ok=True)
            for end in self._ends:
                os.close(end)
            self._ends = None


@pytest.fixture
def board(project: Project, tmp_path: Path):
    plugged = Board(project.image.elf, tmp_path / "port")
    yield plugged
    plugged.pull()


def at_sample(count: int, act):
    """Progress that acts once, when so many samples have been answered."""
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        assert done > (seen[-1] if seen else 0)
        if done >= count and not any(before >= count for before in seen):
            seen.append(done)
            act()
            return
        seen.append(done)

    return progress


def partial_answers(project: Project) -> int:
    files = list(project.folder.glob("*.partial"))
    assert len(files) <= 1
    return sum((file.stat().st_size - HEADER_BYTES) // RECORD_BYTES for file in files)


def check(result: Measurement) -> None:
    """Every sample has its own answer: another order or a doubled one would be a mismatch."""
    assert result.samples == SAMPLES
    assert result.mismatches == 0
    assert result.accuracy["device"] == result.accuracy["reference"]


def test_answers_tell_the_samples_apart(project: Project, data: Dataset) -> None:
    """What `check` relies on: an answer in the place of its neighbour is noticed."""
    from tinyq.graph import reference

    codes = reference.quantize_input(data.x, project.graph.input.type)
    answers = reference.run(project.graph, codes)
    assert np.all((answers[1:] != answers[:-1]).any(axis=1))


def test_without_interruption(project: Project, data: Dataset, board: Board) -> None:
    result = measure(project, board.target, data)
    check(result)
    assert result.resets == 0
    assert board.answered == SAMPLES


class TestReset:
    def test_in_the_middle(self, project: Project, data: Dataset, board: Board) -> None:
        result = measure(project, board.target, data, at_sample(60, board.reset))
        check(result)
        assert result.resets == 1
        assert board.answered == SAMPLES

    def test_in_the_middle_of_a_batch(self, project, data, board, monkeypatch) -> None:
        """The batch that the reset hit is asked again, and counted once."""
        original = session.Session._send
        requests = []

        def send(self, line: bytes) -> None:
            original(self, line)
            requests.append(line)
            if len(requests) == 4:
                board.reset()

        monkeypatch.setattr(session.Session, "_send", send)
        result = measure(project, board.target, data)
        check(result)
        assert result.resets == 1

    def test_always(self, project, data, board, monkeypatch) -> None:
        original = session.Session._send

        def send(self, line: bytes) -> None:
            if wire.decode(line.strip(b"\0")).kind == wire.Kind.INFER:
                board.reset()
            original(self, line)

        monkeypatch.setattr(session.Session, "_send", send)
        with pytest.raises(LinkError, match=r"resets whenever it gets INFER .*watchdog"):
            measure(project, board.target, data)


class TestCable:
    def test_pulled_and_plugged_during_the_run(self, project, data, board, monkeypatch) -> None:
        monkeypatch.setattr(exchange, "_RETURN_SECONDS", 20.0)
        timer = threading.Timer(0.3, board.plug)

        def pull() -> None:
            board.pull()
            timer.start()

        result = measure(project, board.target, data, at_sample(60, pull))
        timer.join()
        check(result)
        assert result.resets == 1
        assert board.answered == SAMPLES
        assert not partial_answers(project)

    def test_pulled_and_plugged_before_the_next_run(self, project, data, board, tmp_path) -> None:
        with pytest.raises(LinkError, match=r"has not come back .*plug the board in") as caught:
            measure(project, board.target, data, at_sample(60, board.pull))
        kept = partial_answers(project)
        assert kept >= 60
        assert kept % CHUNK == 0
        assert f"{kept} of {SAMPLES} samples are kept" in caught.value.remedy
        with pytest.raises(LinkError, match="no such serial port"):
            measure(project, board.target, data)
        assert partial_answers(project) == kept
        again = Board(project.image.elf, tmp_path / "another-port")
        try:
            check(measure(project, again.target, data))
            assert (board.answered, again.answered) == (kept, SAMPLES - kept)
        finally:
            again.pull()
        assert not partial_answers(project)

    def test_pulled_while_a_request_is_written(self, project, data, board, monkeypatch) -> None:
        original = session.Session._send
        requests = []

        def send(self, line: bytes) -> None:
            requests.append(line)
            if len(requests) == 4:
                board.pull()
            original(self, line)

        monkeypatch.setattr(session.Session, "_send", send)
        with pytest.raises(LinkError, match="the connection has ended"):
            measure(project, board.target, data)
        board.plug()
        check(measure(project, board.target, data))
        # The first request of a chunk was answered before the cable was pulled, and not kept.
        assert SAMPLES <= board.answered <= SAMPLES + CHUNK

    def test_another_board_is_plugged(self, project, data, board, tmp_path, monkeypatch) -> None:
        monkeypatch.setattr(exchange, "_RETURN_SECONDS", 20.0)
        other = create_project(classifier(seed=8), find_board("host"), tmp_path / "other")

        def swap() -> None:
            board.pull()
            board._elf = other.image.elf
            board.plug()

        with pytest.raises(LinkError, match="runs another model"):
            measure(project, board.target, data, at_sample(60, swap))
        assert partial_answers(project) >= 60
        board.pull()
        board._elf = project.image.elf
        board.plug()
        check(measure(project, board.target, data))

    def test_interrupted_twice_and_once_in_the_middle_of_writing(
        self, project, data, board
    ) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        for count in (40, 100):
            with pytest.raises(KeyboardInterrupt):
                measure(project, board.target, data, at_sample(count, interrupt))
            (partial,) = project.folder.glob("*.partial")
            partial.write_bytes(partial.read_bytes() + b"\x01\x02")  # a record that was cut off
        check(measure(project, board.target, data))

    def test_interrupted_after_the_last_answer(self, project, data, board) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            measure(project, board.target, data, at_sample(SAMPLES, interrupt))
        assert partial_answers(project) == SAMPLES
        check(measure(project, board.target, data))
        assert board.answered == SAMPLES + 1


class Talker:
    """Something else on a port: it says a line again and again, or sends back what it gets."""

    def __init__(self, says: bytes | None) -> None:
        self._ends = os.openpty()
        self._says = says
        self._ended = threading.Event()
        self.target = f"serial:{os.ttyname(self._ends[1])}"
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        while not self._ended.is_set():
            if self._says is None:
                os.write(self._ends[0], os.read(self._ends[0], 1 << 12))
            else:
                os.set_blocking(self._ends[0], False)
                with contextlib.suppress(BlockingIOError):
                    os.write(self._ends[0], self._says)
                self._ended.wait(0.002)

    def close(self) -> None:
        self._ended.set()
        os.write(self._ends[1], b"end")
        self._thread.join()
        for end in self._ends:
            os.close(end)


OTHERS = {
    "text": (b"$GPGGA,092750.000,5321.6802,N\r\n", "but other bytes came: b"),
    "zeros": (b"\0\1\2\3\0", "but other bytes came: b"),
    "loopback": (None, "but other bytes came: b"),
    "other protocol": (cobs.encode(b"Z" * 40) + b"\0", "but other bytes came: b"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_device_on_the_port(project, data, other, tmp_path, capsys) -> None:
    says, words = OTHERS[other]
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y)
    talker = Talker(says)
    try:
        code = main(
            [
                *("measure", str(project.folder), "--data", str(tmp_path / "data.npz")),
                *("--target", talker.target),
            ]
        )
    finally:
        talker.close()
    shown = capsys.readouterr()
    assert code == 2
    assert words in shown.err
    assert "check that this is the port of the board" in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert not partial_answers(project)


def test_wrong_firmware_on_the_command_line(project, data, tmp_path, capsys) -> None:
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y)
    other = create_project(classifier(seed=8), find_board("host"), tmp_path / "other")
    board = Board(other.image.elf, tmp_path / "port")
    words = ["measure", str(project.folder), "--data", str(tmp_path / "data.npz")]
    try:
        assert main([*words, "--target", board.target]) == 2
    finally:
        board.pull()
    shown = capsys.readouterr().err
    assert "the device runs another model (model 'classifier'" in shown
    assert project.graph_digest[:12] in shown
    assert other.graph_digest[:12] in shown
    assert "remedy: flash the image and measure again" in shown
    assert board.answered == 0


def test_same_model_in_another_firmware(project, data, tmp_path) -> None:
    """The same model with other settings is another firmware."""
    slow = replace(find_board("host"), clock_hz=1)
    image = build(
        emit(project.graph, project.plan).files,
        slow,
        tmp_path / "other",
        capacities(project.graph, slow),
    )
    board = Board(image.elf, tmp_path / "port")
    try:
        with pytest.raises(LinkError, match="runs another firmware"):
            measure(project, board.target, data)
    finally:
        board.pull()


def test_wrong_port(project, data) -> None:
    with pytest.raises(LinkError, match="there is no such serial port"):
        measure(project, "serial:/dev/ttyTINYQ0", data)


def test_pulled_between_writing_and_flushing(monkeypatch) -> None:
    """The terminal's own error, which is no OSError, ends the stream as the others do."""
    outer, inner = os.openpty()
    stream = PortStream(serial.Serial(os.ttyname(inner), 115200))
    os.close(inner)
    monkeypatch.setattr(stream._port, "write", lambda _: os.close(outer))
    with pytest.raises(StreamEnded) as caught:
        stream.write(b"request")
    stream.close()
    assert caught.value.status is None
    assert "Input/output error" in caught.value.log
