"""Layers whose channels come first, as layers whose channels come last between two permutations.

A permutation back that the next layer would undo is left out, and layers that work value by value
stay between the two, so that a network has one permutation where it begins and one where it ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from tinyq.training.registry import kind_of

if TYPE_CHECKING:
    from tinyq.training.rewriting import Application, Rewriting

_NORMALIZATION, _JOIN = "BatchNormalization", "Concatenate"
_VALUE_BY_VALUE = (
    *("Activation", "Add", "Average", "Dropout", "ELU", "Identity", "LeakyReLU", "Maximum"),
    *("Minimum", "Multiply", "ReLU", "Subtract"),
)
_RANKS = (3, 4)


class Turned:
    """Tensors whose channels come first, each with the one whose channels come last."""

    def __init__(self, rewriting: Rewriting) -> None:
        self._rewriting = rewriting
        self._last: dict[int, tuple[Any, Any]] = {}  # both are kept, so that no identity is reused

    def knows(self, tensors: tuple[Any, ...]) -> bool:
        """Whether all tensors are permutations of known ones."""
        return bool(tensors) and all(id(tensor) in self._last for tensor in tensors)

    def last(self, tensor: Any) -> Any:
        """A tensor with its channels last."""
        if id(tensor) not in self._last:
            order = (*range(2, len(tensor.shape)), 1)
            self._last[id(tensor)] = tensor, self._permute(tensor, order, "channels_last")
        return self._last[id(tensor)][1]

    def first(self, tensor: Any) -> Any:
        """A tensor with its channels first."""
        rank = len(tensor.shape) - 1
        turned = self._permute(tensor, (rank, *range(1, rank)), "channels_first")
        self._last[id(turned)] = turned, tensor
        return turned

    def _permute(self, tensor: Any, order: tuple[int, ...], name: str) -> Any:
        layer = keras.layers.Permute(order, name=self._rewriting.name(name))
        return self._rewriting.add(layer, tensor)


def has_channels_first(use: Application, turned: Turned) -> bool:
    """Whether a use of a layer is of channels that come first."""
    if getattr(use.layer, "data_format", None) == "channels_first":
        return True
    ranks = {len(tensor.shape) for tensor in use.inputs}
    kind = kind_of(use.layer)
    if not ranks <= set(_RANKS) or not ranks:
        return False
    if kind == _NORMALIZATION:
        return bool(use.layer.axis == 1)
    if kind == _JOIN:
        return bool(use.layer.axis == 1) and turned.knows(use.inputs)
    return kind in _VALUE_BY_VALUE and len(ranks) == 1 and turned.knows(use.inputs)


def rewrite_channels_first(rewriting: Rewriting, use: Application, turned: Turned) -> Any:
    """The layer with its channels last; the output is turned back where it has positions."""
    layer = use.layer
    inputs = tuple(turned.last(tensor) for tensor in use.inputs)
    config = layer.get_config()
    changed = {"data_format": "channels_last"} if "data_format" in config else {}
    if kind_of(layer) in (_NORMALIZATION, _JOIN):
        changed = {"axis": -1}
    if changed:
        twin = type(layer).from_config({**config, **changed})
        shapes = [tuple(tensor.shape) for tensor in inputs]
        twin.build(shapes if len(shapes) > 1 else shapes[0])
        twin.set_weights(layer.get_weights())
        output = rewriting.apply(twin, *inputs, name=use.name)
    else:
        shape = (*use.shape[1:], use.shape[0])
        output = rewriting.rewrite(replace(use, inputs=inputs, args=inputs, kwargs={}, shape=shape))
    return turned.first(output) if len(output.shape) - 1 in (2, 3) else output
