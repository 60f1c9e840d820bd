"""As many channels as the bits of the weights allow: one number of bits for all layers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.searched import draw_stripes, train_small
from tinyq.errors import TinyqError
from tinyq.exploration.widths import compare_widths, count_weight_bits
from tinyq.support.datasets import make_dataset
from tinyq.training.course import Course
from tinyq.training.lowering.network import import_keras


@pytest.mark.slow
def test_widths_have_about_as_many_bits_and_can_be_exported() -> None:
    """r = sqrt(k_0 / k) for the inner layer; first and last grow by r, their inputs do not."""
    x, y = draw_stripes()
    data = make_dataset(x, y)
    model = train_small(x[:32], y[:32])
    course = Course(epochs=2, rate=1e-2)
    found = compare_widths(model, ("int8", "int4"), data, data, course)
    assert [it.score for it in found] == sorted((it.score for it in found), reverse=True)
    by_method = {it.method: it for it in found}
    assert by_method["int8"].factor == 1.0
    assert by_method["int4"].factor == pytest.approx(math.sqrt(2.0))
    for one in found:
        assert one.weight_bits == count_weight_bits(one.model)
        assert one.score is not None and 1 / 3 < one.score <= 1.0
        assert import_keras(one.model).nodes
    wide = [np.prod(it.model.get_layer("wide").kernel.shape) for it in found]
    bits = {it.method: size for it, size in zip(found, wide, strict=True)}
    assert 4 * bits["int4"] == pytest.approx(8 * bits["int8"], rel=0.1)


def test_no_method_has_no_width() -> None:
    x, y = draw_stripes()
    data = make_dataset(x, y)
    with pytest.raises(TinyqError, match="no method"):
        compare_widths(None, (), data, data)
