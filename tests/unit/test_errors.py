from __future__ import annotations

import pickle

import pytest

from tinyq import errors
from tinyq.errors import ModelError, TinyqError


@pytest.mark.parametrize(
    ("where", "remedy", "line", "lines"),
    [
        (None, None, "no such layer", ["error: no such layer"]),
        ("conv_1", None, "conv_1: no such layer", ["error: no such layer", "  where:  conv_1"]),
        (
            "conv_1",
            "remove it",
            "conv_1: no such layer (remove it)",
            ["error: no such layer", "  where:  conv_1", "  remedy: remove it"],
        ),
    ],
)
def test_message_tells_what_where_and_what_to_do(where, remedy, line, lines):
    error = TinyqError("no such layer", where=where, remedy=remedy)
    assert str(error) == line
    assert error.render().splitlines() == lines


@pytest.mark.parametrize("kind", TinyqError.__subclasses__())
def test_every_error_is_public_and_survives_pickling(kind):
    assert getattr(errors, kind.__name__) is kind
    copy = pickle.loads(pickle.dumps(kind("text", where="place", remedy="advice")))
    assert type(copy) is kind
    assert (copy.message, copy.where, copy.remedy) == ("text", "place", "advice")
    assert str(copy) == "place: text (advice)"


def test_error_is_caught_by_its_base():
    with pytest.raises(TinyqError, match="layer: too deep"):
        raise ModelError("too deep", where="layer")
