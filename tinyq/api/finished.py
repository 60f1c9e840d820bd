"""What leaves for a device has been trained to the end of its method, or the user accepts it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from tinyq.errors import ModelError, UnfinishedWarning


@contextmanager
def requiring_finished(unfinished: bool) -> Iterator[None]:
    """Refuse a model that is loaded inside while the method of a layer is on its way.

    Args:
        unfinished: Whether the user accepts that; the warning stays.

    Raises:
        ModelError: The method of a layer has not come to its end.
    """
    if unfinished:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnfinishedWarning)
        try:
            yield
        except UnfinishedWarning as found:
            names = ", ".join(found.layers)
            raise ModelError(
                "the weights have not been trained as their method wants: it has not come to its "
                "end",
                where=names,
                remedy="train with fit of a model from tinyq.quantize to its last epoch, or call "
                "tinyq.training.advance(model, 1.0) after a training of your own; --unfinished "
                "(unfinished=True) takes the model as it is",
            ) from None
