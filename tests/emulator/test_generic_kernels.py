"""Generic kernels where ``int`` has 16 bits: the emulated ATmega2560 answers as the reference.

A run of the tests takes those of 16-bit codes and some others, by the seed; ``make test-kernels``
takes all (``TINYQ_GENERIC_KERNELS=all``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.bitexact.bench import Case
from tests.bitexact.cases import draw_cases
from tests.emulator.device_bench import run_on_device
from tinyq.errors import BudgetError
from tinyq.hardware.boards import Board, find_board
from tinyq.kernels.base import Kernel
from tinyq.kernels.registry import list_kernels

ALL = os.environ.get("TINYQ_GENERIC_KERNELS") == "all"
COUNT = 3 if ALL else 1
STAGES = 99 if ALL else 1  # epilogues of each kernel
OTHERS = 12  # kernels beside those of wide codes, where not all are taken
SMALL_BYTES = 500  # of an encoded case, where there is one: the serial line takes the time
MOST_BYTES = 2600  # of an encoded case: the chip has 8 KiB of RAM
MOST_FUNCTIONS = 32  # in an image: the chip has 256 KiB of flash
TRIES = 20

GENERIC = [kernel for kernel in list_kernels() if kernel.isa == "generic"]
# Whose products leave 16 bits most easily.
WIDE = [
    kernel
    for kernel in GENERIC
    if kernel.operation == "interpolate" or {"s16", "s32"} & set(kernel.formats)
]


def choose_kernels(seed: int) -> list[Kernel]:
    if ALL:
        return GENERIC
    others = [kernel for kernel in GENERIC if kernel not in WIDE]
    places = np.random.default_rng((seed, 7)).choice(len(others), OTHERS, replace=False)
    return [*WIDE, *(others[place] for place in sorted(places))]


def draw_small(kernel: Kernel, rng: np.random.Generator) -> list[Case]:
    """Cases that fit into the chip's RAM: `COUNT` with each epilogue, the smallest drawn."""
    drawn: dict[str, list[Case]] = {}
    for _ in range(TRIES):
        for case in draw_cases(kernel, rng, COUNT):
            drawn.setdefault(case.function, []).append(case)
        if all(
            sum(len(case.encode(0, 4)) <= SMALL_BYTES for case in cases) >= COUNT
            for cases in drawn.values()
        ):
            break
    names = rng.permutation(sorted(drawn))[:STAGES]
    cases = [case for name in names for case in sorted(drawn[name], key=_measure)[:COUNT]]
    missing = {case.function for case in cases if _measure(case) > MOST_BYTES}
    assert not missing, f"no case of {', '.join(missing)} has at most {MOST_BYTES} bytes"
    return cases


def _measure(case: Case) -> int:
    return len(case.encode(0, 4))


def split(cases: list[Case]) -> Iterator[list[Case]]:
    """Parts of the cases, each with at most `MOST_FUNCTIONS` functions; large ones apart.

    All requests of an image are as long as its largest.
    """
    largest: dict[str, int] = {}
    for case in cases:
        name = case.function
        largest[name] = max(largest.get(name, 0), _measure(case))
    names = sorted(largest, key=lambda name: (largest[name] > 2 * SMALL_BYTES, name))
    small = sum(largest[name] <= 2 * SMALL_BYTES for name in names)
    for part in (names[:small], names[small:]):
        for start in range(0, len(part), MOST_FUNCTIONS):
            chosen = set(part[start : start + MOST_FUNCTIONS])
            yield [case for case in cases if case.function in chosen]


def run_in_images(cases: list[Case], board: Board, folder: Path) -> list[tuple[Case, np.ndarray]]:
    """Cases with what the device gave; in as many images as its flash makes necessary."""
    try:
        return list(zip(cases, run_on_device(cases, board, folder), strict=True))
    except BudgetError:
        names = sorted({case.function for case in cases})
        if len(names) == 1:
            raise
    first = set(names[: len(names) // 2])
    halves = [
        [case for case in cases if (case.function in first) == is_first]
        for is_first in (True, False)
    ]
    return [
        found
        for number, half in enumerate(halves)
        for found in run_in_images(half, board, folder.with_name(f"{folder.name}-{number}"))
    ]


@pytest.mark.requires("avr-gcc", "gcc")
def test_generic_kernels_answer_as_the_reference(seed, tmp_path):
    rng = np.random.default_rng((seed, 8))
    cases = [case for kernel in choose_kernels(seed) for case in draw_small(kernel, rng)]
    board = find_board("arduino-mega")
    wrong = []
    for number, part in enumerate(split(cases)):
        wrong += [
            f"{case.function}: {(got != case.expect()).sum()} of {got.size} bytes; {case.op}"
            for case, got in run_in_images(part, board, tmp_path / str(number))
            if not np.array_equal(got, case.expect())
        ]
    assert not wrong, "\n".join(wrong)
