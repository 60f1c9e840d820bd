"""First and second derivatives of the float model's loss by its kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tinyq.exploration.network import Network
from tinyq.exploration.table import Deviation, Losses, Survey
from tinyq.training.patterns import find_fused_layers
from tinyq.training.rewriting import rewrite

_BATCH = 64
_TINY = 1e-7


@dataclass(frozen=True, eq=False)
class Curvature:
    """The float model's loss as a function of its kernels.

    The loss of a sample is the cross entropy of its answer with its label; without labels with the
    model's own answer (whose curvature is that of the Kullback-Leibler divergence); for outputs
    that are no classes half the squared difference.

    Attributes:
        model: The plain float model.
        kernels: Variables of the layers with weights, in order.
        x: Inputs.
        wanted: Labels, or the model's own answers.
        kind: ``labels``, ``answers`` or ``values``.
    """

    model: Any
    kernels: tuple[Any, ...]
    x: npt.NDArray[np.float32]
    wanted: npt.NDArray[Any]
    kind: str

    @classmethod
    def of(cls, network: Network, samples: int = 256) -> Curvature:
        """The loss on the first calibration inputs."""
        twin = rewrite(network.model).model
        kernels = tuple(
            fused.layer.kernel for fused in find_fused_layers(twin) if fused.is_weighted
        )
        data = network.calibration.take(samples)
        x = np.asarray(data.x, np.float32)
        answers = np.asarray(twin.predict(x, batch_size=_BATCH, verbose=0)).reshape(len(x), -1)
        if data.y is not None and answers.shape[1] > 1:
            return cls(twin, kernels, x, data.y, "labels")
        return cls(twin, kernels, x, answers, "answers" if answers.shape[1] > 1 else "values")

    def gradients(self) -> Iterator[list[Any]]:
        """Gradient of each batch's mean loss by each kernel."""
        for x, wanted in self._batches():
            with tf.GradientTape() as tape:
                loss = self._loss(x, wanted)
            yield [
                g.numpy()
                for g in tape.gradient(loss, self._variables(), unconnected_gradients=_ZERO)
            ]

    def multiply(self, vectors: Sequence[Any]) -> list[npt.NDArray[np.float64]]:
        """Mean over the samples of H_l v_l for each kernel, whose blocks stand alone.

        H_l v = d/dw_l (g_l . v)
        """
        totals = [np.zeros(kernel.shape) for kernel in self.kernels]
        for x, wanted in self._batches():
            variables = self._variables()
            with tf.GradientTape(persistent=True) as outer:
                with tf.GradientTape() as inner:
                    loss = self._loss(x, wanted)
                gradients = inner.gradient(loss, variables, unconnected_gradients=_ZERO)
                products = [
                    tf.reduce_sum(g * tf.cast(v, g.dtype))
                    for g, v in zip(gradients, vectors, strict=True)
                ]
            for total, product, variable in zip(totals, products, variables, strict=True):
                found = outer.gradient(product, variable, unconnected_gradients=_ZERO)
                total += len(x) * found.numpy()
            del outer
        return [total / len(self.x) for total in totals]

    def batch_sizes(self) -> list[int]:
        """Samples of each batch that ``gradients`` goes through."""
        return [len(self.x[start : start + _BATCH]) for start in range(0, len(self.x), _BATCH)]

    def _variables(self) -> list[Any]:
        return [kernel.value for kernel in self.kernels]

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(self.x), _BATCH):
            yield self.x[start : start + _BATCH], self.wanted[start : start + _BATCH]

    def _loss(self, x: Any, wanted: Any) -> Any:
        return self.measure(self.model(x, training=False), wanted)

    def measure(self, outputs: Any, wanted: Any) -> Any:
        """Mean loss of some outputs."""
        found = tf.reshape(outputs, (len(wanted), -1))
        if self.kind == "values":
            return 0.5 * tf.reduce_mean(tf.reduce_sum((found - wanted) ** 2, axis=1))
        logs = tf.math.log(found + _TINY) if self._has_softmax() else tf.nn.log_softmax(found)
        if self.kind == "labels":
            chosen = tf.one_hot(wanted, found.shape[-1])
        else:
            chosen = wanted if self._has_softmax() else tf.nn.softmax(wanted)
        return -tf.reduce_mean(tf.reduce_sum(chosen * logs, axis=1))

    def _has_softmax(self) -> bool:
        last = self.model.layers[-1]
        activation = getattr(getattr(last, "activation", None), "__name__", "")
        return isinstance(last, keras.layers.Softmax) or activation == "softmax"


_ZERO = tf.UnconnectedGradients.ZERO


def change_of_weights(
    network: Network, it: Deviation, name: str | None = None
) -> npt.NDArray[np.float64]:
    """Q(w) - w of the deviating or a named layer's kernel, in the float layer's order of axes."""
    kernels = network.kernels()
    name = name or list(kernels)[it.layer]
    kernel = kernels[name]
    layer = it.model.get_layer(name)
    quantized = layer.weight_quantizer.quantized(layer.kernel)
    # The order of axes is an exchange, so that it is its own inverse.
    ordered = keras.ops.convert_to_numpy(layer.order_kernel(quantized))
    return np.asarray(ordered, np.float64) - np.asarray(kernel, np.float64)


def changes_weights(found: Survey, it: Deviation) -> bool:
    """Whether a deviation has another method of weights than the base, for as many weights."""
    pairs = list(found.space.layers.values())[it.layer]
    return pairs[it.pair].weights != pairs[0].weights and not changes_form(found, it)


def changes_form(found: Survey, it: Deviation) -> bool:
    """Whether a deviation has other channels or groups than the base."""
    pairs = list(found.space.layers.values())[it.layer]
    return pairs[it.pair].form != pairs[0].form


def add_activations(network: Network, found: Survey, losses: Losses) -> Losses:
    """Losses of weights with what the pairs' activations add beside.

    Derivatives by the weights say nothing of activations, so these are measured: the loss, in the
    same unit, when the layer's input alone has fewer bits. A pair whose activations no deviation
    has beside the base's weights is measured whole, and so is one of another form.
    """
    base = network.loss(network.answer(found.base.model))
    alone: dict[tuple[int, str], float] = {}
    for it in sorted(found.deviations, key=lambda it: changes_weights(found, it)):
        pairs = list(found.space.layers.values())[it.layer]
        pair = pairs[it.pair]
        if changes_form(found, it):
            losses[it.layer, it.pair] = max(0.0, network.loss(network.answer(it.model)) - base)
            continue
        if pair.activations == pairs[0].activations:
            continue
        key = (it.layer, pair.activations)
        if key not in alone:
            alone[key] = max(0.0, network.loss(network.answer(it.model)) - base)
        losses[it.layer, it.pair] += alone[key]
    return losses
