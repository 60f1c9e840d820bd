"""Staircases against a search among the borders, at the borders and right beside them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tinyq.quantizers import METHODS
from tinyq.quantizers.parts.stairs import climb, split_flights
from tinyq.quantizers.stepped import SteppedQuantizer, log_borders, middle_borders

PLAIN = tuple(range(1, 16))
POWERS = tuple(2**exponent for exponent in range(7))
STAIRCASES = {
    "even": (middle_borders(PLAIN), PLAIN),
    "powers": (log_borders(POWERS), POWERS),
    "few": ((0.5, 1.75), (3, 4)),
    "two flights": ((1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0), (1, 2, 3, 4, 6, 8, 10)),
    "no flight": ((0.1, 0.2, 0.3, 0.4), (1, 2, 3, 4)),
} | {
    name: (quantizer.borders, quantizer.levels[1:])
    for name, method in METHODS.items()
    if method.activations is not None
    and isinstance(quantizer := method.activations.build(name="x"), SteppedQuantizer)
}


@pytest.mark.parametrize("name", STAIRCASES)
def test_a_border_is_reached_by_itself_and_all_above(name, rng):
    borders, levels = STAIRCASES[name]
    exact = np.array(borders, np.float32)
    far = np.float32([0.0, -0.0, 1e-45, 1e-38, -1e-38, 3e38, -3e38, np.inf, -np.inf, 2.0**24])
    beside = [np.nextafter(exact, side, dtype=np.float32) for side in (-np.inf, np.inf)]
    drawn = rng.normal(0, borders[-1], 20_000).astype(np.float32)
    x = np.concatenate([exact, *beside, exact + exact[-1], -exact, far, drawn])
    wanted = np.array([0, *levels])[np.searchsorted(exact, x, side="right")]

    def run(positions):
        return climb(positions, borders, levels)

    for function in (run, tf.function(run, autograph=False)):
        np.testing.assert_array_equal(np.asarray(function(tf.constant(x))), wanted)


def test_flights_are_the_longest():
    flights = list(split_flights(*STAIRCASES["two flights"]))
    assert [flight.count for flight in flights] == [4, 3]
    assert [flight.count for flight in split_flights(*STAIRCASES["even"])] == [1, 14]
    assert all(flight.count == 1 for flight in split_flights(*STAIRCASES["no flight"]))
