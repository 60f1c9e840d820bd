"""Devices that lie, chatter, restart or answer late: a session believes nothing that cannot be."""

from __future__ import annotations

import dataclasses
import struct
import time
from collections.abc import Callable
from pathlib import PurePath

import numpy as np
import pytest

from tinyq.errors import LinkError
from tinyq.firmware.build import BuildOptions, build
from tinyq.hardware.boards import find_board
from tinyq.targets import exchange, session, wire
from tinyq.targets.session import Session
from tinyq.targets.streams import ProcessStream, StreamEnded
from tinyq.targets.symbols import Identity, read_identity
from tinyq.targets.wire import Decoder, Frame, Kind

MODEL_DIGEST, FIRMWARE_DIGEST = b"m" * 32, b"f" * 32
IDENTITY = Identity(MODEL_DIGEST, FIRMWARE_DIGEST, 3, 8, 4, 64)
GREETING = (168_000_000, 1, 64, 256, 8, 4, 64, 3)
# clock, flags, request, reply, input, output, arena, layers: what no board of this image can say.
LIES = {
    "no room for a request": {2: 0},
    "a request shorter than an input": {2: 4},
    "a request beyond all memory": {2: 2**32 - 1},
    "no room for a reply": {3: 0},
    "a reply shorter than a profile": {3: 8},
    "a reply beyond all memory": {3: 2**32 - 4},
    "no input": {4: 0},
    "another input": {4: 12},
    "an input beyond all memory": {4: 2**32 - 1},
    "no output": {5: 0},
    "another output": {5: 8},
    "an output beyond all memory": {5: 2**32 - 1},
    "another arena": {6: 68},
    "an arena beyond all memory": {6: 2**32 - 1},
    "no layers": {7: 0},
    "other layers": {7: 4},
    "layers beyond all memory": {7: 2**32 - 1},
    "a clock of 4.29 GHz": {0: 2**32 - 1},
}

MODEL = {
    PurePath("tq_model_instance.c"): """
#include "tq_model.h"

static void run(const void *input, void *output)
{
    *(uint32_t *)output = *(const uint32_t *)input * 3u + 1u;
}

const tq_model tq_model_instance = {"triple", {7}, 4, 4, 0, 0, run, 0, 0, 0, 0, 0};
"""
}


class Device:
    """A stream whose other end is a function from a request to the bytes that come."""

    seconds_per_byte = 0.0
    cabled = True

    def __init__(self, answer: Callable[[Frame], bytes], boots: bool = False) -> None:
        self.boots = boots
        self._answer = answer
        self._decoder = Decoder()
        self._waiting = b""

    def read(self, timeout: float) -> bytes:
        received, self._waiting = self._waiting, b""
        if not received:
            time.sleep(min(timeout, 0.002))
        return received

    def write(self, line: bytes) -> None:
        for frame in self._decoder.feed(line):
            assert isinstance(frame, Frame)
            self._waiting += self._answer(frame)

    def close(self) -> None:
        self._waiting = b""


def greet(numbers: tuple[int, ...]) -> bytes:
    name = b"liar"
    counts = struct.pack("<4B", 0, 0, len(name), 0)  # one input and one output have no names
    return struct.pack("<8I", *numbers) + MODEL_DIGEST + FIRMWARE_DIGEST + counts + name


def reply(request: Frame, payload: bytes) -> bytes:
    return wire.encode(Frame(request.kind | wire.REPLY, request.sequence, payload))


def answer_as(numbers: tuple[int, ...], **others: bytes) -> Callable[[Frame], bytes]:
    """A device that greets with some numbers, and answers by the names of the requests."""

    def answer(request: Frame) -> bytes:
        if request.kind == Kind.HELLO:
            return reply(request, greet(numbers))
        return reply(request, others[Kind(request.kind).name])

    return answer


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(exchange, "_GREETING_SECONDS", 0.03)
    monkeypatch.setattr(exchange, "_REPLY_SECONDS", 0.2)
    monkeypatch.setattr(exchange, "_BOOT_SECONDS", 0.03)
    monkeypatch.setattr(session, "_FIRST_INFERENCE_SECONDS", 0.5)


def test_an_honest_device_is_taken():
    with Session(lambda: Device(answer_as(GREETING)), "device", IDENTITY) as link:
        assert link.hello().batch == 8


@pytest.mark.parametrize("lie", LIES)
def test_a_greeting_that_cannot_be_is_refused(lie):
    numbers = tuple(LIES[lie].get(place, value) for place, value in enumerate(GREETING))
    with pytest.raises(LinkError, match="says what cannot be") as caught:
        Session(lambda: Device(answer_as(numbers)), "device", IDENTITY)
    assert caught.value.remedy


@pytest.mark.parametrize("place", range(2, 8))
@pytest.mark.parametrize("value", [0, 2**31, 2**32 - 1])
def test_without_an_image_limits_hold_all_the_same(place, value):
    numbers = (*GREETING[:place], value, *GREETING[place + 1 :])
    harmless = value == 0 and place in {6, 7}
    if harmless:
        Session(lambda: Device(answer_as(numbers)), "device").close()
        return
    with pytest.raises(LinkError, match="says what cannot be"):
        Session(lambda: Device(answer_as(numbers)), "device")


def test_a_stack_beyond_all_memory_is_refused():
    device = answer_as(GREETING, STACK=struct.pack("<I", 2**32 - 1))
    with (
        Session(lambda: Device(device), "device", IDENTITY) as link,
        pytest.raises(LinkError, match="4,294,967,295 bytes of stack"),
    ):
        link.stack_used()


@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_answers_of_another_size_are_refused(size):
    device = answer_as(GREETING, INFER=bytes(size), PROFILE=bytes(size))
    with Session(lambda: Device(device), "device", IDENTITY) as link:
        with pytest.raises(LinkError):
            link.infer(np.zeros((1, 8), np.uint8))
        with pytest.raises(LinkError):
            link.profile(np.zeros(8, np.uint8))


@pytest.mark.parametrize("text", [b"I (312) app: ready", b"\r\n>\x00\x00?", b"\xff" * 300])
def test_text_before_a_reply_costs_no_attempt(text):
    asked = []

    def answer(request: Frame) -> bytes:
        asked.append(request.kind)
        return text + answer_as(GREETING, ECHO=b"sound")(request)

    with Session(lambda: Device(answer), "chatter", IDENTITY) as link:
        assert link.echo(b"sound") == b"sound"
    assert asked == [Kind.HELLO, Kind.ECHO]


BOOT = wire.encode(Frame(Kind.BOOT, 0))


@pytest.mark.parametrize("noise", [b"", b"rst:0x10 (RTCWDT)\r\n", b"\x00\xfe"])
def test_a_board_that_restarts_at_each_greeting_is_no_wrong_port(noise):
    with pytest.raises(LinkError, match="resets whenever it is greeted") as caught:
        Session(lambda: Device(lambda _: noise + BOOT), "board")
    assert "stack overflow" in caught.value.remedy
    assert "baud" not in caught.value.remedy


def test_a_board_that_restarts_once_is_greeted_again():
    requests = []

    def answer(request: Frame) -> bytes:
        requests.append(request)
        return BOOT if len(requests) == 1 else answer_as(GREETING)(request)

    with Session(lambda: Device(answer), "board", IDENTITY) as link:
        assert link.hello().name == "liar"


def test_other_bytes_are_a_wrong_port():
    with pytest.raises(LinkError, match="other bytes came") as caught:
        Session(lambda: Device(lambda _: b"OK\r\n"), "modem")
    assert "port of the board" in caught.value.remedy


def test_silence_of_a_program_has_no_cable_in_its_remedy():
    with pytest.raises(LinkError, match="silent") as caught:
        Session(lambda: ProcessStream(["sleep", "60"]), "qemu")
    assert "stack" in caught.value.remedy
    assert "cable" not in caught.value.remedy
    with pytest.raises(LinkError, match="silent") as caught:
        Session(lambda: Device(lambda _: b""), "board")
    assert "cable" in caught.value.remedy


class LateLine:
    """The firmware behind a line that delays, doubles and reorders its replies.

    Every fate is drawn: a reply may come at once, behind the next one, twice, or behind several.
    """

    seconds_per_byte = 1e-5
    cabled = True

    def __init__(self, command: list[str], rng: np.random.Generator) -> None:
        self.boots = True
        self._stream = ProcessStream(command)
        self._rng = rng
        self._rest = b""
        self._held: list[bytes] = []

    def read(self, timeout: float) -> bytes:
        received = self._rest + self._stream.read(timeout)
        *lines, self._rest = received.split(b"\0")
        return b"".join(self._deal(line) for line in lines if line)

    def _deal(self, line: bytes) -> bytes:
        frame = b"\0" + line + b"\0"
        fate = int(self._rng.integers(0, 5))
        if fate == 0:  # late: behind a reply to come
            self._held.append(frame)
            return b""
        late = b""
        if self._held and fate < 3:
            place = int(self._rng.integers(len(self._held)))
            late = self._held[place]  # it stays there: doubled as well
            if self._rng.random() < 0.7:
                self._held.pop(place)
        before = self._rng.random() < 0.5
        out = late + frame if before else frame + late
        return out + frame if fate == 3 else out

    def write(self, line: bytes) -> None:
        self._stream.write(line)

    def close(self) -> None:
        self._stream.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late") / "out"
    options = BuildOptions(payload_bytes=16, reply_bytes=164)
    return build(MODEL, find_board("host"), folder, options)


@pytest.mark.requires("gcc")
def test_late_doubled_and_swapped_replies_shift_no_answer(image, rng, monkeypatch):
    monkeypatch.setattr(exchange, "_REPLY_SECONDS", 0.05)
    monkeypatch.setattr(session, "_FIRST_INFERENCE_SECONDS", 0.05)
    identity = read_identity(image.elf)
    inputs = rng.integers(0, 2**32, (60, 1), dtype=np.uint32).view(np.uint8).reshape(60, 4)
    with Session(lambda: LateLine([str(image.elf)], rng), "late line", identity) as link:
        for at in range(0, 60, 2):
            echoed = rng.bytes(5)
            assert link.echo(echoed) == echoed
            answers = link.infer(inputs[at : at + 2]).copy().view("<u4")
            wanted = inputs[at : at + 2].copy().view("<u4") * np.uint32(3) + np.uint32(1)
            assert np.array_equal(answers, wanted)


def test_a_port_that_comes_back_under_another_name_is_named(monkeypatch):
    monkeypatch.setattr(exchange, "_RETURN_SECONDS", 0.05)
    monkeypatch.setattr(exchange, "_RETRY_SECONDS", 0.01)
    device = Device(answer_as(GREETING, ECHO=b"?"))
    streams = iter([device])

    def connect() -> Device:
        for stream in streams:
            return stream
        raise LinkError("there is no such serial port", remedy="ports that are there: /dev/ttyACM1")

    def fail(_: float) -> bytes:
        raise StreamEnded(None, "device disconnected")

    with Session(connect, "/dev/ttyACM0", IDENTITY) as link:
        device.read = fail
        with pytest.raises(LinkError, match="has not come back") as caught:
            link.echo(b"?")
    assert "/dev/ttyACM1" in caught.value.remedy
    assert "/dev/serial/by-id" in caught.value.remedy


@pytest.mark.requires("gcc")
def test_the_image_says_every_size_that_the_greeting_is_held_against(image):
    identity = read_identity(image.elf)
    sizes = identity.input_bytes, identity.output_bytes, identity.arena_bytes, identity.layers
    assert sizes == (4, 4, 0, 0)
    fields = {field.name for field in dataclasses.fields(Identity)}
    assert fields == {
        *("model_digest", "firmware_digest", "layers"),
        *("input_bytes", "output_bytes", "arena_bytes"),
    }
