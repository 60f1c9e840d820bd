"""Executed instructions of emulated firmware: per layer, per function, in total."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyq.errors import LinkError
from tinyq.targets.native import Native, compile_once
from tinyq.targets.symbols import Functions, Symbol

# What a mark executes belongs to no layer: the mark, and the clock that it reads.
_SKIPPED = ("tq_profile_mark", "tq_port_cycles")


@dataclass(frozen=True, slots=True)
class LayerCount:
    """Instructions of one layer.

    Args:
        total: Over all runs.
        min: Least in one run.
        max: Most in one run.
    """

    total: int
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class AddressCost:
    """What one instruction did in one layer of one inference.

    Args:
        layer: Layer, from 0.
        address: The instruction's.
        executions: How often it was executed, a failed condition included.
        taken: How often something else than the next instruction followed.
        flash_loads: Reads of the code memory; a load of two registers makes two, one of a vector as
            many as it has elements.
        other_loads: Reads of RAM and peripherals.
        stores: Writes.
    """

    layer: int
    address: int
    executions: int
    taken: int
    flash_loads: int
    other_loads: int
    stores: int


@dataclass(frozen=True, slots=True)
class InstructionCounts:
    """Executed instructions.

    The layers hold all from one mark to the next but the mark itself; the two instructions that
    call a mark count for the layer before it. Functions and total hold everything since the start,
    waiting for the serial line included.

    Args:
        runs: Complete inferences.
        layers: One count per layer.
        functions: Instructions per function of the image, most first.
        total: Instructions in all.
        costs: Of the first inference, per layer and instruction; empty where not asked for.
    """

    runs: int
    layers: tuple[LayerCount, ...]
    functions: Mapping[str, int]
    total: int
    costs: tuple[AddressCost, ...] = ()

    @property
    def per_run(self) -> int:
        """Instructions of all layers in one inference, averaged over the runs, rounded down."""
        return sum(layer.total for layer in self.layers) // self.runs if self.runs else 0


def plugin_arguments(
    qemu: str, functions: Functions, layers: int, out: Path, flash: range | None = None
) -> list[str]:
    """Return the arguments that make QEMU count, and build the plugin when there is none yet.

    Args:
        qemu: The emulator.
        functions: Functions of the image.
        layers: Layers of the model.
        out: File that QEMU writes when it exits.
        flash: Addresses of the code memory, if the costs of single instructions are wanted.

    Raises:
        ToolMissing: If no C compiler is installed.
        LinkError: If the plugin does not compile, or the image has no marks.

    Twin: qemu_plugin_install in firmware/emulator/tq_count.c.
    """
    plugin = build_plugin(find_interface(qemu))
    words = [f"file={plugin}", *settings(functions, layers, out, flash)]
    return ["-plugin", ",".join(map(_escape, words))]


def settings(functions: Functions, layers: int, out: Path, flash: range | None = None) -> list[str]:
    """Return what a counter must know of an image, as words NAME=VALUE.

    Args:
        functions: Functions of the image.
        layers: Layers of the model.
        out: File that the counter writes.
        flash: Addresses of the code memory, if the costs of single instructions are wanted.

    Raises:
        LinkError: If the image has no marks.

    Twin: parse_setting in firmware/emulator/tq_layers.h.
    """
    run, mark = functions.find("tq_profile_run"), functions.find("tq_profile_mark")
    words = [
        f"out={out}",
        f"run={run.address:#x}",
        f"mark={mark.address:#x}",
        f"layers={layers}",
    ]
    words += [f"flash={flash.start:#x}-{flash.stop:#x}"] if flash else []
    return words + [f"skip={_range(functions.find(name))}" for name in _SKIPPED]


def find_interface(qemu: str) -> int:
    """Return the version of the plugin interface that a QEMU has: 1 until 8.2, then 2.

    Raises:
        LinkError: If the program does not say its version.
    """
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+)\.", said)
    if version is None:
        raise LinkError("the emulator does not say its version", where=qemu)
    return 1 if int(version[1]) < 9 else 2


def build_plugin(interface: int) -> Path:
    """Return the compiled plugin; the first call for a source and compiler compiles it.

    Args:
        interface: Version of QEMU's plugin interface.

    Raises:
        ToolMissing: If no C compiler is installed.
        LinkError: If it does not compile.
    """
    native = Native(
        source="tq_count.c",
        title="the counting plugin",
        purpose="counting instructions",
        flags=_plugin_flags(interface),
        packages="apt-get install gcc libc6-dev (macOS: xcode-select --install)",
        suffix=".so",
    )
    return compile_once(native)


def read(file: Path, functions: Functions, layers: int) -> InstructionCounts:
    """Return what the plugin wrote.

    Args:
        file: The plugin's file.
        functions: Functions of the image.
        layers: Layers of the model.

    Raises:
        LinkError: If the file is missing or cut off.

    Twin: write_counts in firmware/emulator/tq_count.c.
    """
    numbers: dict[str, int] = {}
    counted: list[LayerCount] = []
    costs: list[AddressCost] = []
    by_function: Counter[str] = Counter()
    for line in _read_lines(file):
        kind, *fields = line.split(",")
        if kind == "layer":
            counted.append(LayerCount(*map(int, fields[1:])))
        elif kind == "cost":
            costs.append(AddressCost(int(fields[0]), int(fields[1], 16), *map(int, fields[2:])))
        elif kind == "address":
            by_function[functions.name_at(int(fields[0], 16))] += int(fields[1])
        else:
            numbers[kind] = int(fields[0])
    if "total" not in numbers or len(counted) != layers:
        raise LinkError("the emulator's counts are cut off", where=str(file))
    return InstructionCounts(
        runs=numbers["runs"],
        layers=tuple(counted),
        functions=dict(by_function.most_common()),
        total=numbers["total"],
        costs=tuple(sorted(costs, key=lambda cost: (cost.layer, cost.address))),
    )


def _read_lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        raise LinkError(
            "the emulator wrote no counts: it was killed before it could",
            where=str(file),
            remedy="measure again",
        ) from None


def _plugin_flags(interface: int) -> tuple[str, ...]:
    flags = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", "-fPIC", "-shared"]
    flags += ["-fvisibility=hidden", f"-DTQ_PLUGIN_VERSION={interface}"]
    flags += ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return tuple(flags)


def _escape(word: str) -> str:
    """Return a word for QEMU's option syntax, where a comma is written twice."""
    return word.replace(",", ",,")


def _range(symbol: Symbol) -> str:
    return f"{symbol.address:#x}-{symbol.address + symbol.size_bytes:#x}"
