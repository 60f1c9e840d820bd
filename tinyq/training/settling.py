"""BatchNorm's averages, estimated anew for the weights that training has ended with.

In training the moving averages follow weights that jump between few levels, and lag behind them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.errors import DataError
from tinyq.support.datasets import Dataset
from tinyq.training.attributes import setting
from tinyq.training.weighted import WeightedLayer

BATCHES = 64


@dataclass(slots=True)
class _Moments:
    """Sums over batches of what one BatchNorm saw, float64, by channel."""

    norm: Any
    count: int = 0
    first: Any = 0.0
    second: Any = 0.0
    before: tuple[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.before = self._read()

    def _read(self) -> tuple[Any, Any]:
        return tuple(
            ops.convert_to_numpy(number).astype(np.float64)
            for number in (self.norm.moving_mean, self.norm.moving_variance)
        )

    def add(self, samples: int) -> None:
        """Take up the batch whose mean and variance the layer holds."""
        mean, variance = self._read()
        self.count += samples
        self.first = self.first + samples * mean
        self.second = self.second + samples * (variance + np.square(mean))

    def assign(self) -> None:
        """Give the layer the mean and variance over all batches."""
        mean = self.first / self.count
        self.norm.moving_mean.assign(mean)
        self.norm.moving_variance.assign(np.maximum(self.second / self.count - mean**2, 0.0))

    def restore(self) -> None:
        """Give the layer what it had before."""
        self.norm.moving_mean.assign(self.before[0])
        self.norm.moving_variance.assign(self.before[1])


def settle(model: keras.Model, data: Any, batch_size: int = 32, batches: int = BATCHES) -> int:
    """Estimate BatchNorm's moving averages anew, with the weights as the device has them.

        mean = E[x],  variance = E[x**2] - E[x]**2, over all samples of the batches

    Observed ranges of activations go on following these batches. No weight changes, dropout is
    off, and a BatchNormalization that does not train is left alone. ``fit`` of a model from
    ``tinyq.quantize`` does it at its end.

    Args:
        model: Quantized model.
        data: Real inputs of the training: an array of shape (samples, ...), or several, nested as
            the model's inputs are, of which a sample drawn once and for all is taken; or batches,
            such as a ``tf.data.Dataset``, alone or with labels.
        batch_size: Samples per batch of an array.
        batches: Most batches that are taken.

    Returns:
        Samples that were seen.

    Raises:
        DataError: There is no sample.
    """
    norms = find_norms(model)
    found = [_Moments(norm) for norm in norms]
    seen = 0
    with _observing(model, norms):
        try:
            for batch in draw_batches(data, batch_size, batches, len(model.inputs)):
                model(batch, training=True)
                samples = int(next(iter(keras.tree.flatten(batch))).shape[0])
                seen += samples
                for moments in found:
                    moments.add(samples)
        except BaseException:
            for moments in found:
                moments.restore()
            raise
    if not seen:
        raise DataError("there is no sample to settle on", remedy="give inputs of the training")
    for moments in found:
        moments.assign()
    return seen


def find_norms(model: keras.Model) -> list[Any]:
    """The BatchNormalization layers of a model that train."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def needs_settling(model: keras.Model) -> bool:
    """Whether averages or ranges of a model rest on other weights than the device has."""
    return bool(find_norms(model)) or any(
        layer.weight_quantizer.parts.procedure.forward != "quantized"
        or layer.weight_quantizer.parts.procedure.draw is not None
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, WeightedLayer)
    )


def _observing(model: keras.Model, norms: list[Any]) -> AbstractContextManager[None]:
    """Weights of the device, no dropout, and BatchNorms that hold the moments of one batch."""
    layers = list(model._flatten_layers(include_self=False))
    weighted = [layer for layer in layers if isinstance(layer, WeightedLayer)]
    changed: list[tuple[Any, str, Any]] = [
        (layer, "computes_with_codes", True) for layer in weighted
    ]
    changed += [(layer, "rate", 0.0) for layer in layers if hasattr(layer, "rate")]
    changed += [(norm, "momentum", 0.0) for norm in norms]
    return setting(changed)


def draw_batches(data: Any, batch_size: int, count: int, inputs: int = 1) -> Iterator[Any]:
    """Inputs of at most so many batches; those of arrays or a PyDataset from all over them."""
    data = take_inputs(data, inputs)
    if isinstance(data, keras.utils.PyDataset):
        whole = data.num_batches or count
        places = np.unique(np.linspace(0, whole - 1, min(count, whole)).astype(int))
        yield from (_inputs(data[int(place)], inputs) for place in places)
    elif hasattr(data, "shape") or isinstance(data, list | tuple | Mapping):
        values = keras.tree.map_structure(np.asarray, data) if inputs > 1 else np.asarray(data)
        samples = len(keras.tree.flatten(values)[0])
        order = np.random.default_rng(0).permutation(samples)[: count * batch_size]
        for start in range(0, len(order), batch_size):
            yield pick(values, np.sort(order[start : start + batch_size]))
    else:
        yield from (_inputs(batch, inputs) for batch in itertools.islice(iter(data), count))


def pick(values: Any, places: Any) -> Any:
    """Some samples of an array, or of arrays that are nested, float32."""
    return keras.tree.map_structure(lambda x: np.asarray(x)[places].astype(np.float32), values)


def take_inputs(data: Any, inputs: int) -> Any:
    """What a model with so many inputs reads of data that may have labels beside."""
    if inputs == 1:
        return single_input(data)
    if isinstance(data, Dataset):
        return dict(data.inputs)
    nested = isinstance(data, list | tuple) and len(data) > 0
    return data[0] if nested and isinstance(data[0], list | tuple | Mapping) else data


def single_input(data: Any) -> Any:
    """The one array of what may be named, a list of inputs, with labels, or a ``Dataset``."""
    if isinstance(data, Dataset):
        return data.x
    if isinstance(data, Mapping) and len(data) == 1:
        return next(iter(data.values()))
    if isinstance(data, tuple) or (isinstance(data, list) and len(data) == 1):
        return data[0]
    return data


def _inputs(batch: Any, inputs: int) -> Any:
    """Inputs of a batch that may have labels and sample weights."""
    if inputs > 1:
        return take_inputs(batch, inputs)
    return single_input(batch[0] if isinstance(batch, list | tuple) else batch)
