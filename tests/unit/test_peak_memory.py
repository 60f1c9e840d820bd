"""The peak of the memory is that of the work alone."""

from __future__ import annotations

from tests.peak_memory import measure_growth

MEGABYTES = 1 << 20


def test_growth_shows_behind_a_larger_peak():
    assert measure_growth(lambda: b"\1" * (256 * MEGABYTES)) > 240 * MEGABYTES
    assert 90 * MEGABYTES < measure_growth(lambda: b"\1" * (100 * MEGABYTES)) < 120 * MEGABYTES
    assert measure_growth(lambda: None) < 10 * MEGABYTES
