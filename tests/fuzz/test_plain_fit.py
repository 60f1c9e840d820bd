"""Every preset with a procedure: plain ``fit`` is the procedure written out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plain_fit import (
    BATCH,
    EPOCHS,
    list_scheduled,
    load_samples,
    quantized_network,
    train_by_hand,
)
from tinyq.training import settle
from tinyq.training.schedule import find_unfinished


@pytest.mark.parametrize(("role", "name"), list_scheduled())
def test_fit_is_the_procedure_written_out(role, name):
    plain, by_hand = quantized_network(role, name), quantized_network(role, name)
    plain.fit(*load_samples(), batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    train_by_hand(by_hand)
    settle(by_hand, load_samples()[0], BATCH)
    for left, right in zip(plain.variables, by_hand.variables, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy(), left.path)
    assert find_unfinished(plain) == ()
