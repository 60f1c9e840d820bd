"""Normalizations of each sample by itself: layer, group, root mean square, unit length."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyq.training.layers.affine import Affine
from tinyq.training.layers.broadcast import Broadcast
from tinyq.training.layers.dot import MatrixProduct
from tinyq.training.layers.table import Table
from tinyq.training.registry import rewrites
from tinyq.training.rewriting import Application, Rewriting

_SMALLEST = 1e-12


class _Rows:
    """Rows of (rows, depth) that are normalized one by one, by plain layers."""

    def __init__(self, rewriting: Rewriting, use: Application, shape: tuple[int, int]) -> None:
        self._rewriting, self._use, self._shape = rewriting, use, shape

    def shape(self, tensor: Any, shape: tuple[int, ...], part: str) -> Any:
        """A tensor under another shape."""
        name = self._rewriting.name(f"{self._use.name}_{part}")
        return self._rewriting.add(keras.layers.Reshape(shape, name=name), tensor)

    def add(self, layer: type, part: str, *inputs: Any, **options: Any) -> Any:
        """A layer of this normalization."""
        name = self._rewriting.name(f"{self._use.name}_{part}")
        return self._rewriting.add(layer(**options, name=name), *inputs)

    def center(self, rows: Any) -> Any:
        """Rows less their means."""
        count, depth = self._shape
        image = self.shape(rows, (count, depth, 1), "image")
        mean = self.add(keras.layers.AveragePooling2D, "mean", image, pool_size=(1, depth))
        flat = self.shape(mean, (count, 1), "means")
        wide = self.add(Broadcast, "mean_of_each", flat, shape=self._shape)
        minus = self.add(Affine, "minus", wide, scale=[-1.0], offset=[0.0])
        return self.add(keras.layers.Add, "centered", rows, minus)

    def divide(self, rows: Any, epsilon: float, of_mean: bool) -> Any:
        """Rows over the root of the sum (or mean) of their squares."""
        count, depth = self._shape
        parts = self.shape(rows, (count, 1, depth), "parts")
        power = self.add(MatrixProduct, "power", parts, parts)
        share = 1.0 / depth if of_mean else 1.0
        arguments = {"factor": share, "epsilon": epsilon}
        root = self.add(Table, "reciprocal", power, function="reciprocal_root", arguments=arguments)
        flat = self.shape(root, (count, 1), "reciprocals")
        wide = self.add(Broadcast, "reciprocal_of_each", flat, shape=self._shape)
        return self.add(keras.layers.Multiply, "normal", rows, wide)

    def scale(self, values: Any, gamma: Any, beta: Any) -> Any:
        """Values of the output's shape with the factor and offset of each channel."""
        options: dict[str, Any] = {
            "scale": [1.0] if gamma is None else np.reshape(gamma, -1),
            "offset": [0.0] if beta is None else np.reshape(beta, -1),
        }
        if gamma is None and beta is None:
            layer: Any = keras.layers.Identity(name=self._use.name)
        else:
            self._rewriting.fixed[self._use.name] = None
            layer = Affine(**options, name=self._use.name)
        return self._rewriting.add(layer, values)


@rewrites("LayerNormalization", "RMSNormalization")
def rewrite_layer_normalization(rewriting: Rewriting, use: Application) -> Any:
    """Centered rows over the root of their mean square, times gamma, plus beta."""
    layer = use.layer
    _require_channels(use, layer.axis)
    rows = _Rows(rewriting, use, _as_rows(use))
    values = rows.shape(use.inputs[0], _as_rows(use), "rows")
    if kind_centers(layer):
        values = rows.center(values)
    values = rows.divide(values, float(layer.epsilon), of_mean=True)
    gamma = getattr(layer, "gamma", None) if kind_centers(layer) else layer.scale
    return rows.scale(
        rows.shape(values, use.shape, "shape"),
        _numbers(gamma),
        _numbers(getattr(layer, "beta", None)),
    )


@rewrites("UnitNormalization")
def rewrite_unit_normalization(rewriting: Rewriting, use: Application) -> Any:
    """Rows over their lengths."""
    _require_channels(use, use.layer.axis)
    rows = _Rows(rewriting, use, _as_rows(use))
    values = rows.shape(use.inputs[0], _as_rows(use), "rows")
    values = rows.divide(values, _SMALLEST, of_mean=False)
    return rows.scale(rows.shape(values, use.shape, "shape"), None, None)


@rewrites("GroupNormalization")
def rewrite_group_normalization(rewriting: Rewriting, use: Application) -> Any:
    """Rows of all positions of a group's channels, normalized as those of a LayerNormalization."""
    layer = use.layer
    _require_channels(use, layer.axis)
    channels = use.shape[-1]
    groups = channels if layer.groups == -1 else layer.groups
    positions = int(np.prod(use.shape[:-1]))
    each = channels // groups
    rows = _Rows(rewriting, use, (groups, positions * each))
    split = rows.shape(use.inputs[0], (positions, groups, each), "split")
    grouped = rows.add(keras.layers.Permute, "grouped", split, dims=(2, 1, 3))
    values = rows.center(rows.shape(grouped, (groups, positions * each), "rows"))
    values = rows.divide(values, float(layer.epsilon), of_mean=True)
    values = rows.shape(values, (groups, positions, each), "groups")
    joined = rows.add(keras.layers.Permute, "joined", values, dims=(2, 1, 3))
    return rows.scale(
        rows.shape(joined, use.shape, "shape"), _numbers(layer.gamma), _numbers(layer.beta)
    )


def kind_centers(layer: Any) -> bool:
    """Whether the means are taken off before."""
    return not isinstance(layer, keras.layers.RMSNormalization)


def _as_rows(use: Application) -> tuple[int, int]:
    return int(np.prod(use.shape[:-1], dtype=np.int64)), use.shape[-1]


def _numbers(variable: Any) -> np.ndarray | None:
    return None if variable is None else np.asarray(keras.ops.convert_to_numpy(variable))


def _require_channels(use: Application, axis: Any) -> None:
    axes = [axis] if isinstance(axis, int) else list(axis)
    if axes not in ([-1], [len(use.shape)]):
        raise use.refuse(f"normalizes over the axes {axis}", "use axis=-1")
