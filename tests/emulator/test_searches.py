"""Named methods of search end in firmware whose answers are Keras'.

A sample of them; TINYQ_SEARCHES=all takes all, as `python benchmarks/searches.py` does.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.searched import SEARCHES, count_trials, draw_stripes, search_and_measure, train_small

SOME = ("phan2020",)
NAMES = tuple(SEARCHES) if os.environ.get("TINYQ_SEARCHES") == "all" else SOME
FEW = 2


@pytest.fixture(scope="module")
def data():
    return draw_stripes()


@pytest.fixture(scope="module")
def model(data):
    return train_small(*data)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_named_method_ends_on_the_device(name: str, model, data, tmp_path: Path) -> None:
    trials = FEW if SOME == NAMES else count_trials(name)
    row = search_and_measure(name, model, data, tmp_path, trials)
    assert row["differ"] == row["keras"] == 0
    assert 1 <= row["trials"] <= trials and not row["failed"]
    assert row["instructions"] == pytest.approx(row["foreseen"], rel=0.05)
    assert row["flash_bytes"] > 0
