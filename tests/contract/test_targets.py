"""Every target keeps the promises of a link, and says what is wrong when it cannot."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from tinyq.errors import DataError, LinkError, ToolMissing
from tinyq.firmware.build import BuildOptions, build
from tinyq.hardware.boards import find_board
from tinyq.targets import exchange, open_link, session, target_names, wire
from tinyq.targets.session import Session
from tinyq.targets.streams import ProcessStream, StreamEnded
from tinyq.targets.symbols import Identity, read_identity
from tinyq.targets.wire import Frame, Kind

INPUT_BYTES, OUTPUT_BYTES, LAYERS = 7, 6, 3

# Output: four bytes of a hash of the input, then how many inferences there were since the start.
MODEL = """
#include "tq_model.h"
static uint8_t runs;
static void run(const void *input, void *output)
{
    const uint8_t *x = input;
    uint8_t *y = output;
    uint32_t hash = 0;
    TQ_MARK(0);
    for (int32_t i = 0; i < 7; i++) {
        hash = hash * 31u + x[i];
    }
    TQ_MARK(1);
    for (int32_t i = 0; i < 4; i++) {
        y[i] = (uint8_t)(hash >> (8 * i) & 0xFFu);
    }
    TQ_MARK(2);
    runs++;
    y[4] = runs;
    y[5] = 0xA5;
    TQ_MARK(3);
}
const tq_model tq_model_instance = {"hash", {DIGEST}, 7, 6, 16, 3, run, 0, 0, 0, 0, 0};
"""

PLACES = [
    pytest.param("host", "host", id="host"),
    pytest.param(
        "stm32",
        "qemu",
        id="stm32",
        marks=pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc"),
    ),
    pytest.param(
        "mps2-an386",
        "qemu",
        id="mps2-an386",
        marks=pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc"),
    ),
    pytest.param(
        "riscv-virt",
        "qemu",
        id="riscv-virt",
        marks=pytest.mark.requires("qemu-system-riscv32", "riscv64-unknown-elf-gcc"),
    ),
    pytest.param(
        "arduino-mega",
        "simavr",
        id="arduino-mega",
        marks=pytest.mark.requires("avr-gcc", "gcc"),
    ),
]


def build_image(board, folder, digest=1):
    request, reply = wire.payload_bytes(
        INPUT_BYTES, OUTPUT_BYTES, LAYERS, find_board(board).batch_bytes
    )
    source = MODEL.replace("DIGEST", str(digest))
    options = BuildOptions(payload_bytes=request, reply_bytes=reply, cflags=("-Werror",))
    return build({PurePosixPath("model.c"): source}, find_board(board), folder, options)


def expected(inputs):
    """Return the four hash bytes that the model must answer."""
    value = np.zeros(len(inputs), np.uint32)
    for column in inputs.T:
        value = value * np.uint32(31) + column
    return value.astype("<u4").view(np.uint8).reshape(-1, 4)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    built = {}

    def find(board):
        if board not in built:
            built[board] = build_image(board, tmp_path_factory.mktemp("image") / "out")
        return built[board]

    return find


def pytest_generate_tests(metafunc):
    if "board" in metafunc.fixturenames:
        metafunc.parametrize(("board", "target"), PLACES)


@pytest.fixture
def link(images, board, target):
    opened = open_link(images(board), target)
    yield opened
    opened.close()


@pytest.fixture
def host_image(images):
    return images("host")


@pytest.fixture
def hurried(monkeypatch):
    """Shorten the waits, for devices that stay silent on purpose."""
    monkeypatch.setattr(exchange, "_GREETING_SECONDS", 0.05)
    monkeypatch.setattr(exchange, "_REPLY_SECONDS", 0.2)
    monkeypatch.setattr(exchange, "_BOOT_SECONDS", 0.05)
    monkeypatch.setattr(session, "_FIRST_INFERENCE_SECONDS", 0.5)


def draw_inputs(rng, count):
    return rng.integers(0, 256, (count, INPUT_BYTES), dtype=np.uint8)


class TestLink:
    def test_hello(self, link, images, board):
        info = link.hello()
        identity = read_identity(images(board).elf)
        assert (info.name, info.layers) == ("hash", LAYERS)
        assert (info.input_bytes, info.output_bytes, info.arena_bytes) == (7, 6, 16)
        assert info.model_digest == identity.model_digest == bytes([1]) + bytes(31)
        assert info.firmware_digest == bytes.fromhex(images(board).firmware_digest)
        assert info.batch == find_board(board).batch_bytes // 8

    def test_echo(self, link, rng):
        for size in (0, 1, 253, 254, 255, min(link.hello().request_bytes, 1000)):
            payload = rng.bytes(size)
            assert link.echo(payload) == payload

    def test_every_input_is_run_once_and_in_order(self, link, rng):
        inputs = draw_inputs(rng, 700)
        outputs = link.infer(inputs)
        assert np.array_equal(outputs[:, :4], expected(inputs))
        assert np.array_equal(outputs[:, 4], np.arange(1, 701) % 256)
        assert np.all(outputs[:, 5] == 0xA5)
        assert link.infer(inputs[:0]).shape == (0, OUTPUT_BYTES)

    def test_reset_starts_the_firmware_anew(self, link, rng):
        inputs = draw_inputs(rng, 3)
        assert link.infer(inputs)[-1, 4] == 3
        link.reset()
        assert link.infer(inputs)[-1, 4] == 3
        assert link.resets == 0

    def test_a_reset_by_itself_is_noticed_and_the_run_goes_on(self, link, rng):
        inputs = draw_inputs(rng, 5)
        link.infer(inputs)
        # Behind the session's back, as a watchdog would.
        link._stream.write(wire.encode(Frame(Kind.RESET, (link._sequence + 1000) % 2**16)))
        outputs = link.infer(inputs)
        assert np.array_equal(outputs[:, :4], expected(inputs))
        assert link.resets >= 1

    def test_profile_and_stack(self, link, rng, board, target):
        inputs = draw_inputs(rng, 1)
        cycles = link.profile(inputs[0])
        if target == "simavr":
            assert len(cycles) == LAYERS
            assert all(count > 0 for count in cycles)
        else:
            assert cycles is None  # neither a process nor QEMU counts cycles
        link.paint_stack()
        used = link.stack_used()
        assert used is None if board == "host" else 0 < used < 4096
        assert link.instruction_counts() is None

    def test_inputs_of_another_shape_are_refused(self, link):
        with pytest.raises(DataError, match=r"\(n, 7\)"):
            link.infer(np.zeros((1, 8), np.uint8))
        with pytest.raises(DataError, match="int8"):
            link.infer(np.zeros((1, 7), np.int8))

    def test_a_damaged_frame_is_complained_about(self, link):
        line = bytearray(wire.encode(Frame(Kind.ECHO, 1, b"content")))
        line[5] ^= 0x01
        link._stream.write(bytes(line))
        assert link._next_frame(time.monotonic() + 10).kind == Kind.NAK
        assert link.echo(b"still there") == b"still there"

    def test_a_repeated_number_is_answered_again_but_not_run_again(self, link, rng):
        payload = draw_inputs(rng, 1).tobytes() + b"\0"
        line = wire.encode(Frame(Kind.INFER, (link._sequence + 1) % 2**16, payload))
        replies = []
        for _ in range(3):
            link._stream.write(line)
            replies.append(link._next_frame(time.monotonic() + 10))
        assert replies[0] == replies[1] == replies[2]
        assert replies[0].kind == Kind.INFER | wire.REPLY
        assert replies[0].payload[4] == 1

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (Frame(Kind.ECHO, 9, version=77), wire.Refusal.VERSION),
            (Frame(0x55, 9), wire.Refusal.KIND),
            (Frame(0x00, 9), wire.Refusal.KIND),
            (Frame(Kind.INFER, 9, b"123"), wire.Refusal.LENGTH),
            (Frame(Kind.INFER, 9), wire.Refusal.LENGTH),
            (Frame(Kind.HELLO, 9, b"?"), wire.Refusal.LENGTH),
        ],
    )
    def test_what_the_device_refuses(self, link, frame, code):
        link._stream.write(wire.encode(frame))
        answer = link._next_frame(time.monotonic() + 10)
        assert (answer.kind, answer.sequence) == (Kind.ERROR, 9)
        assert wire.unpack_word(answer.payload) == code

    def test_closing_leaves_no_process(self, link):
        process = link._stream._child.process
        link.close()
        link.close()
        assert process.returncode is not None
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        for _ in range(2):  # and no call starts one again
            with pytest.raises(LinkError, match="the connection has ended"):
                link.echo(b"?")


class NoisyStream:
    """A line that damages or loses frames, by a fixed pattern."""

    def __init__(self, command, pattern):
        self._stream = ProcessStream(command)
        self._pattern = pattern
        self._lines = 0
        self.seconds_per_byte = 1e-5
        self.boots = True
        self.cabled = False

    def read(self, timeout):
        received = bytearray(self._stream.read(timeout))
        # A frame that comes in pieces is one: only what holds its end counts.
        if 0 in received and self._next() == "damage":
            received[len(received) // 2] ^= 0x10
        return bytes(received)

    def write(self, line):
        what = self._next()
        if what == "damage":
            line = line[:6] + bytes([line[6] ^ 0x20]) + line[7:]
        if what != "lose":
            self._stream.write(line)

    def close(self):
        self._stream.close()

    def _next(self):
        self._lines += 1
        return self._pattern[self._lines % len(self._pattern)]


@pytest.mark.parametrize(
    "pattern",
    [
        ("", "", "", "", "damage", "", "", ""),
        ("", "", "", "lose", "", "", "", ""),
        ("", "", "", "", "", "damage", "lose", "damage", "", "", "", "", ""),
    ],
)
def test_noise_loses_and_doubles_nothing(hurried, host_image, rng, pattern):
    with Session(lambda: NoisyStream([str(host_image.elf)], pattern), "noisy line") as link:
        inputs = draw_inputs(rng, 20)
        for at in range(20):
            output = link.infer(inputs[at : at + 1])
            assert np.array_equal(output[:, :4], expected(inputs[at : at + 1]))
            assert output[0, 4] == at + 1  # ran once, however often it was asked


class TestErrors:
    def test_targets_are_found_by_module(self):
        assert target_names() == ("host", "qemu", "serial", "simavr")

    def test_unknown_target(self, host_image):
        with pytest.raises(LinkError, match="host, qemu, serial"):
            open_link(host_image, "renode")

    def test_silent_device(self, hurried):
        with pytest.raises(LinkError, match="silent"):
            Session(lambda: ProcessStream(["sleep", "60"]), "sleeper")

    def test_device_that_falls_silent_later(self, hurried, host_image):
        with Session(lambda: ProcessStream([str(host_image.elf)]), "stopped") as link:
            os.killpg(link._stream._child.process.pid, signal.SIGSTOP)
            with pytest.raises(LinkError, match="silent"):
                link.echo(b"?")
            os.killpg(link._stream._child.process.pid, signal.SIGCONT)

    def test_other_protocol_version(self, host_image, monkeypatch):
        monkeypatch.setattr(wire.Frame.__init__, "__defaults__", (b"", 9))
        monkeypatch.setattr(wire, "VERSION", 9)
        with pytest.raises(LinkError, match="speaks version 2 of the protocol, this is version 9"):
            open_link(host_image, "host")

    def test_other_model_on_the_board(self, host_image):
        other = Identity(bytes(32), bytes(32), LAYERS)
        with pytest.raises(LinkError, match=r"another model .*flash the image"):
            Session(lambda: ProcessStream([str(host_image.elf)]), "board", other)

    def test_a_crash_names_the_signal(self):
        with pytest.raises(LinkError, match=f"signal {int(signal.SIGSEGV)}"):
            Session(lambda: ProcessStream(["sh", "-c", "kill -SEGV $$"]), "crash")

    def test_a_program_that_fails_says_its_last_line(self):
        command = ["sh", "-c", "echo no such machine >&2; exit 3"]
        with pytest.raises(LinkError, match="status 3: no such machine"):
            Session(lambda: ProcessStream(command), "wrong")

    def test_a_program_that_cannot_start(self):
        with pytest.raises(LinkError, match="status 127"):
            Session(lambda: ProcessStream(["/does/not/exist"]), "absent")

    def test_board_that_always_resets(self, hurried):
        with pytest.raises(LinkError, match="resets whenever"):
            Session(lambda: ProcessStream(["true"]), "loop")

    def test_no_emulator_installed(self, host_image, monkeypatch, images):
        image = _as_board(host_image, "stm32")
        monkeypatch.setenv("PATH", "")
        with pytest.raises(ToolMissing, match="apt-get install qemu-system-arm"):
            open_link(image, "qemu")

    def test_board_without_emulator(self, host_image):
        with pytest.raises(LinkError, match="no machine for board host"):
            open_link(host_image, "qemu")

    def test_image_of_a_board_as_a_process(self, host_image):
        with pytest.raises(LinkError, match="not for the host"):
            open_link(_as_board(host_image, "stm32"), "host")

    def test_image_that_is_not_there(self, host_image, tmp_path):
        with pytest.raises(LinkError, match="build the model first"):
            open_link(_as_board(host_image, "host", tmp_path / "no.elf"), "host")

    def test_no_such_port(self, host_image):
        with pytest.raises(LinkError, match="no such serial port"):
            open_link(host_image, "serial:/dev/ttyTINYQ0")

    def test_port_without_name(self, host_image):
        with pytest.raises(LinkError, match="needs a port"):
            open_link(host_image, "serial")

    def test_port_without_permission(self, host_image, monkeypatch):
        import serial

        def refuse(*_, **__):
            raise serial.SerialException(13, "could not open port: Permission denied")

        monkeypatch.setattr(serial, "serial_for_url", refuse)
        with pytest.raises(LinkError, match="dialout"):
            open_link(host_image, "serial:/dev/ttyACM0")

    def test_port_that_is_busy(self, host_image):
        master, slave = os.openpty()
        try:
            fcntl.flock(slave, fcntl.LOCK_EX)
            with pytest.raises(LinkError, match="busy"):
                open_link(host_image, f"serial:{os.ttyname(slave)}")
        finally:
            os.close(slave)
            os.close(master)

    def test_stream_that_has_ended_stays_ended(self):
        stream = ProcessStream(["true"])
        for _ in range(2):
            with pytest.raises(StreamEnded):
                while True:
                    stream.read(5.0)


def test_serial_port_to_a_board(host_image, rng):
    """The firmware at one end of a pseudo terminal, pyserial at the other."""
    master, slave = os.openpty()
    board = subprocess.Popen([str(host_image.elf)], stdin=master, stdout=master)
    try:
        link = open_link(host_image, f"serial:{os.ttyname(slave)}")
        inputs = draw_inputs(rng, 600)
        assert np.array_equal(link.infer(inputs)[:, :4], expected(inputs))
        link.close()
    finally:
        board.kill()
        board.wait()
        os.close(master)
        os.close(slave)


def test_no_process_outlives_python(host_image, tmp_path):
    """Even when Python is killed in the middle."""
    script = f"""
        import os, signal
        from pathlib import Path
        from tinyq.targets.session import Session
        from tinyq.targets.streams import ProcessStream
        link = Session(lambda: ProcessStream([{str(host_image.elf)!r}]), "here")
        print(link._stream._child.process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=Path(wire.__file__).parents[1],
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    group = int(done.stdout)
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("the program still runs")


def _as_board(image, board, elf=None):
    from dataclasses import replace

    return replace(image, board=find_board(board), elf=elf or image.elf)
