"""Small networks of NumPy that learn from trials: an actor with its critic, and a predictor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_HIDDEN = 32
_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8


class Perceptron:
    """One hidden layer of 32 tanh units, trained by Adam.

    y = w_2 tanh(W_1 x + b_1) + b_2

    Args:
        inputs: Numbers that it reads.
        generator: Draws the first weights.
    """

    def __init__(self, inputs: int, generator: np.random.Generator) -> None:
        self.weights = [
            generator.normal(0.0, 1.0 / np.sqrt(inputs), (inputs, _HIDDEN)),
            np.zeros(_HIDDEN),
            generator.normal(0.0, 0.1 / np.sqrt(_HIDDEN), (_HIDDEN, 1)),
            np.zeros(1),
        ]
        self._first = [np.zeros_like(it) for it in self.weights]
        self._second = [np.zeros_like(it) for it in self.weights]
        self._steps = 0

    def __call__(self, x: Array) -> Array:
        """Outputs, shape (rows,)."""
        return self._forward(x)[1]

    def slope(self, x: Array) -> Array:
        """Derivative of each output by its inputs, shape of ``x``."""
        hidden, _ = self._forward(x)
        return (1.0 - hidden**2) * self.weights[2][:, 0] @ self.weights[0].T

    def step(self, x: Array, by_output: Array, rate: float) -> None:
        """Move against the gradient of a loss whose derivative by the outputs is given."""
        hidden, _ = self._forward(x)
        inner = by_output[:, None] * self.weights[2][:, 0] * (1.0 - hidden**2)
        gradients = [
            x.T @ inner,
            inner.sum(axis=0),
            hidden.T @ by_output[:, None],
            np.array([by_output.sum()]),
        ]
        self._steps += 1
        for place, gradient in enumerate(gradients):
            self._first[place] = _BETA1 * self._first[place] + (1 - _BETA1) * gradient
            self._second[place] = _BETA2 * self._second[place] + (1 - _BETA2) * gradient**2
            mean = self._first[place] / (1 - _BETA1**self._steps)
            size = np.sqrt(self._second[place] / (1 - _BETA2**self._steps))
            self.weights[place] = self.weights[place] - rate * mean / (size + _TINY)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        hidden = np.tanh(x @ self.weights[0] + self.weights[1])
        return hidden, (hidden @ self.weights[2] + self.weights[3])[:, 0]


def fit(x: Array, wanted: Array, seed: int, steps: int = 400, rate: float = 1e-2) -> Perceptron:
    """A predictor of numbers by least squares, with a small decay of its weights.

    Args:
        x: Shape (rows, inputs).
        wanted: Shape (rows,).
        seed: Of the first weights.
        steps: Steps of Adam over all rows.
        rate: Of Adam, falling to 0 along a line.
    """
    predictor = Perceptron(x.shape[1], np.random.default_rng(seed))
    for step in range(steps):
        error = predictor(x) - wanted
        predictor.step(x, 2.0 * error / len(x), rate * (1.0 - step / steps))
        predictor.weights[0] *= 1.0 - 1e-3
    return predictor


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """What an agent saw, did and got, in the order of one episode after another.

    Attributes:
        seen: Observations, shape (moves, numbers); the last of them is the previous action.
        done: Actions 0 .. 1, shape (moves,).
        got: Reward of each move, shape (moves,).
        after: Observations that followed, shape of ``seen``.
        ends: Whether nothing followed, shape (moves,).
    """

    seen: Array
    done: Array
    got: Array
    after: Array
    ends: npt.NDArray[np.bool_]


class Agent:
    """An actor and its critic, by a deterministic policy gradient.

        a = 1 / (1 + exp(-mu(s))),  Q(s, a) <- r - mean r + Q(s', a'),  dJ/da = dQ/da

    The future is not discounted, and the mean of the rewards is the baseline, as in HAQ. Both
    learn from all moves at once; there are no target networks.

    Args:
        inputs: Numbers of an observation.
        seed: Of first weights and batches.

    Reference: Lillicrap et al. 2016, arXiv:1509.02971; Wang et al. 2019, HAQ, arXiv:1811.08886,
    section 3.4.
    """

    _BATCH, _RATE, _CRITIC_RATE = 64, 2e-3, 1e-2

    def __init__(self, inputs: int, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self.actor = Perceptron(inputs, self._generator)
        self.critic = Perceptron(inputs + 1, self._generator)

    def act(self, seen: Array) -> Array:
        """Actions 0 .. 1 for observations of shape (rows, numbers)."""
        return 1.0 / (1.0 + np.exp(-self.actor(seen)))

    def learn(self, moves: Moves, steps: int = 200) -> None:
        """Steps of critic and actor on batches of moves."""
        baseline = float(moves.got[moves.ends].mean()) if moves.ends.any() else 0.0
        for _ in range(steps):
            rows = self._generator.integers(0, len(moves.done), self._BATCH)
            seen, done = moves.seen[rows], moves.done[rows]
            after = moves.after[rows]
            follows = np.where(moves.ends[rows], 0.0, self.critic(_join(after, self.act(after))))
            wanted = moves.got[rows] - baseline * moves.ends[rows] + follows
            known = _join(seen, done)
            error = self.critic(known) - wanted
            self.critic.step(known, 2.0 * error / len(rows), self._CRITIC_RATE)
            action = self.act(seen)
            better = self.critic.slope(_join(seen, action))[:, -1]
            self.actor.step(seen, -better * action * (1.0 - action) / len(rows), self._RATE)


def _join(seen: Array, action: Array) -> Array:
    return np.concatenate([seen, action[:, None]], axis=1)


def record(observe: Sequence[Array], actions: Sequence[Array], rewards: Sequence[float]) -> Moves:
    """The moves of episodes, each of which is rewarded at its end.

    Args:
        observe: What does not change from episode to episode, shape (moves, numbers) each.
        actions: Actions of each episode, shape (moves,).
        rewards: Of each episode.
    """
    seen, done, got, after, ends = [], [], [], [], []
    for fixed, acted, reward in zip(observe, actions, rewards, strict=True):
        before = np.concatenate([[1.0], acted[:-1]])
        states = np.concatenate([fixed, before[:, None]], axis=1)
        seen.append(states)
        done.append(acted)
        got.append(np.where(np.arange(len(acted)) == len(acted) - 1, reward, 0.0))
        after.append(np.concatenate([states[1:], states[-1:]]))
        ends.append(np.arange(len(acted)) == len(acted) - 1)
    return Moves(*(np.concatenate(it) for it in (seen, done, got, after, ends)))
