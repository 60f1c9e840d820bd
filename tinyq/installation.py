"""What this machine has and lacks for building, emulating and measuring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tinyq.errors import TinyqError


@dataclass(frozen=True, slots=True)
class Check:
    """One part that was looked for.

    Args:
        name: The part: a Python package, a program, a serial port.
        purpose: What needs it.
        required: Whether `tinyq demo` fails without it.
        ok: Whether it is there and usable.
        found: Version or path, None when it is missing.
        remedy: The command that puts it right, None when nothing has to be done.
    """

    name: str
    purpose: str
    required: bool
    ok: bool
    found: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class _Program:
    """A program to look for; packages by package manager, in the order in which these are tried."""

    name: str
    commands: tuple[str, ...]
    purpose: str
    required: bool
    packages: Mapping[str, str]


_INSTALL = {
    "apt-get": "apt-get install -y",
    "brew": "brew install",
    "winget": "winget install",
}
_ARM_PACKAGES = {
    "apt-get": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "brew": "--cask gcc-arm-embedded",
    "winget": "Arm.GnuArmEmbeddedToolchain",
}
_QEMU_PACKAGES = {
    "apt-get": "qemu-system-arm",
    "brew": "qemu",
    "winget": "SoftwareFreedomConservancy.QEMU",
}
_CLANG_PACKAGES = {"apt-get": "clang libclang-rt-dev", "brew": "llvm", "winget": "LLVM.LLVM"}

_PROGRAMS = (
    _Program(
        "arm-none-eabi-gcc",
        ("arm-none-eabi-gcc",),
        "firmware for Arm Cortex-M",
        True,
        _ARM_PACKAGES,
    ),
    _Program(
        "host C compiler",
        ("cc", "gcc", "clang"),
        "target host, counting of instructions",
        True,
        {"apt-get": "gcc libc6-dev", "brew": "gcc", "winget": "LLVM.LLVM"},
    ),
    _Program("avr-gcc", ("avr-gcc",), "firmware for AVR", False, {"apt-get": "gcc-avr avr-libc"}),
    _Program(
        "RISC-V GCC",
        ("riscv64-unknown-elf-gcc", "riscv-none-elf-gcc"),
        "firmware for RISC-V",
        False,
        {"apt-get": "gcc-riscv64-unknown-elf", "brew": "riscv64-elf-gcc"},
    ),
    _Program(
        "qemu-system-riscv32",
        ("qemu-system-riscv32",),
        "target qemu for RISC-V",
        False,
        {"apt-get": "qemu-system-misc", "brew": "qemu"},
    ),
    _Program("clang", ("clang",), "tests with a second compiler", False, _CLANG_PACKAGES),
    _Program(
        "clang-format",
        ("clang-format",),
        "make lint",
        False,
        {"apt-get": "clang-format", "brew": "clang-format", "winget": "LLVM.LLVM"},
    ),
)


def examine() -> tuple[Check, ...]:
    """Look for everything that tinyq uses; starts programs only to ask for their version."""
    return (
        check_python(),
        *check_packages(),
        *(_check_program(program) for program in _PROGRAMS),
        check_newlib(),
        check_qemu(),
        *check_serial_ports(),
    )


def check_python() -> Check:
    """Check the version of the interpreter against 3.11."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    enough = sys.version_info >= (3, 11)
    remedy = None if enough else "install Python 3.11 or newer"
    return Check("python", "everything", True, enough, version, remedy)


def check_packages() -> list[Check]:
    """Compare the installed distributions with the ones that tinyq's own metadata asks for."""
    from packaging.requirements import Requirement

    checks = []
    for requirement in map(Requirement, sorted(_requirements(), key=str.lower)):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found = None
        ok = found is not None and requirement.specifier.contains(found, prereleases=True)
        remedy = None if ok else f'{sys.executable} -m pip install "{requirement}"'
        checks.append(Check(requirement.name, "Python package", True, ok, found, remedy))
    return checks


def _requirements() -> list[str]:
    """Read the dependencies from pyproject.toml in a checkout, else from the installed wheel."""
    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if project.is_file():
        import tomllib

        listed: list[str] = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
        return listed
    return metadata.requires("tinyq") or []


def _check_program(program: _Program) -> Check:
    path = next(filter(None, map(shutil.which, program.commands)), None)
    found = _first_line(path, "--version") if path else None
    remedy = None if found else _install_command(program.packages)
    return Check(program.name, program.purpose, program.required, found is not None, found, remedy)


def check_newlib() -> Check:
    """Ask the cross compiler for its C library; it answers with a bare name when there is none."""
    compiler = shutil.which("arm-none-eabi-gcc")
    flags = ("-mcpu=cortex-m4", "-mthumb", "-print-file-name=libc.a")
    answer = _first_line(compiler, *flags) if compiler else None
    found = str(Path(answer).resolve()) if answer and Path(answer).is_absolute() else None
    remedy = None if found else _install_command(_ARM_PACKAGES)
    return Check("newlib", "C library of the firmware", True, found is not None, found, remedy)


def check_qemu() -> Check:
    """Check that QEMU is there and knows every machine that an Arm board of the catalogue names."""
    name, purpose = "qemu-system-arm", "target qemu"
    path = shutil.which(name)
    version = _first_line(path, "--version") if path else None
    if path is None or version is None:
        return Check(name, purpose, True, False, None, _install_command(_QEMU_PACKAGES))
    known = set(re.findall(r"^(\S+)", _run(path, "-machine", "help") or "", re.MULTILINE))
    try:
        wanted = _machines()
    except TinyqError as error:
        return Check(name, purpose, True, False, version, f"correct boards.yaml: {error}")
    lacking = sorted(wanted - known)
    if lacking:
        remedy = f"install QEMU 7.2 or newer: this one lacks {', '.join(lacking)}"
        return Check(name, purpose, True, False, version, remedy)
    return Check(name, purpose, True, True, f"{version} ({', '.join(sorted(wanted))})")


def _machines() -> set[str]:
    """Return the machines of qemu-system-arm that the boards name."""
    from tinyq.hardware.boards import load_boards

    return {
        board.qemu_machine
        for board in load_boards().values()
        if board.qemu_machine and board.isa != "rv32"
    }


def check_serial_ports() -> list[Check]:
    """List the serial ports and whether this user may open them."""
    try:
        from serial.tools import list_ports
    except ImportError:
        return []  # check_packages reports pyserial
    purpose = "target serial"
    ports = sorted(list_ports.comports())
    if not ports:
        return [Check("serial port", purpose, False, True, "none plugged in")]
    return [_check_port(port.device, str(port.description), purpose) for port in ports]


def _check_port(device: str, description: str, purpose: str) -> Check:
    usable = os.name == "nt" or os.access(device, os.R_OK | os.W_OK)
    if usable:
        return Check(device, purpose, False, True, description)
    return Check(device, purpose, False, False, description, _permission_remedy(Path(device)))


def _permission_remedy(device: Path) -> str:
    try:
        group = device.group()
    except (OSError, KeyError):
        group = "dialout"
    return f"sudo usermod -aG {group} $USER, then log in again"


def _install_command(packages: Mapping[str, str]) -> str:
    """Return the line that installs a package with the first package manager found here."""
    for manager, names in packages.items():
        if shutil.which(manager):
            sudo = "sudo " if manager == "apt-get" and os.geteuid() != 0 else ""
            return f"{sudo}{_INSTALL[manager]} {names}"
    return f"install it with your package manager (Debian: {packages['apt-get']})"


def _first_line(program: str, *arguments: str) -> str | None:
    """Return the first line that a program prints, None when it fails."""
    lines = (_run(program, *arguments) or "").splitlines()
    return lines[0].strip() if lines else None


def _run(program: str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def missing(checks: Iterable[Check]) -> list[Check]:
    """Return the required parts that are not usable."""
    return [check for check in checks if check.required and not check.ok]
