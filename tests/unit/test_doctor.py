from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinyq import installation as doctor
from tinyq.commands import cli


def program(folder: Path, name: str, answer: str, code: int = 0) -> Path:
    """Write a program that prints `answer`, whatever it is asked."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{answer}\nEOF\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def only_path(tmp_path, monkeypatch) -> Path:
    """An empty folder that is, with `cat`, all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "cat").symlink_to("/bin/cat")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def named(checks, name):
    return next(check for check in checks if check.name == name)


def test_python_is_new_enough():
    check = doctor.check_python()
    assert check.ok
    assert check.found.startswith("3.")


def test_missing_programs_are_reported_with_the_command(only_path):
    program(only_path, "apt-get", "")
    checks = doctor.examine()
    for name in ("arm-none-eabi-gcc", "newlib", "qemu-system-arm", "host C compiler"):
        check = named(checks, name)
        assert not check.ok
        assert check in doctor.missing(checks)
    assert named(checks, "newlib").remedy.endswith(
        "apt-get install -y gcc-arm-none-eabi libnewlib-arm-none-eabi"
    )
    assert named(checks, "qemu-system-arm").remedy.endswith("apt-get install -y qemu-system-arm")
    assert named(checks, "clang") not in doctor.missing(checks)


def test_remedy_without_a_known_package_manager(only_path):
    assert "Debian: qemu-system-arm" in doctor.check_qemu().remedy


def test_compiler_without_library(only_path):
    program(only_path, "arm-none-eabi-gcc", "libc.a")
    assert not doctor.check_newlib().ok
    program(only_path, "arm-none-eabi-gcc", "/usr/lib/arm/libc.a")
    assert doctor.check_newlib().found == "/usr/lib/arm/libc.a"


def test_broken_program_is_missing(only_path):
    program(only_path, "clang", "clang version 14", code=1)
    assert not named(doctor.examine(), "clang").ok


def test_emulator_without_the_machines(only_path):
    program(only_path, "qemu-system-arm", "QEMU emulator version 1.0")
    check = doctor.check_qemu()
    assert not check.ok
    assert "netduinoplus2" in check.remedy


def test_emulator_with_the_machines(only_path, monkeypatch):
    monkeypatch.setattr(doctor, "_machines", lambda: {"netduinoplus2", "mps2-an386"})
    program(only_path, "qemu-system-arm", "QEMU 7.2\nnetduinoplus2  a board\nmps2-an386  another")
    check = doctor.check_qemu()
    assert check.ok
    assert check.found == "QEMU 7.2 (mps2-an386, netduinoplus2)"


@pytest.mark.parametrize(
    ("requirement", "ok"),
    [
        ("pytest>=1.0", True),
        ("pytest>=1000", False),
        ("tinyq-no-such-distribution", False),
    ],
)
def test_package_is_compared_with_its_requirement(requirement, ok, monkeypatch):
    monkeypatch.setattr(doctor, "_requirements", lambda: [requirement])
    (check,) = doctor.check_packages()
    assert check.ok is ok
    assert check.remedy == (None if ok else f'{sys.executable} -m pip install "{requirement}"')


def test_requirement_of_another_system_is_left_out(monkeypatch):
    monkeypatch.setattr(doctor, "_requirements", lambda: ['pytest; sys_platform == "beos"'])
    assert doctor.check_packages() == []


def test_requirements_are_those_of_the_project():
    names = {check.name for check in doctor.check_packages()}
    assert {"numpy", "keras", "pyserial"} <= names
    assert "pytest" not in names


def ports(monkeypatch, *devices):
    from serial.tools import list_ports

    found = [SimpleNamespace(device=str(device), description="ST-Link") for device in devices]
    monkeypatch.setattr(list_ports, "comports", lambda: found)


def test_no_serial_port_is_no_fault(monkeypatch):
    ports(monkeypatch)
    (check,) = doctor.check_serial_ports()
    assert check.ok
    assert check.found == "none plugged in"


def test_serial_port_that_may_not_be_opened(monkeypatch, tmp_path):
    port = tmp_path / "ttyACM0"
    port.touch()
    ports(monkeypatch, port)
    assert doctor.check_serial_ports()[0].ok
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (check,) = doctor.check_serial_ports()
    assert not check.ok
    assert not check.required
    assert check.remedy.startswith(f"sudo usermod -aG {port.group()} ")


def test_command_exits_with_one_when_something_is_missing(only_path, capsys):
    assert cli.main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert named([SimpleNamespace(**c) for c in answer["checks"]], "qemu-system-arm").ok is False
    assert cli.main(["doctor"]) == 1
    assert "qemu-system-arm: install" in capsys.readouterr().out


def test_command_exits_with_zero_when_nothing_required_is_missing(monkeypatch, capsys):
    part = doctor.Check("clang", "tests", False, False, None, "install clang")
    monkeypatch.setattr(doctor, "examine", lambda: (part,))
    assert cli.main(["doctor"]) == 0
    assert "optional" in capsys.readouterr().out
