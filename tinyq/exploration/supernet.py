"""The training of a network together with gates that decide about bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from tinyq.exploration.gates import Gate, GumbelGate
from tinyq.exploration.network import Network
from tinyq.exploration.space import Assignment
from tinyq.exploration.table import Table
from tinyq.exploration.tasks import choose_task
from tinyq.training.attributes import setting

_BATCH, _EPOCHS, _RATE, _GATE_RATE = 64, 3, 1e-3, 5e-2
_LEAST_STEPS = 60


@dataclass(frozen=True, slots=True)
class Pull:
    """How costs enter the loss.

    Attributes:
        strength: Factor, or exponent.
        multiplies: Whether ``L * cost**strength``, else ``L + strength * cost``; cost is that of
            the whole network in parts of the base.
        within: ``L + strength * max(0, cost - within)**2`` where it is given.
    """

    strength: float
    multiplies: bool = False
    within: float | None = None


class _Supernet(keras.Model):
    """A quantized model whose kernels come from gates."""

    def __init__(self, student: keras.Model, gates: Sequence[Gate], pull: Pull) -> None:
        super().__init__(name="supernet", dtype="float32")
        self.student = student
        self.gates = list(gates)
        self.pull = pull
        self.built = True

    @property
    def trainable_weights(self) -> list[Any]:
        """All but the kernels in whose place gates have weights of their own."""
        unused = {id(gate.find_owner().kernel) for gate in self.gates if gate.replaces_kernel}
        return [weight for weight in super().trainable_weights if id(weight) not in unused]

    trainable_variables = trainable_weights

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Outputs of the student; costs are those of the kernels that it has just used."""
        outputs = self.student(inputs, training=training)
        if training:
            self._cost = 1.0 + sum(gate.cost() for gate in self.gates)
        return outputs

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Loss by the data, with the costs."""
        own = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return own
        cost = ops.maximum(self._cost, 1e-3)
        if self.pull.within is not None:
            excess = ops.maximum(cost - self.pull.within, 0.0)
            return own + self.pull.strength * ops.square(excess)
        if self.pull.multiplies:
            return own * ops.power(cost, self.pull.strength)
        return own + self.pull.strength * cost


class _Course(keras.callbacks.Callback):
    """Tells gates how far their training is."""

    def __init__(self, gates: Sequence[Gate], steps: int) -> None:
        super().__init__()
        self._gates = list(gates)
        self._steps, self._step = max(steps - 1, 1), 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Tell of this step."""
        del batch, logs
        for gate in self._gates:
            gate.advance(min(self._step / self._steps, 1.0))
        self._step += 1


def price_pairs(table: Table) -> list[list[float]]:
    """Cost of each layer's pairs: the mean of the shares of flash and instructions that it adds."""
    flash, work = max(table.base.flash_bytes, 1), max(table.base.instructions, 1)
    return [
        [0.5 * (more / flash + longer / work) for more, longer in zip(bytes_, steps, strict=True)]
        for bytes_, steps in zip(table.flash, table.instructions, strict=True)
    ]


def train_gates(
    network: Network, table: Table, kind: type[Gate], pull: Pull, seed: int
) -> list[Gate]:
    """Train the network of the base with a gate for each layer, and give the gates.

    Args:
        network: Float model and data.
        table: Costs of the pairs.
        kind: Class of the gates.
        pull: How costs enter the loss.
        seed: Of batches and of draws.
    """
    keras.utils.set_random_seed(seed)
    student = network.start(table.space, table.space.base)
    gates = []
    for (name, pairs), costs in zip(table.space.layers.items(), price_pairs(table), strict=True):
        layer = student.get_layer(name)
        methods, keeps = zip(*((pair.weights, pair.form.keep) for pair in pairs), strict=True)
        gate = kind(layer, methods, costs, keeps)
        gate.build()
        gates.append(gate)
    task = choose_task(network, student)
    supernet = _Supernet(student, gates, pull)
    supernet.compile(TwoRates(gates), task.loss)
    batches = -(-len(task.x) // _BATCH)
    epochs = max(_EPOCHS, -(-_LEAST_STEPS // batches))
    changed = [
        change
        for name, gate in zip(table.space.layers, gates, strict=True)
        for change in _connect(student.get_layer(name), gate)
    ]
    with setting(changed):
        supernet.fit(
            task.x,
            task.wanted,
            batch_size=_BATCH,
            epochs=epochs,
            verbose=0,
            callbacks=[_Course(gates, epochs * batches)],
        )
    return gates


def _connect(layer: Any, gate: Gate) -> list[tuple[Any, str, Any]]:
    """What makes a layer compute with its gate."""
    simulate = layer.simulate
    return [
        (layer, "rounding", gate.kernel),
        (layer, "simulate", lambda sums: gate.pass_on(simulate(sums))),
    ]


class TwoRates(keras.optimizers.Adam):
    """Adam with a larger rate for gates.

    Args:
        gates: Layers whose variables have it.
    """

    def __init__(self, gates: Sequence[Gate]) -> None:
        super().__init__(_RATE, name="two_rates")
        self._fast = {id(variable) for gate in gates for variable in gate.trainable_variables}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        factor = _GATE_RATE / _RATE if id(variable) in self._fast else 1.0
        super().update_step(gradient, variable, learning_rate * factor)


def read_gates(gates: Sequence[Gate]) -> Assignment:
    """What the gates have come to."""
    return tuple(gate.choose() for gate in gates)


def draw_gates(gates: Sequence[GumbelGate], count: int, seed: int) -> list[Assignment]:
    """What the gates have come to, then assignments drawn by their shares."""
    generator = np.random.default_rng(seed)
    found = {read_gates(gates): None}
    for _ in range(8 * count):
        if len(found) >= count:
            break
        drawn = []
        for gate in gates:
            shares = np.exp(ops.convert_to_numpy(gate.logits).astype(np.float64))
            drawn.append(int(generator.choice(len(shares), p=shares / shares.sum())))
        found.setdefault(tuple(drawn))
    return list(found)
