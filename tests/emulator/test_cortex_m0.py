"""Kernels for Armv6-M on a core that has no other instructions: QEMU's micro:bit, a Cortex-M0.

Unaligned loads fault there, which the larger machines of the other tests allow. It has 16 KiB of
RAM: small cases, several to an image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePath

import numpy as np
import pytest

from tests.emulator.test_fast_kernels import NARROWED, SPECIAL, make_cases
from tests.many_graphs import Case, ask_device
from tinyq.hardware.boards import find_board
from tinyq.kernels.base import Kernel

CASES = int(os.environ.get("TINYQ_EMULATOR_CASES", "1"))
MOST_DRAWN = 16  # until there are `CASES` that fit
HANDY = 2600  # bytes of a case; several share an image. Larger ones only where no other fits
ROOM = 7168  # bytes for the arenas of an image and its largest input and output
ALONE = 11_008  # bytes of a case that has an image of its own, its buffers there twice
KERNELS = [kernel for kernel in (*SPECIAL, *NARROWED) if kernel.isa == "armv6m"]


def measure_arena(case: Case) -> int:
    name = case.graph.name
    words = case.tree.files[PurePath(f"{name}.h")].split()
    return int(words[words.index(f"{name.upper()}_ARENA_BYTES") + 1])


def measure_buffers(case: Case) -> int:
    return case.inputs.shape[1] + case.answers.shape[1]


def draw_small(kernel: Kernel, place: int, seed: int) -> list[Case]:
    """The first cases of a kernel that fit into the RAM."""
    count = 2 * CASES
    while True:
        drawn = make_cases(kernel, place, seed, count)
        handy = [case for case in drawn if measure_arena(case) + measure_buffers(case) <= HANDY]
        if len(handy) >= CASES:
            return handy[:CASES]
        count *= 2
        if count > MOST_DRAWN * CASES:
            break
    fitting = [case for case in drawn if measure_arena(case) + 2 * measure_buffers(case) <= ALONE]
    assert fitting, f"{kernel.name}: no case fits; draw smaller ones in tests/fast_graphs.py"
    return fitting[:CASES]


def pack(cases: list[tuple[str, Case]]) -> Iterator[list[tuple[str, Case]]]:
    """Images whose arenas fit beside the largest buffers."""
    image: list[tuple[str, Case]] = []
    for owner, case in sorted(cases, key=lambda named: measure_buffers(named[1])):
        arenas = sum(measure_arena(it) for _, it in image) + measure_arena(case)
        if image and arenas + measure_buffers(case) > ROOM:
            yield image
            image = []
        image.append((owner, case))
    if image:
        yield image


def test_the_core_has_no_instructions_but_its_own():
    board = find_board("microbit-v1")
    assert (board.isa, board.qemu_machine) == ("armv6m", "microbit")
    assert "-mcpu=cortex-m0" in board.cflags


@pytest.mark.requires("qemu-system-arm", "arm-none-eabi-gcc")
def test_kernels_of_armv6m_answer_as_the_reference_on_a_cortex_m0(seed, tmp_path):
    named = []
    for place, kernel in enumerate(KERNELS):
        named += [(kernel.name, case) for case in draw_small(kernel, place, seed)]
    wrong = []
    for index, image in enumerate(pack(named)):
        cases = [case for _, case in image]
        replies = ask_device(cases, find_board("microbit-v1"), tmp_path / str(index))
        wrong += [
            f"{owner}: {case.graph.nodes[0].op}, {case.graph.types(case.graph.nodes[0])}"
            for (owner, case), got in zip(image, replies, strict=True)
            if not np.array_equal(got, case.answers)
        ]
    assert not wrong, "\n".join(wrong)
