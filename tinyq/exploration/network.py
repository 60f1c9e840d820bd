"""The float model of a search, and its quantized versions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError, ModelError
from tinyq.exploration.forms import reshape_layers
from tinyq.exploration.space import Assignment, Space
from tinyq.graph import Graph
from tinyq.support.datasets import Dataset
from tinyq.training.lowering.network import import_keras
from tinyq.training.patterns import FusedLayer, find_fused_layers
from tinyq.training.post_training import PostTraining, post_training
from tinyq.training.quantize import quantize
from tinyq.training.reconstruction import Reconstruction
from tinyq.training.rewriting import rewrite

_BATCH = 256


@dataclass(eq=False)
class Network:
    """A float model with the data that judge its quantized versions.

    Attributes:
        model: The float model; it is left as it is.
        calibration: Inputs that ranges are taken from and, with labels or targets, trained on.
        validation: Inputs, with labels or targets where there are some, that judge.
        name: Name of the graphs.
        samples: Ranges are taken from the first so many calibration inputs.
        wanted: What the float model answers to the validation inputs.
        fused_layers: Its layers, as those that quantize group them.
    """

    model: Any
    calibration: Dataset
    validation: Dataset
    name: str = "model"
    samples: int = 512
    wanted: npt.NDArray[np.float32] = field(init=False)
    fused_layers: tuple[FusedLayer, ...] = field(init=False)

    def __post_init__(self) -> None:
        shape = tuple(self.model.input_shape[1:])
        for what, data in (("--data", self.calibration), ("--val", self.validation)):
            if tuple(data.x.shape[1:]) != shape:
                raise DataError(
                    f"inputs have shape {data.x.shape[1:]}, the model takes {shape}",
                    where=what,
                    remedy="reshape the data so that one sample has the model's input shape",
                )
        self.wanted = self.answer(self.model)
        self.fused_layers = find_fused_layers(rewrite(self.model).model)

    def layers(self) -> list[str]:
        """Names of the layers with weights, from input to output.

        Raises:
            ModelError: The model has none, or a layer is not supported.
        """
        names = list(self.kernels())
        if not names:
            raise ModelError(
                "the model has no layer with weights, so there is nothing to search",
                where=self.name,
                remedy="give a model with convolutions or dense layers",
            )
        return names

    def kernels(self) -> dict[str, npt.NDArray[np.float32]]:
        """The float kernel of each layer with weights, from input to output."""
        return {
            fused.name: keras.ops.convert_to_numpy(fused.layer.kernel)
            for fused in self.fused_layers
            if fused.is_weighted
        }

    def formats(self) -> dict[str, tuple[str, ...]]:
        """Methods of activations that each layer's input may have without a loss of signs.

        Behind a ReLU 4 bits without a sign, beside 8 bits; the first layer's input 8 bits.
        """
        positive: dict[str, bool] = {}
        found: dict[str, tuple[str, ...]] = {}
        for fused in self.fused_layers:
            sources = bool(fused.inputs) and all(positive[name] for name in fused.inputs)
            hands_on = fused.is_preserving or "Pooling" in fused.kind
            positive[fused.name] = fused.activation != "linear" or hands_on and sources
            if fused.is_weighted:
                found[fused.name] = ("int8", "uint4") if sources else ("int8",)
        return found

    def shape(self, space: Space, assignment: Assignment) -> keras.Model:
        """The float model with the forms of an assignment; the model itself where none differ.

        Raises:
            ModelError: A layer cannot have its form.
        """
        forms = space.forms(assignment)
        return reshape_layers(rewrite(self.model).model, forms) if forms else self.model

    def calibrate(
        self, space: Space, assignment: Assignment, way: Reconstruction | None = None
    ) -> keras.Model:
        """A version quantized after training, with the nearest codes or reconstructed."""
        recipe = space.to_recipe(assignment, self.input_range)
        options = PostTraining(recipe=recipe, reconstruction=way)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return post_training(
                self.shape(space, assignment), self.calibration.x[: self.samples], options
            )

    def start(self, space: Space, assignment: Assignment) -> keras.Model:
        """A version to train."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = self.shape(space, assignment)
            return quantize(model, space.to_recipe(assignment, self.input_range))

    @property
    def input_range(self) -> Sequence[float]:
        """Smallest and largest calibration input; their surroundings where they are equal."""
        low, high = float(self.calibration.x.min()), float(self.calibration.x.max())
        return (low, high) if low < high else (low - 1.0, high + 1.0)

    def lower(self, model: keras.Model) -> Graph:
        """The integers that a version computes."""
        return import_keras(model, self.name)

    def answer(self, model: keras.Model) -> npt.NDArray[np.float32]:
        """What a model says to the validation inputs, shape (samples, numbers)."""
        values = np.asarray(self.validation.x, np.float32)
        found = np.asarray(model.predict(values, batch_size=_BATCH, verbose=0), np.float32)
        return found.reshape(len(values), -1)

    def score(self, answers: npt.NDArray[np.float32]) -> float:
        """How good answers are, 0 .. 1 where 1 is best.

        Accuracy where labels are known; else the share of inputs whose largest output is the float
        model's; for a model of one output 1 / (1 + loss).
        """
        if answers.shape[1] == 1 or self.validation.targets is not None:
            return 1.0 / (1.0 + self.loss(answers))
        labels = self.validation.y
        right = self.wanted.argmax(axis=1) if labels is None else labels
        return float(np.mean(answers.argmax(axis=1) == right))

    def loss(self, answers: npt.NDArray[np.float32]) -> float:
        """How far answers are from the float model's; 0 is best.

        Probabilities: mean Kullback-Leibler divergence. Other outputs: mean squared difference as
        a multiple of the outputs' variance. Against targets where there are some.
        """
        wanted = self.wanted
        if self.validation.targets is not None:
            wanted = self.validation.targets.reshape(len(answers), -1).astype(np.float32)
        elif _are_probabilities(wanted) and _are_probabilities(answers):
            return _diverge(wanted.astype(np.float64), answers.astype(np.float64))
        spread = float(np.var(wanted, axis=0, dtype=np.float64).mean()) or 1.0
        difference = answers.astype(np.float64) - wanted
        return float(np.mean(difference**2)) / spread


def _are_probabilities(rows: npt.NDArray[np.float32]) -> bool:
    if rows.shape[1] < 2:  # noqa: PLR2004
        return False
    return bool((rows >= 0).all() and (abs(rows.sum(axis=1) - 1.0) < 2.0**-4).all())


def _diverge(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """Mean of sum_k p_k log(p_k / q_k), with a floor under probabilities that are a code of 0."""
    least = 2.0**-9
    p, q = np.maximum(wanted, least), np.maximum(found, least)
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    return float(np.mean(np.sum(p * np.log(p / q), axis=1)))
