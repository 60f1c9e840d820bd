"""Reconstruction: weights rounded so that the outputs of a layer or a block stay, by few inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import TinyqError
from tinyq.quantizers.parts.levels import Uniform
from tinyq.quantizers.parts.scales import step_scale
from tinyq.training.attributes import setting
from tinyq.training.base import FinishedLayer
from tinyq.training.fitted_rounding import Rounding
from tinyq.training.input_moments import ROUNDINGS, Ends, round_by_moments
from tinyq.training.regions import EXTENTS, Extent, Region, find_regions
from tinyq.training.weighted import WeightedLayer

_BATCH = 32
_FIRST_SHARPNESS, _LAST_SHARPNESS = 20.0, 2.0
LEARNED = "learned"
_WARM_SHARE = 0.2  # of the steps without the term that parts up from down

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """How weights are rounded by the outputs that they give.

    Attributes:
        extent: ``layer``: each layer's output is held to that of the float model. ``block``: that
            of each block, such as a residual one.
        steps: Steps of the optimizer for each region.
        rate: Of the optimizer Adam.
        strength: Weight of the term that drives every weight up or down, beside the error in parts
            of that of rounding to the nearest code.
        drop: Share of activations that are left in floating point in each step.
        seed: Of batches and of dropped activations.
        rounding: ``learned``: up or down, as trained numbers. ``gptq`` and ``bit_split``: any code,
            by the moments of the inputs of one layer after the other; layers that are no
            convolutions or dense ones, such as transposed ones, keep the nearest.
    """

    extent: Extent = "block"
    steps: int = 600
    rate: float = 3e-2
    strength: float = 0.5
    drop: float = 0.0
    seed: int = 0
    rounding: str = LEARNED

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            TinyqError: One is out of range.
        """
        faults = {
            "extent": (self.extent in EXTENTS, f"choose {' or '.join(EXTENTS)}"),
            "steps": (self.steps >= 1, "give a number of at least 1"),
            "rate": (0.0 < self.rate < 1.0, "give a number between 0 and 1"),
            "strength": (self.strength > 0.0, "give a positive number"),
            "drop": (0.0 <= self.drop < 1.0, "give a number from 0 on, below 1"),
        }
        names = (LEARNED, *ROUNDINGS)
        faults["rounding"] = (self.rounding in names, f"choose {', '.join(names)}")
        if self.rounding in ROUNDINGS:
            faults["extent"] = (self.extent == "layer", "choose layer, or leave rounding out")
        for name, (fine, remedy) in faults.items():
            if not fine:
                value = getattr(self, name)
                raise TinyqError(f"{value!r} is not supported", where=name, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """What became of a region.

    Attributes:
        region: The region.
        nearest: Mean squared error of its output with weights rounded to the nearest code.
        fitted: The same with the weights that it has now; at most ``nearest``.
        moved: Share of its weights that have not the nearest code.
    """

    region: Region
    nearest: float
    fitted: float
    moved: float


class _Fitting(keras.Model):
    """A region in training: only its roundings are trained.

    The output is its mean squared error in parts of that of the nearest codes, and the decision.
    """

    def __init__(
        self, network: keras.Model, roundings: list[Rounding], nearest: float, strength: float
    ) -> None:
        super().__init__(name="fitting", dtype="float32")
        self.network = network
        self.roundings = roundings
        self.factor = 1.0 / max(nearest, 1e-30)
        self.strength = strength
        self.sharpness = self.add_weight(
            name="sharpness", shape=(), initializer=keras.initializers.Constant(_FIRST_SHARPNESS)
        )
        self.sharpness.trainable = False
        self.parting = self.add_weight(name="parting", shape=(), initializer="zeros")
        self.parting.trainable = False
        self.built = True

    @property
    def trainable_weights(self) -> list[Any]:
        """The roundings' numbers alone."""
        return [rounding.place for rounding in self.roundings]

    trainable_variables = trainable_weights

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The region's output, with the decision as a loss."""
        outputs = self.network(inputs, training=training)
        for rounding in self.roundings:
            part = self.parting * self.strength / len(self.roundings)
            self.add_loss(part * rounding.undecided(self.sharpness))
        return outputs

    def error(self, wanted: Any, outputs: Any) -> Any:
        """Squared error in parts of that of the nearest codes."""
        return ops.square(outputs - wanted) * self.factor


class _Course(keras.callbacks.Callback):
    """Sharpens the decision in the course of the steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps, self._step = steps, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the sharpness of this step."""
        del batch, logs
        share = self._step / self._steps
        self._step += 1
        if share < _WARM_SHARE:
            return
        done = (share - _WARM_SHARE) / (1.0 - _WARM_SHARE)
        cosine = 0.5 * (1.0 + np.cos(done * np.pi))
        self.model.parting.assign(1.0)
        self.model.sharpness.assign(_LAST_SHARPNESS + (_FIRST_SHARPNESS - _LAST_SHARPNESS) * cosine)


def reconstruct(
    model: keras.Model,
    wanted: Callable[[str], Callable[[np.ndarray], np.ndarray] | None],
    values: np.ndarray,
    options: Reconstruction,
    settled: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[Reconstructed, ...]:
    """Choose the codes of a model's weights by what its regions put out, one after the other.

        min over h of  mean((f(W_q(h), x_q) - f(W, x))**2)

    x_q are a region's inputs as the codes chosen so far give them, x those of the float model. Only
    whether a weight is rounded up or down changes: scales stay, and ranges of activations. A region
    whose output would be worse than with the nearest codes keeps these.

    Args:
        model: Quantized model with the float model's weights, and with ranges.
        wanted: Gives, by the name of a quantized layer, what computes the float model's output in
            its place, or None where there is none.
        values: Real inputs, shape (samples, ...).
        options: How to do it.
        settled: Names of layers whose codes stay as they are.
        progress: Called with regions done, regions in all, and what became of the last one.

    Returns:
        What became of each region.

    Reference: Nagel et al. 2020, arXiv:2004.10568; Li et al. 2021, arXiv:2102.05426; Wei et al.
        2022, arXiv:2203.05740 (drop).
    """
    regions = find_regions(model, options.extent)
    done: list[Reconstructed] = []
    for place, region in enumerate(regions):
        target = wanted(region.end)
        layers = [
            layer
            for layer in (model.get_layer(name) for name in region.weighted)
            if _is_roundable(layer) and layer.name not in (settled or {})
        ]
        if target is not None and layers:
            done.append(_fit_region(model, region, layers, target(values), values, options))
        if progress is not None:
            told = f"{region.end}: {_tell(done[-1])}" if done else region.end
            progress(place + 1, len(regions), told)
    return tuple(done)


def _tell(found: Reconstructed) -> str:
    share = found.fitted / found.nearest if found.nearest else 1.0
    return f"error {share:.2f} of that of the nearest codes"


def _is_roundable(layer: Any) -> bool:
    """Whether the codes are equal steps that follow from the largest weight."""
    parts = layer.weight_quantizer.parts
    plain = isinstance(parts.levels, Uniform) and parts.scale is step_scale
    return plain and parts.learned is None and parts.projection


def _fit_region(
    model: keras.Model,
    region: Region,
    layers: list[WeightedLayer],
    target: np.ndarray,
    values: np.ndarray,
    options: Reconstruction,
) -> Reconstructed:
    source, end = model.get_layer(region.source).output, model.get_layer(region.end).output
    inputs = _predict(keras.Model(model.inputs[0], source), values)
    network = keras.Model(source, end)
    roundings = [_make_rounding(layer) for layer in layers]

    def measure() -> float:
        return float(np.mean(np.square(_predict(network, inputs) - target), dtype=np.float64))

    for layer, rounding in zip(layers, roundings, strict=True):
        rounding.build()
        _assign(layer, rounding, rounding.nearest())
    nearest = measure()
    if options.rounding == LEARNED:
        found = _learn(model, network, layers, roundings, (inputs, target, nearest), options)
    else:
        found = [_round(*pair, inputs, options) for pair in zip(layers, roundings, strict=True)]
    for layer, rounding, codes in zip(layers, roundings, found, strict=True):
        _assign(layer, rounding, codes)
    fitted, moved = measure(), 0
    if fitted > nearest:
        fitted, found = nearest, [rounding.nearest() for rounding in roundings]
        for layer, rounding, codes in zip(layers, roundings, found, strict=True):
            _assign(layer, rounding, codes)
    for rounding, codes in zip(roundings, found, strict=True):
        moved += int((codes != rounding.nearest()).sum())
    return Reconstructed(region, nearest, fitted, moved / sum(codes.size for codes in found))


def _round(
    layer: WeightedLayer, rounding: Rounding, inputs: np.ndarray, options: Reconstruction
) -> np.ndarray:
    """Codes by the moments of the layer's inputs; the nearest where they tell nothing."""
    ends = Ends(*rounding.ends, rounding.fixed)
    found = round_by_moments(layer, inputs, rounding.position, ends, options.rounding)
    return rounding.nearest() if found is None else found


def _learn(
    model: keras.Model,
    network: keras.Model,
    layers: list[WeightedLayer],
    roundings: list[Rounding],
    known: tuple[np.ndarray, np.ndarray, float],
    options: Reconstruction,
) -> list[np.ndarray]:
    """Codes by training whether each weight goes up or down."""
    inputs, target, nearest = known
    fitting = _Fitting(network, roundings, nearest, options.strength)
    fitting.compile(keras.optimizers.Adam(options.rate), loss=fitting.error)
    with _fitting_of(model, layers, roundings, options):
        order = np.random.default_rng(options.seed)
        size = min(_BATCH, len(inputs))
        chosen = np.concatenate(
            [order.permutation(len(inputs))[:size] for _ in range(options.steps)]
        )
        fitting.fit(
            _Batches(inputs, target, chosen.reshape(options.steps, size)),
            epochs=1,
            verbose=0,
            shuffle=False,
            callbacks=[_Course(options.steps)],
        )
    return [rounding.codes() for rounding in roundings]


class _Batches(keras.utils.PyDataset):
    """Batches of given places."""

    def __init__(self, inputs: np.ndarray, target: np.ndarray, places: np.ndarray) -> None:
        super().__init__()
        self._inputs, self._target, self._places = inputs, target, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        places = self._places[index]
        return self._inputs[places], self._target[places]


def _predict(model: keras.Model, values: np.ndarray) -> np.ndarray:
    """Outputs in inference, batch by batch."""
    parts = [
        ops.convert_to_numpy(model(values[start : start + 2 * _BATCH], training=False))
        for start in range(0, len(values), 2 * _BATCH)
    ]
    return np.concatenate(parts)


def _make_rounding(layer: WeightedLayer) -> Rounding:
    _, scale = layer.weight_quantizer.split(layer.kernel)
    scale = ops.convert_to_numpy(scale)
    levels = layer.weight_quantizer.parts.levels
    position = ops.convert_to_numpy(layer.kernel) / scale
    return Rounding(position, scale, (levels.lo, levels.hi), name=f"{layer.name}_rounding")


def _assign(layer: WeightedLayer, rounding: Rounding, codes: np.ndarray) -> None:
    """Give a layer codes by the weights that they mean.

    Raises:
        TinyqError: The layer reads other codes from these weights.
    """
    layer.kernel.assign(codes * rounding.scale)
    if not np.array_equal(layer.weight_codes(), codes.astype(np.int32)):
        raise TinyqError(
            "the method does not give back the codes that were chosen",
            where=layer.name,
            remedy="leave --reconstruct out, or give the layer int8 to int2",
        )


def _fitting_of(
    model: keras.Model,
    layers: list[WeightedLayer],
    roundings: list[Rounding],
    options: Reconstruction,
) -> AbstractContextManager[None]:
    """Kernels between codes; averages and ranges stand still, dropout is off."""
    every = list(model._flatten_layers(include_self=False))
    finished = [layer for layer in every if isinstance(layer, FinishedLayer)]
    changed: list[tuple[Any, str, Any]] = [
        (layer, "rounding", rounding.kernel)
        for layer, rounding in zip(layers, roundings, strict=True)
    ]
    others = [one for one in every if isinstance(one, WeightedLayer) and one not in layers]
    changed += [(layer, "computes_with_codes", True) for layer in others]
    norms = [one for one in every if isinstance(one, keras.layers.BatchNormalization)]
    changed += [(norm, "trainable", False) for norm in norms]
    changed += [(one, "rate", 0.0) for one in every if hasattr(one, "rate")]
    changed += [(layer.output_quantizer, "observes", False) for layer in finished]
    changed += [(layer, "drop", options.drop) for layer in finished]
    return setting(changed)
