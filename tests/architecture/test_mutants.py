"""The list of planted faults fits the sources, and the list of survivors fits the list."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import read_faults, read_survivors

FAULTS = {fault.name: fault for fault in read_faults()}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_can_be_planted(name):
    fault = FAULTS[name]
    fault.text()  # raises where the source has changed: give the fault its new text
    assert fault.old != fault.new
    assert fault.known_tests(), f"none of the tests of {name!r} is there"


def test_names_are_given_once_and_survivors_are_known():
    assert len(FAULTS) == len(read_faults())
    assert read_survivors() <= set(FAULTS)
