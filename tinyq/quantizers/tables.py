"""Weights on levels of their own: a codebook for each layer, fitted to it and perhaps trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from keras import ops

from tinyq.quantizers.parts.clusters import MOST, Fit
from tinyq.quantizers.parts.gradients import with_sums
from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.weights import WeightParts, WeightQuantizer

Choice = Callable[[Any, Any, Any], Any]
Partition = Callable[[np.ndarray, np.ndarray], np.ndarray]
_HASH = 2654435761  # 2**32 over the golden ratio: neighbours fall into distant buckets


def choose_nearest(weights: Any, levels: Any, step: Any) -> Any:
    """Index of the level next to each weight.

    index = number of middles between neighbouring levels that w reaches

    Args:
        weights: Real weights.
        levels: Ascending, shape (count,).
        step: Not used.
    """
    del step
    middles = 0.5 * (levels[1:] + levels[:-1])
    flat = ops.searchsorted(middles, ops.reshape(weights, (-1,)), side="right")
    return ops.reshape(ops.cast(flat, "int32"), weights.shape)


def choose_by_threshold(weights: Any, levels: Any, step: Any) -> Any:
    """Index of the negative level, of zero or of the positive one.

        index = 0 for w < -step, 1 for |w| <= step, 2 for w > step

    Reference: survey eq. 22.
    """
    del levels
    return ops.cast(weights >= -step, "int32") + ops.cast(weights > step, "int32")


def choose_by_hash(weights: Any, levels: Any, step: Any) -> Any:
    """Index by the position of a weight, whatever its value.

        index = (position * 2654435761 mod 2**32) >> (32 - log2 count)

    Reference: Chen et al. 2015, arXiv:1504.04788, with a multiplicative hash.
    """
    del step
    bits = int(levels.shape[0]).bit_length() - 1
    positions = np.arange(np.prod(weights.shape), dtype=np.uint64)
    buckets = (positions * np.uint64(_HASH) % np.uint64(2**32)) >> np.uint64(32 - bits)
    return ops.convert_to_tensor(buckets.reshape(weights.shape).astype(np.int32))


def around_zero(levels: Any) -> Any:
    """A negative level, zero and a positive one, whatever training made of them.

    levels' = (-|level_0|, 0, |level_2|)
    """
    return ops.abs(levels) * ops.convert_to_tensor([-1.0, 0.0, 1.0])


def pass_on(index: Any, levels: Any) -> Any:
    """Straight-through estimator of the master weights.

    dy/dw = 1
    """
    del levels
    return ops.ones_like(index, dtype="float32")


def freeze_indices(index: Any, levels: Any) -> Any:
    """No gradient: the levels train, and the master weights follow them.

    dy/dw = 0
    """
    del levels
    return ops.zeros_like(index, dtype="float32")


def scaled_by_level(index: Any, levels: Any) -> Any:
    """Straight-through estimator scaled by the magnitude of the own level.

        dy/dw = Wp for level Wp, 1 for level 0, Wn for level -Wn

    Reference: survey eq. 23.
    """
    own = ops.abs(ops.take(levels, index))
    return ops.where(own > 0, own, ops.ones_like(own))


def largest_error_last(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Order in which clusters are fixed: the smallest loss first.

        loss_j = sum over the cluster of (w_i - c_j)**2

    Args:
        values: Weights that are free, shape (n,).
        levels: Free levels, ascending.

    Returns:
        Indexes of the levels.

    Reference: survey section 3.4.2 (SLQ), with the error of the weights for that of the network.
    """
    index = np.searchsorted((levels[1:] + levels[:-1]) / 2.0, values)
    errors = np.bincount(index, np.square(values - levels[index]), len(levels))
    return np.argsort(errors, kind="stable")


def outermost_first(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Order in which clusters are fixed: the boundaries first, whose weights count most.

    Reference: survey section 3.4.2 (MLQ).
    """
    del values
    return np.argsort(-np.abs(levels), kind="stable")


@dataclass(frozen=True, slots=True)
class Table:
    """Where levels come from and which one a weight takes.

    Attributes:
        count: Number of levels.
        fit: Levels from weights, once or in every epoch.
        choose: Index of each weight's level.
        moves: ``never`` after the first fit, ``epochs`` to fit anew at each epoch, ``training`` for
            levels that are trained by the summed gradients of their weights.
        keeps: Whether a weight stays in its first cluster; the master weights are its level.
        partition: Order in which clusters are fixed, for a procedure that freezes.
        constrain: What keeps trained levels in their order, after each step.
    """

    count: int
    fit: Fit
    choose: Choice = choose_nearest
    moves: Literal["never", "epochs", "training"] = "never"
    keeps: bool = False
    partition: Partition | None = None
    constrain: Callable[[Any], Any] | None = None

    @property
    def learned(self) -> bool:
        """Whether the levels are trained."""
        return self.moves == "training"


@dataclass(frozen=True, slots=True)
class TableParts(WeightParts):
    """What a weight quantizer with a table is made of.

        v     = prepare(w) / step, or prepare(w) where the step is a threshold
        index = choose(v, levels)
        codes = floor(levels / grain + 1/2)[index]
        scale = scale(prepare(w), codes, grain * step)
        w_q   = codes * scale

    Attributes:
        table: Its levels.
        normal: Whether weights are divided by the step before levels are fitted and chosen.
    """

    table: Table = field(kw_only=True)
    normal: bool = field(default=False, kw_only=True)

    def build(self, axes: Axes, **options: Any) -> WeightQuantizer:
        """The quantizer."""
        return TableQuantizer(self, axes, **options)

    def _fits_levels(self) -> bool:
        """True: the table gives the step."""
        return True


class TableQuantizer(WeightQuantizer):
    """Quantizes a kernel to the levels of its table, which are part of the layer's state.

    Args:
        parts: Parts of the method.
        axes: Axes of the kernel over which one scale is shared.
    """

    parts: TableParts

    def build(self, shape: Any) -> None:
        """Create the levels, and what the method needs for a kernel of ``shape``."""
        table = self.parts.table
        super().build(shape)
        self.table = self.add_weight(
            name="table",
            shape=(table.count,),
            initializer="zeros",
            trainable=table.learned,
            constraint=table.constrain,
        )
        self.grain = self._state("grain", (), 1.0)
        self.seen = self._state("seen", ())
        if table.keeps:
            self.index = self._state("index", shape)
        if self.parts.procedure.freezes:
            self.settled = self._state("settled", (table.count,))

    @property
    def magnitude(self) -> int:
        """Largest absolute code."""
        return MOST

    @property
    def has_procedure(self) -> bool:
        """Whether ``advance`` changes anything."""
        return super().has_procedure or self.parts.table.moves == "epochs"

    @property
    def updates(self) -> bool:
        """Whether ``updated`` changes anything."""
        return super().updates or self.parts.table.keeps

    def codes(self, kernel: Any) -> tuple[int, ...]:
        """Codes that weights may have, ascending, with the levels as they are."""
        levels, grain = self._levels(self._positions(kernel))
        return tuple(int(code) for code in ops.convert_to_numpy(_to_codes(levels, grain)))

    def updated(self, kernel: Any) -> Any:
        """Master weights after a step of the optimizer."""
        if self.parts.table.keeps:
            return self.quantized(kernel)
        return super().updated(kernel)

    def split(self, kernel: Any) -> tuple[Any, Any]:
        """Codes (float32 integers, shape of the kernel) and scales (dimensions kept)."""
        weights = self._prepared(ops.convert_to_tensor(kernel))
        positions = self._normalized(weights)
        levels, grain = self._levels(positions)
        index = self._choose(positions, levels, grain)
        return self._coded(weights, levels, grain, index)

    def _coded(self, weights: Any, levels: Any, grain: Any, index: Any) -> tuple[Any, Any]:
        codes = ops.take(_to_codes(levels, grain), index)
        step = grain * self._step(weights) if self.parts.normal else grain
        scale = self.parts.scale(weights, codes, step, self.reduced_axes)
        return codes, scale * ops.ones_like(ops.max(weights, axis=self.axes, keepdims=True))

    def _prepared(self, kernel: Any) -> Any:
        """Master weights as they are quantized; kept clusters need none once they are chosen."""
        prepare = super()._prepared
        if not self.parts.table.keeps or self.parts.prepare is None:
            return prepare(kernel)
        return ops.cond(self.seen.value > 0, lambda: kernel, lambda: prepare(kernel))

    def _normalized(self, weights: Any) -> Any:
        return weights * (1.0 / self._step(weights)) if self.parts.normal else weights

    def _positions(self, kernel: Any) -> Any:
        return self._normalized(self._prepared(ops.convert_to_tensor(kernel)))

    def _levels(self, positions: Any) -> tuple[Any, Any]:
        """Ascending levels and the grain, as they are or as they fit the first kernel."""
        levels, grain = ops.cond(
            self.seen.value > 0,
            lambda: (ops.convert_to_tensor(self.table), ops.convert_to_tensor(self.grain)),
            lambda: self._fitted(positions),
        )
        if self.parts.table.learned:
            largest = ops.max(ops.abs(levels)) * (1.0 / MOST)
            grain = ops.where(largest > 0, largest, ops.ones_like(largest))
        elif not self.parts.table.keeps:
            levels = ops.sort(levels)
        return levels, grain

    def _fitted(self, positions: Any) -> tuple[Any, Any]:
        count = self.parts.table.count
        levels, grain = tf.numpy_function(
            self._fit, [ops.stop_gradient(positions)], [tf.float32, tf.float32]
        )
        return ops.reshape(levels, (count,)), ops.reshape(grain, ())

    def _fit(self, positions: np.ndarray) -> tuple[np.ndarray, np.floating]:
        found = self.parts.table.fit(positions.ravel().astype(np.float64), self.parts.table.count)
        return found.levels.astype(np.float32), np.float32(found.grain)

    def _choose(self, positions: Any, levels: Any, grain: Any) -> Any:
        def choose() -> Any:
            step = None if self.parts.normal else self._step(positions)
            stored = _to_codes(levels, grain) * grain
            return self.parts.table.choose(ops.stop_gradient(positions), stored, step)

        if not self.parts.table.keeps:
            return choose()
        return ops.cond(self.seen.value > 0, lambda: ops.cast(self.index, "int32"), choose)

    def _trained(self, weights: Any) -> Any:
        """Quantized weights with derivatives by master weights and levels; the first call fits."""
        table = self.parts.table
        positions = self._normalized(weights)
        levels, grain = self._levels(positions)
        index = self._choose(positions, levels, grain)
        fresh = ops.stop_gradient(levels)
        self.table.assign(ops.where(self.seen.value > 0, self.table.value, fresh))
        self.grain.assign(ops.stop_gradient(grain))
        if table.keeps:
            self.index.assign(ops.cast(index, "float32"))
        self.seen.assign(ops.ones_like(self.seen))
        if table.learned:
            levels = ops.convert_to_tensor(self.table)

        def forward(values: Any, numbers: Any) -> Any:
            codes, scale = self._coded(values, numbers, grain, index)
            return codes * scale

        def by_weights(values: Any, numbers: Any) -> Any:
            del values
            return self.parts.gradient(index, numbers)

        # A level that is 0 belongs to pruned weights and stays.
        by_level = ops.cast(levels != 0, "float32")
        return with_sums(forward, by_weights, index, by_level)(weights, levels)

    def advance(self, kernel: Any, progress: float) -> None:
        """Set what follows a schedule, and fit the levels anew where the method does."""
        procedure = self.parts.procedure
        if self.parts.table.moves == "epochs" and not procedure.multiplies:
            self._fit_anew(self._positions(kernel))
        super().advance(kernel, progress)

    def _project(self, kernel: Any) -> Any:
        """The best quantized weights for a kernel: new levels, then the nearest ones."""
        self._fit_anew(self._positions(kernel))
        return self.quantized(kernel)

    def _fit_anew(self, positions: Any) -> None:
        levels, grain = self._fit(ops.convert_to_numpy(positions))
        self._set(levels, grain)

    def _set(self, levels: np.ndarray, grain: Any) -> None:
        self.table.assign(levels)
        self.grain.assign(grain)
        self.seen.assign(1.0)

    def _freeze(self, kernel: Any, share: float) -> None:
        """Fix whole clusters, and find new centers for what is still free."""
        table, values = self.parts.table, ops.convert_to_numpy(kernel)
        if not ops.convert_to_numpy(self.seen.value):
            self._fit_anew(kernel)
        levels = ops.convert_to_numpy(self.table).astype(np.float64)
        settled = ops.convert_to_numpy(self.settled) > 0
        free = values[ops.convert_to_numpy(self.frozen) == 0].astype(np.float64)
        if settled.any() and not settled.all() and free.size:
            found = table.fit(free, int((~settled).sum()))
            most = MOST * float(ops.convert_to_numpy(self.grain))
            levels[~settled] = np.clip(found.levels, -most, most)
        wanted = round(share * table.count) - int(settled.sum())
        if wanted > 0 and table.partition is not None:
            open_levels = np.flatnonzero(~settled)
            settled[open_levels[table.partition(free, levels[open_levels])[:wanted]]] = True
        order = np.argsort(levels, kind="stable")
        self.settled.assign(settled[order].astype(np.float32))
        self._set(levels[order].astype(np.float32), self.grain)
        self._pin(kernel)

    def _pin(self, kernel: Any) -> None:
        """Freeze the weights whose level is settled."""
        levels, grain = self._levels(ops.convert_to_tensor(kernel))
        index = self._choose(ops.convert_to_tensor(kernel), levels, grain)
        fixed = ops.logical_or(ops.take(self.settled, index) > 0, self.frozen > 0)
        self.pinned.assign(ops.where(self.frozen > 0, self.pinned, self.quantized(kernel)))
        self.frozen.assign(ops.cast(fixed, "float32"))
        kernel.assign(ops.where(fixed, self.pinned, kernel))


def _to_codes(levels: Any, grain: Any) -> Any:
    """Integers of real levels."""
    return ops.clip(round_half_up(levels / grain), -MOST, MOST)
