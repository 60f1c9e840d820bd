"""The file of boards, and the way from it to a board on a serial port."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests import rack
from tests.hil.test_rack import run
from tests.mixed_model import mixed_model
from tests.rack import Place, read_rack
from tinyq.errors import TinyqError
from tinyq.targets.flash import Flashed
from tinyq.targets.qemu import machine_command


def test_a_file_names_places(tmp_path):
    path = tmp_path / "bench.yaml"
    path.write_text(
        "- board: stm32\n  port: /dev/ttyX\n- {board: arduino-mega, emulator: simavr}\n"
    )
    assert read_rack(path) == (
        Place("stm32", "/dev/ttyX"),
        Place("arduino-mega", emulator="simavr"),
    )
    assert [place.name for place in read_rack(path)] == ["stm32 /dev/ttyX", "arduino-mega simavr"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("board: stm32", "no list of boards"),
        ("- port: /dev/ttyX", "no list of boards"),
        ("- {board: stm32, speed: 9}", "no list of boards"),
        ("- board: stm23", "stm23"),
        ("- [", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_file_of_boards_is_refused(text, complaint, tmp_path):
    path = tmp_path / "bench.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TinyqError, match=complaint):
        read_rack(path)


@pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc")
def test_a_place_is_written_and_measured_through_its_port(tmp_path, monkeypatch, seed):
    """An emulated chip behind a pseudo terminal; what writes it starts it."""
    master, slave = os.openpty()
    port, chips = os.ttyname(slave), []

    def write(image, port, flasher):
        assert flasher == "pyocd"
        chips.append(subprocess.Popen(machine_command(image), stdin=master, stdout=master))
        return Flashed("pyocd", port, None)

    monkeypatch.setattr(rack, "flash", write)
    try:
        found = run(mixed_model(), Place("stm32", port, "pyocd"), tmp_path / "out", seed)
    finally:
        for chip in chips:
            chip.kill()
            chip.wait()
        os.close(master)
        os.close(slave)
    assert (found.target, found.mismatches) == (f"serial:{port}", 0)


def test_a_board_without_a_port_is_named(monkeypatch):
    monkeypatch.setattr(rack, "flash", lambda *_: Flashed("openocd", None, None))
    with pytest.raises(TinyqError, match="no port"):
        rack.bring_up(Place("stm32"), None)
