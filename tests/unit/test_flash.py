"""`tinyq flash` with programs on the PATH in place of the real ones, and a board behind a pty."""

from __future__ import annotations

import dataclasses
import os
import pty
import re
import shutil
import struct
import subprocess
import threading
import tty
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from tinyq.errors import LinkError, TinyqError, ToolMissing
from tinyq.firmware.build import Image, build
from tinyq.firmware.toolchains import TOOLCHAINS
from tinyq.hardware.boards import find_board, load_boards
from tinyq.targets import drives, flash
from tinyq.targets.flash_failures import explain_failure
from tinyq.targets.flashers import FLASHERS, Device
from tinyq.targets.probes import find_port, find_probe

MODEL = {
    PurePath("tq_model_instance.c"): """\
#include "tq_model.h"

static void run(const void *input, void *output)
{
    *(uint32_t *)output = *(const uint32_t *)input;
}

const tq_model tq_model_instance = {"wire", {7}, 4, 4, 0, 0, run, 0, 0, 0, 0, 0};
"""
}
NUCLEO = find_board("nucleo-f411re")

pytestmark = pytest.mark.requires("gcc")


@pytest.fixture(scope="module")
def host_image(tmp_path_factory) -> Image:
    """A firmware that runs here, to answer in the place of a board."""
    return build(MODEL, find_board("host"), tmp_path_factory.mktemp("flash") / "out")


@pytest.fixture
def image(host_image, tmp_path) -> Image:
    """The same, said to be for a Nucleo, with a binary beside it."""
    elf = tmp_path / "build" / "firmware.elf"
    elf.parent.mkdir()
    shutil.copy(host_image.elf, elf)
    elf.with_suffix(".bin").write_bytes(bytes(range(256)) * 2 + b"end")
    return dataclasses.replace(host_image, elf=elf, board=NUCLEO)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program on the PATH that notes its arguments, prints and ends with a status."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name: str, prints: str = "", status: int = 0) -> Path:
        path = folder / name
        notes = tmp_path / f"{name}.arguments"
        path.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{notes}'\n"
            f"while IFS= read -r l; do echo \"$l\" >&2; done <<'END'\n{prints}\nEND\n"
            f"exit {status}\n"
        )
        path.chmod(0o755)
        return notes

    return install


@pytest.fixture
def board_port(host_image) -> Iterator[str]:
    """A serial port behind which the firmware runs."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    process = subprocess.Popen(
        [str(host_image.elf)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )

    def carry(read, write) -> None:
        try:
            while data := read():
                write(data)
        except OSError:
            return

    threads = [
        threading.Thread(
            target=carry, args=(lambda: os.read(master, 4096), process.stdin.write), daemon=True
        ),
        threading.Thread(
            target=carry,
            args=(lambda: process.stdout.read(4096), lambda data: os.write(master, data)),
            daemon=True,
        ),
    ]
    for thread in threads:
        thread.start()
    yield os.ttyname(slave)
    process.kill()
    process.wait()
    os.close(slave)
    os.close(master)
    for thread in threads:
        thread.join(5)
    process.stdin.close()
    process.stdout.close()


@pytest.fixture
def no_ports(monkeypatch):
    monkeypatch.setattr(list_ports, "comports", list)


def test_written_verified_reset_and_greeted(image, program, board_port):
    notes = program("openocd")
    done = flash.flash(image, board_port)
    assert (done.program, done.port) == ("openocd", board_port)
    assert done.info.name == "wire"
    assert notes.read_text().splitlines() == [
        *("-f", "board/st_nucleo_f4.cfg", "-c"),
        "program firmware.elf verify reset exit",
    ]


def test_board_that_runs_another_firmware_is_told(image, program, board_port, tmp_path):
    program("openocd")
    other = {
        PurePath("tq_model_instance.c"): MODEL[PurePath("tq_model_instance.c")].replace("7", "8")
    }
    os.environ["PATH"] += ":/usr/bin:/bin"
    built = build(other, find_board("host"), tmp_path / "other")
    shutil.copy(built.elf, image.elf)
    with pytest.raises(LinkError, match="written, but the board does not answer as it"):
        flash.flash(image, board_port)


def test_silent_board_is_told(image, program, monkeypatch):
    program("openocd")
    monkeypatch.setattr("tinyq.targets.exchange._GREETING_SECONDS", 0.1)
    monkeypatch.setattr("tinyq.targets.exchange._ATTEMPTS", 1)
    with pytest.raises(LinkError, match="does not answer"):
        flash.flash(image, "loop://")


def test_without_a_serial_port_it_is_written_and_not_greeted(image, program, no_ports):
    program("openocd")
    assert flash.flash(image) == flash.Flashed("openocd", None, None)


@pytest.mark.parametrize(
    ("name", "called", "arguments"),
    [
        ("avrdude", "avrdude", ["-P", "{port}", "-D", "-U", "flash:w:firmware.bin:r"]),
        ("dfu-util", "dfu-util", ["-a", "0", "-s", "0x08000000:leave", "-D", "firmware.bin"]),
        *(
            ("esptool", called, ["--port", "{port}", "write_flash", "0x10000", "firmware.bin"])
            for called in ("esptool", "esptool.py")
        ),
        ("pyocd", "pyocd", ["flash", "-W", "--format", "elf", "firmware.elf"]),
        ("st-flash", "st-flash", ["--reset", "write", "firmware.bin", "0x08000000"]),
        (
            *("stm32loader", "stm32loader"),
            ["-p", "{port}", "-e", "-w", "-v", "-g", "0x08000000", "firmware.bin"],
        ),
    ],
)
def test_each_program_gets_its_arguments(image, program, board_port, name, called, arguments):
    notes = program(called)
    flash.flash(image, board_port, name)
    assert notes.read_text().splitlines() == [word.format(port=board_port) for word in arguments]


@pytest.mark.parametrize("folder", ["My Models", "a{b", "it's", "do$(touch PWN)l", "ü#%;"])
def test_a_path_of_the_image_stands_in_no_command(
    image, program, no_ports, tmp_path, folder, monkeypatch
):
    notes = program("openocd")
    seen = tmp_path / "seen"
    script = notes.with_name("bin") / "openocd"
    script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{notes}'\n/bin/ls > '{seen}'\n")
    moved = tmp_path / folder / "build"
    shutil.copytree(image.elf.parent, moved)
    flash.flash(dataclasses.replace(image, elf=moved / "firmware.elf"))
    assert notes.read_text().splitlines()[-1] == "program firmware.elf verify reset exit"
    # And nothing else lies where a program looks for its scripts.
    assert seen.read_text().split() == ["firmware.bin", "firmware.elf"]


def test_platformio_uploads_its_project(image, program, board_port):
    notes = program("platformio")
    with pytest.raises(TinyqError, match="no PlatformIO project"):
        flash.flash(image, board_port, "platformio")
    (image.elf.parent / "platformio.ini").write_text("[env:registry]\n")
    flash.flash(image, board_port, "platformio")
    words = notes.read_text().splitlines()
    assert words[:3] == ["run", "--project-dir", str(image.elf.parent)]
    assert words[-4:] == ["--target", "upload", "--upload-port", board_port]


@pytest.mark.parametrize(
    ("name", "prints", "cause"),
    [
        ("openocd", "Error: open failed", "no probe"),
        ("openocd", "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", "permission"),
        ("openocd", "Error: init mode failed (unable to connect to the target)", "no contact"),
        ("openocd", "** Verify Failed **", "not the image"),
        ("pyocd", "No available debug probes are connected", "no probe"),
        ("st-flash", "Couldn't find any ST-Link devices", "no probe"),
        ("dfu-util", "No DFU capable USB device available", "no probe"),
        ("dfu-util", "Something new", "Something new"),
        ("pyocd", "Target type 'nrf5340_xxaa' not recognized. Use 'pyocd list'", "pack is missing"),
        (
            "openocd",
            "Warn : UNEXPECTED idcode: 0x2ba01477\nError: expected 1 of 1: 0x1ba01477\n"
            "** Programming Failed **",
            "clone",
        ),
    ],
)
def test_failure_names_its_cause(image, program, no_ports, name, prints, cause):
    program(name, prints, status=1)
    with pytest.raises(LinkError, match=cause) as caught:
        flash.flash(image, None, name)
    assert caught.value.where == "board nucleo-f411re"
    assert caught.value.remedy


def test_openocd_that_ends_well_after_a_failure_is_not_believed(image, program, no_ports):
    program("openocd", "** Programming Failed **", status=0)
    with pytest.raises(LinkError, match="openocd failed"):
        flash.flash(image)


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("avrdude: ser_open(): can't open device /dev/ttyACM0: Permission denied", "permission"),
        ("avrdude: stk500_getsync(): not in sync: resp=0x00", "no contact"),
        ("Failed to connect to ESP32: Timed out waiting for packet header", "no contact"),
        ("", "printed nothing"),
        (
            "╭─ Error ──────────╮\n│ No such option '--verify'  │\n╰──────────────────╯",
            "No such option '--verify'",
        ),
    ],
)
def test_cause_of_an_output(output, cause):
    message, remedy = explain_failure(output)
    assert cause in message
    assert remedy


def test_remedies_name_the_pack_and_the_way_around_a_clone():
    _, remedy = explain_failure("C Target type 'nrf5340_xxaa' not recognized. Use")
    assert remedy == "pyocd pack install nrf5340_xxaa"
    _, remedy = explain_failure("Warn : UNEXPECTED idcode: 0x2ba01477")
    assert "set CPUTAPID 0" in remedy
    assert "0x2ba01477" in remedy


DOWNLOADED = "File downloaded successfully\ndfu-util: Error during download get_status"


@pytest.mark.parametrize(
    ("prints", "status", "well"),
    [(DOWNLOADED, 74, True), (DOWNLOADED, 1, False), ("Error during download", 74, False)],
)
def test_dfu_util_may_lose_the_board_that_leaves(image, program, no_ports, prints, status, well):
    program("dfu-util", prints, status)
    if well:
        assert flash.flash(image, None, "dfu-util").program == "dfu-util"
        return
    with pytest.raises(LinkError, match="dfu-util failed"):
        flash.flash(image, None, "dfu-util")


def usb_port(device, usb, serial_number=None, location=None) -> SimpleNamespace:
    vid, pid = (int(part, 16) for part in usb.split(":"))
    return SimpleNamespace(
        device=device, vid=vid, pid=pid, serial_number=serial_number, location=location
    )


CHOICES = {
    "openocd": ["-c", "adapter serial B2"],
    "pyocd": ["--uid", "B2"],
    "st-flash": ["--serial", "B2"],
}


@pytest.fixture
def two_boards(board_port, monkeypatch) -> str:
    """Two Nucleos, the second at the port behind which the firmware runs."""
    ports = [usb_port("/dev/ttyACM7", "0483:374b", "A1"), usb_port(board_port, "0483:374b", "B2")]
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    return board_port


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("said", ["port", "probe", "link"])
def test_port_and_probe_are_one_board(image, program, two_boards, name, said, tmp_path):
    notes = program(name)
    link = tmp_path / "by-id"
    link.symlink_to(two_boards)
    port = {"port": two_boards, "probe": None, "link": str(link)}[said]
    done = flash.flash(image, port, name, "B2" if said == "probe" else None)
    assert done.port == (port or two_boards)
    words = notes.read_text().splitlines()
    place = words.index(CHOICES[name][0] if name != "openocd" else "adapter serial B2")
    first = place if name != "openocd" else place - 1
    assert words[first : first + 2] == CHOICES[name]


def test_two_boards_without_a_choice_are_named_with_their_numbers(image, program, two_boards):
    program("openocd")
    with pytest.raises(LinkError, match="2 boards") as caught:
        flash.flash(image)
    assert "A1" in caught.value.where
    assert "B2" in caught.value.where
    assert "--probe" in caught.value.remedy


def test_a_flasher_that_chooses_no_probe_says_so(image, program, no_ports):
    with pytest.raises(TinyqError, match="dfu-util does not choose") as caught:
        flash.flash(image, None, "dfu-util", "B2")
    assert caught.value.where == "--probe"


@pytest.mark.parametrize("number", ["a b", "x; shell rm", "$(id)", "", "[exec id]"])
def test_what_is_no_serial_number_reaches_no_program(image, program, no_ports, number):
    notes = program("openocd")
    if number:
        with pytest.raises(TinyqError, match="no serial number"):
            flash.flash(image, None, None, number)
        assert not notes.exists()


def test_an_adapter_beside_the_board_is_no_probe(monkeypatch):
    ports = [
        usb_port("/dev/ttyUSB0", "10c4:ea60", "0001"),
        usb_port("/dev/ttyACM0", "0483:374e", "003A"),
        usb_port("/dev/ttyACM1", "0483:374b", "bad\x01number"),
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    assert find_probe("/dev/ttyUSB0") is None
    assert find_probe("/dev/ttyACM0") == "003A"
    assert find_probe("/dev/ttyACM1") is None
    assert find_probe("/dev/ttyACM9") is None


@pytest.mark.parametrize(
    ("board", "ports", "wanted"),
    [
        ("nrf5340-dk", [("1366:1055", "N1", "1-1:1.0"), ("1366:1055", "N1", "1-1:1.2")], 1),
        ("nrf5340-dk", [("1366:1055", None, "1-1:1.0"), ("1366:1055", None, "1-1:1.2")], 1),
        ("nrf5340-dk", [("1366:1055", "N1", "1-1:1.0")], 0),
        ("nrf52840-dk", [("1366:1061", "N2", "1-1:1.0")], 0),
        ("nucleo-u575zi-q", [("0483:3753", "S1", "1-2:1.2"), ("0483:3753", "S1", "1-2:1.5")], 0),
        ("nucleo-f446re", [("0483:3752", "S2", "1-1:1.1")], 0),
    ],
)
def test_ports_of_one_board_are_one_board(monkeypatch, board, ports, wanted):
    listed = [usb_port(f"/dev/ttyACM{i}", *port) for i, port in enumerate(ports)]
    monkeypatch.setattr(list_ports, "comports", lambda: listed[::-1])
    assert find_port(find_board(board)) == f"/dev/ttyACM{wanted}"


def test_missing_program_names_its_package(image, program, no_ports):
    with pytest.raises(ToolMissing, match="openocd is not installed") as caught:
        flash.flash(image)
    assert caught.value.remedy == "apt-get install openocd"


def test_program_that_needs_a_port_names_the_board_when_none_is_there(image, program, no_ports):
    program("avrdude")
    with pytest.raises(LinkError, match=r"0483:374b.*plugged in"):
        flash.flash(image, None, "avrdude")


def test_unknown_or_missing_flasher_is_told(image, no_ports):
    with pytest.raises(TinyqError, match="no flasher 'hammer'"):
        flash.flash(image, None, "hammer")
    bare = dataclasses.replace(image, board=dataclasses.replace(NUCLEO, flasher=()))
    with pytest.raises(TinyqError, match="nothing is known"):
        flash.flash(bare)


def test_port_is_found_by_the_usb_id(monkeypatch):
    ports = [
        SimpleNamespace(device="/dev/ttyACM1", vid=0x0483, pid=0x374B),
        SimpleNamespace(device="/dev/ttyACM0", vid=0x2341, pid=0x0042),
        SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None),
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    assert find_port(NUCLEO) == "/dev/ttyACM1"
    assert find_port(find_board("arduino-mega")) == "/dev/ttyACM0"
    assert find_port(find_board("stm32vldiscovery")) is None
    ports.append(SimpleNamespace(device="/dev/ttyACM2", vid=0x0483, pid=0x374B))
    with pytest.raises(LinkError, match="2 boards") as caught:
        find_port(NUCLEO)
    assert caught.value.where == "/dev/ttyACM1, /dev/ttyACM2"


@pytest.fixture
def drive(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "media" / "RPI-RP2"
    folder.mkdir(parents=True)
    monkeypatch.setattr(drives, "_mount_folders", lambda: (tmp_path / "media").rglob("*"))
    monkeypatch.setattr(drives, "_REPORT_SECONDS", 0.3)
    return folder


def test_uf2_is_copied_to_the_drive(image, drive, no_ports):
    pico = dataclasses.replace(image, board=find_board("pico"))
    assert flash.flash(pico).program == "uf2"
    data = (drive / "firmware.uf2").read_bytes()
    content = image.elf.with_suffix(".bin").read_bytes()
    assert len(data) == 3 * 512
    joined = b""
    for number in range(3):
        block = data[512 * number : 512 * (number + 1)]
        first, second, flags, address, size, at, count, family = struct.unpack("<8I", block[:32])
        assert (first, second) == (0x0A324655, 0x9E5D5157)
        assert struct.unpack("<I", block[508:])[0] == 0x0AB16F30
        assert (flags, family) == (0x2000, 0xE48BFF56)
        assert (address, size, at, count) == (0x10000000 + 256 * number, 256, number, 3)
        joined += block[32:288]
    assert joined == content.ljust(768, b"\0")


def test_missing_drive_says_how_it_appears(image, drive, no_ports):
    drive.rmdir()
    pico = dataclasses.replace(image, board=find_board("pico"))
    with pytest.raises(LinkError, match="no drive named RPI-RP2") as caught:
        flash.flash(pico)
    assert "BOOTSEL" in caught.value.remedy


def test_report_of_daplink_is_quoted(image, drive, no_ports):
    microbit = drive.with_name("MICROBIT")
    drive.rename(microbit)
    board = dataclasses.replace(image, board=find_board("microbit-v2"))
    assert flash.flash(board).program == "daplink"
    assert (microbit / "firmware.bin").read_bytes() == image.elf.with_suffix(".bin").read_bytes()
    (microbit / "FAIL.TXT").write_text("error: The transfer timed out.\n")
    with pytest.raises(LinkError, match="The transfer timed out"):
        flash.flash(board)


@pytest.mark.parametrize("number", ["990", "991", None])
def test_of_two_drives_the_one_of_the_probe_is_taken(image, drive, no_ports, number):
    folders = []
    for index in range(2):
        folder = drive.parent / str(index) / "MICROBIT"
        folder.mkdir(parents=True)
        (folder / "DETAILS.TXT").write_text(f"# DAPLink\nUnique ID: 99{index}\n")
        folders.append(folder)
    board = dataclasses.replace(image, board=find_board("microbit-v2"))
    if number is None:
        with pytest.raises(LinkError, match="2 drives"):
            flash.flash(board)
        return
    flash.flash(board, probe=number)
    written = [(folder / "firmware.bin").exists() for folder in folders]
    assert written == [number == "990", number == "991"]


def test_every_flasher_of_the_catalogue_makes_a_command(image):
    for board in load_boards().values():
        if not board.flasher or board.toolchain not in TOOLCHAINS:
            continue
        flasher = FLASHERS[board.flasher[0]]
        if not flasher.programs:
            continue
        mine = dataclasses.replace(image, board=board)
        command = flasher.run(mine, board.flasher[1:], Device("/dev/ttyACM0"))
        assert any(re.search(r"firmware\.(elf|bin)", word) for word in command)
