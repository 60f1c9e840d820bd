"""Layers of a float network in another form: with fewer channels, or in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.training.patterns import NORMALIZATION
from tinyq.training.registry import kind_of

_SUMMING = ("Conv1D", "Conv2D", "Dense")
_ELEMENTWISE = ("Activation", "Dropout", "ELU", "LeakyReLU", "ReLU", "SpatialDropout2D")
_SPATIAL = ("Pooling", "Padding", "UpSampling", "Cropping")
_DEEP = ("DepthwiseConv1D", "DepthwiseConv2D")

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Form:
    """What a layer with weights is beside its methods.

    Attributes:
        keep: Share of its output channels that stay, those with the largest weights.
        groups: Groups of a convolution, each of which reads its own part of the input's channels.
    """

    keep: float = 1.0
    groups: int = 1

    @property
    def label(self) -> str:
        """What differs from the float model, as tables show it; empty where nothing does."""
        keep = "" if self.keep == 1.0 else f" keep={self.keep:g}"
        return keep + ("" if self.groups == 1 else f" groups={self.groups}")


PLAIN = Form()


def reshape_layers(model: keras.Model, forms: Mapping[str, Form]) -> keras.Model:
    """A float network whose layers have other forms, with the weights that stay.

        kept channels = the max(1, round(keep n)) of the largest |w_c| gamma_c / sigma_c
        groups        = channel c of group j keeps its weights for the inputs of group j

    Readers of a channel that goes lose their weights for it, so that the network is smaller and
    not only sparser.

    Args:
        model: Plain float model (see ``tinyq.training.rewriting``); it is left as it is.
        forms: By the names of layers with weights.

    Raises:
        ModelError: A layer cannot have the form: its channels are added to others' or are outputs
            of the model, or they cannot be divided into groups.

    Reference: Li et al. 2017, Pruning filters for efficient convnets, arXiv:1608.08710 (norms).
    """
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    changes: dict[str, dict[str, int]] = {}
    for name, form in forms.items():
        if form.keep != 1.0:
            _prune(model, name, form.keep, weights, changes)
    for name, form in forms.items():
        if form.groups != 1:
            _divide(model.get_layer(name), form.groups, weights, changes)

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        return layer.__class__.from_config({**layer.get_config(), **changes.get(layer.name, {})})

    twin = keras.models.clone_model(model, clone_function=clone)
    for name, arrays in weights.items():
        twin.get_layer(name).set_weights(arrays)
    return twin


def _prune(
    model: keras.Model,
    name: str,
    keep: float,
    weights: dict[str, list[Any]],
    changes: dict[str, dict[str, int]],
) -> None:
    layer = model.get_layer(name)
    if kind_of(layer) not in _SUMMING or getattr(layer, "groups", 1) != 1:
        raise ModelError(
            f"a {kind_of(layer)} cannot lose channels of its own",
            where=name,
            remedy="leave `keep` to convolutions without groups and to dense layers",
        )
    # The whole walk comes before the first change: a refusal leaves nothing half done.
    channels = layer.output.shape[-1]
    chosen = _choose(model, layer, max(1, round(keep * channels)))
    readers = list(_follow(model, layer, chosen))
    weights[name] = [np.take(it, chosen, axis=-1) for it in weights[name]]
    changes.setdefault(name, {})["units" if kind_of(layer) == "Dense" else "filters"] = len(chosen)
    for reader, change in readers:
        weights[reader] = change(weights[reader])


def _choose(model: keras.Model, layer: Any, count: int) -> Index:
    """Channels with the largest weights, BatchNorm's factors included, in their order."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    sizes = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]).astype(np.float64), axis=0)
    following = _readers(layer.output)
    if len(following) == 1 and kind_of(following[0]) == NORMALIZATION:
        norm = following[0]
        deviation = np.sqrt(keras.ops.convert_to_numpy(norm.moving_variance) + norm.epsilon)
        gamma = keras.ops.convert_to_numpy(norm.gamma) if norm.scale else 1.0
        sizes = sizes * np.abs(gamma) / deviation
    order = np.argsort(-sizes, kind="stable")
    return np.sort(order[:count]).astype(np.int64)


Change = Callable[[list[Any]], list[Any]]


def _follow(model: keras.Model, layer: Any, chosen: Index) -> Iterator[tuple[str, Change]]:
    """Layers that lose weights with the channels of a layer, and how."""
    if any(layer.output is tensor for tensor in model.outputs):
        raise ModelError(
            "channels of an output of the model cannot be left out",
            where=layer.name,
            remedy="take `keep` out of the space of the last layer",
        )
    for reader in _readers(layer.output):
        kind = kind_of(reader)
        if kind in _SUMMING and getattr(reader, "groups", 1) == 1:
            yield reader.name, _take_inputs(chosen)
            continue
        if kind == "Flatten":
            positions = int(np.prod(layer.output.shape[1:-1]))
            steps = layer.output.shape[-1] * np.arange(positions)[:, None]
            yield from _follow(model, reader, (steps + chosen).ravel())
            continue
        if kind in _DEEP and getattr(reader, "depth_multiplier", 1) == 1:
            yield reader.name, _take_deep(chosen)
        elif kind in (NORMALIZATION, "PReLU"):
            yield reader.name, _take_last(chosen)
        elif kind not in _ELEMENTWISE and not any(part in kind for part in _SPATIAL):
            raise ModelError(
                f"a {kind} reads its channels together with others",
                where=layer.name,
                remedy="take `keep` out of the space of this layer",
            )
        yield from _follow(model, reader, chosen)


def _take_last(chosen: Index) -> Change:
    return lambda arrays: [np.take(it, chosen, axis=-1) for it in arrays]


def _take_inputs(chosen: Index) -> Change:
    return lambda arrays: [np.take(arrays[0], chosen, axis=-2), *arrays[1:]]


def _take_deep(chosen: Index) -> Change:
    def change(arrays: list[Any]) -> list[Any]:
        return [
            np.take(arrays[0], chosen, axis=-2),
            *(np.take(it, chosen, axis=-1) for it in arrays[1:]),
        ]

    return change


def _divide(
    layer: Any, groups: int, weights: dict[str, list[Any]], changes: dict[str, dict[str, int]]
) -> None:
    kernel = weights[layer.name][0]
    inputs, outputs = kernel.shape[-2:]
    plain = kind_of(layer) in ("Conv1D", "Conv2D") and layer.groups == 1
    if not plain or inputs % groups or outputs % groups:
        raise ModelError(
            f"{inputs} and {outputs} channels of a {kind_of(layer)} are not {groups} groups",
            where=layer.name,
            remedy="give a number of groups that divides both, for convolutions alone",
        )
    each, own = inputs // groups, outputs // groups
    parts = [
        kernel[..., at * each : (at + 1) * each, at * own : (at + 1) * own] for at in range(groups)
    ]
    weights[layer.name] = [np.concatenate(parts, axis=-1), *weights[layer.name][1:]]
    changes.setdefault(layer.name, {})["groups"] = groups


def _readers(tensor: Any) -> list[Any]:
    return [node.operation for node in tensor._keras_history.operation._outbound_nodes]
