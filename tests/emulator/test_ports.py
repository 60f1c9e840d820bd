"""The ports under QEMU and on the host, with a firmware that echoes bytes."""

from __future__ import annotations

import select
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinyq.firmware.build import BuildOptions, Image, build
from tinyq.hardware.boards import Board, load_boards
from tinyq.targets import qemu, simavr

APPLICATION = Path(__file__).parent / "application"
# The Uno's 2 KiB of RAM do not hold the frame that the application puts on the stack.
EMULATED = [
    board
    for board in load_boards().values()
    if board.qemu_machine or (board.simavr_mcu and board.ram_bytes >= 8192)
]
# Clock after reset, where the emulator has no clock tree and the port stays on that clock.
AFTER_RESET_HZ = {"TQ_STM32_F1": 8_000_000, "TQ_STM32_F4": 16_000_000}
HOST = load_boards()["host"]
TIMEOUT_S = 20.0

NEEDS = {
    "arm-none-eabi": ("qemu-system-arm", "arm-none-eabi-gcc"),
    "riscv": ("qemu-system-riscv32", "riscv64-unknown-elf-gcc"),
    "avr": ("avr-gcc", "gcc"),
}


class Process:
    """A firmware that runs, with its serial line on pipes."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def read(self, count: int) -> bytes:
        assert self.process.stdout is not None
        received, end = b"", time.monotonic() + TIMEOUT_S
        while len(received) < count:
            ready, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            assert ready, f"silent after {received!r}"
            chunk = self.process.stdout.read(count - len(received))
            assert chunk, f"ended after {received!r}"
            received += chunk
        return received

    def read_greeting(self) -> tuple[int, int, int]:
        """Return the .data word, the .bss word and the clock that a start reports."""
        assert self.read(4) == b"boot"
        return struct.unpack("<III", self.read(12))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def build_echo(board: Board, out: Path) -> Image:
    return build({}, board, out, BuildOptions(application=APPLICATION, cflags=("-Werror",)))


def emulator_command(image: Image) -> list[str]:
    return (simavr.chip_command if image.board.simavr_mcu else qemu.machine_command)(image)


def boards(*, stm32: bool = False) -> list:
    """Emulated boards as parameters, each with the programs that it needs."""
    return [
        pytest.param(board, id=board.name, marks=pytest.mark.requires(*NEEDS[board.toolchain]))
        for board in EMULATED
        if not stm32 or "TQ_STM32_F4" in board.defines
    ]


@pytest.fixture(scope="module", params=boards())
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_echo(request.param, tmp_path_factory.mktemp("port") / request.param.name)


@pytest.fixture
def device(image: Image) -> Iterator[Process]:
    process = Process(emulator_command(image))
    yield process
    process.close()


def expected_clock(board: Board) -> int:
    slow = [hz for name, hz in AFTER_RESET_HZ.items() if name in board.defines]
    return slow[0] if slow else board.clock_hz


def test_start_copies_data_clears_bss_and_reports_the_clock_it_reached(device, image):
    assert device.read_greeting() == (0x600DDA7A, 0, expected_clock(image.board))


def test_every_byte_comes_back_in_order(device, rng):
    device.read_greeting()
    sent = bytes(rng.integers(4, 256, 2000, dtype="uint8"))
    device.write(sent)
    assert device.read(len(sent)) == sent


def test_bytes_that_come_before_the_receiver_is_on_do_not_block_the_line(image):
    for _ in range(3):
        device = Process(emulator_command(image))
        try:
            device.write(b"\xaa" * 4)
            device.read_greeting()
            time.sleep(0.05)
            device.write(b"\xbb")
            received = b""
            while not received.endswith(b"\xbb"):
                received += device.read(1)
            assert set(received[:-1]) <= {0xAA}
        finally:
            device.close()


def test_stack_mark_grows_by_the_frame_that_was_used(device, image):
    device.read_greeting()
    device.write(b"\x01")
    before, after = struct.unpack("<II", device.read(8))
    assert 0 < before < 1024 <= after < 1024 + 512
    assert after <= image.board.stack_bytes


def test_reset_starts_again_with_fresh_data(device, image):
    device.read_greeting()
    for _ in range(2):
        device.write(b"\x02")
        assert device.read_greeting() == (0x600DDA7A, 0, expected_clock(image.board))


# QEMU's MPS2 boards swallow writes below their RAM; the STM32F405 has nothing there.
@pytest.mark.parametrize("image", boards(stm32=True), indirect=True)
def test_stack_overflow_restarts_the_board_instead_of_spoiling_data(device, image):
    device.read_greeting()
    device.write(b"\x03")
    assert device.read_greeting() == (0x600DDA7A, 0, expected_clock(image.board))


@pytest.mark.requires("gcc")
def test_host_port_echoes_and_leaves_on_reset_and_at_end_of_input(tmp_path, rng):
    image = build_echo(HOST, tmp_path / "host")
    device = Process([str(image.elf)])
    try:
        assert device.read_greeting() == (0x600DDA7A, 0, 0)
        sent = bytes(rng.integers(4, 256, 20000, dtype="uint8"))
        device.write(sent)
        assert device.read(len(sent)) == sent
        device.write(b"\x01")
        assert device.read(8) == bytes(8)
        device.write(b"\x02")
        assert device.process.wait(TIMEOUT_S) == 0
    finally:
        device.close()
    device = Process([str(image.elf)])
    device.read_greeting()
    device.process.stdin.close()
    assert device.process.wait(TIMEOUT_S) == 0
    device.process.stdout.close()
    device.process.stderr.close()


@pytest.mark.requires("make")
def test_make_alone_builds_the_same_image(image, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(image.elf.parent, copy)
    for name in ("firmware.elf", "firmware.bin", "firmware.map"):
        (copy / name).unlink()
    subprocess.run(["make", "-s"], cwd=copy, check=True, capture_output=True)
    for name in ("firmware.elf", "firmware.bin"):
        assert (copy / name).read_bytes() == (image.elf.parent / name).read_bytes()
