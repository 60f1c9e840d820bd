"""Straight-through estimators of signs, and the layers that keep signs apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued, describe
from tinyq.quantizers.method import Entry, Method

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts


@catalogued(
    Entry(
        id="perceptron1957",
        title="Perceptron rule",
        year=1957,
        reference=(
            "Frank Rosenblatt: The perceptron, a perceiving and recognizing automaton Project Para"
        ),
        wave="A",
        summary="a threshold trained as if it were a line",
        formulas=("dy/dx = 1",),
        activations={"perceptron1957": "b1"},
    )
)
@dataclass(frozen=True)
class Perceptron(Method):
    """A threshold trained as if it were a line."""

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign(derivative=quantizers.gradients.identity)


describe(
    Entry(
        id="ste_theory_cheng2019",
        title="STE as projected Wasserstein gradient flow",
        year=2019,
        reference=(
            "Pengyu Cheng et al.: Straight-through estimator as projected Wasserstein gradient flow"
        ),
        wave="A",
        summary="the identity slope as a projected gradient flow",
        formulas=("dy/dx = 1",),
        activations={"perceptron1957": "b1"},
        leaves_out="theory of a slope that another row has",
    )
)

describe(
    Entry(
        id="prelu2015",
        title="PReLU",
        year=2015,
        reference=(
            "Kaiming He et al.: Delving deep into rectifiers: Surpassing human-level "
            "performance on imagenet classification"
        ),
        link="arXiv:1502.01852",
        wave="B",
        summary="a trained slope for negative values that can take up a scale",
        formulas=(
            "y = x if x > 0 else a_c x (survey eq. 28)",
            (
                "on the device: d m_1 2^-s_1 for d >= 0, d a_code m_2 2^-s_2 else, d = x - "
                "zero point"
            ),
        ),
        layers={"PReLU": "s8"},
        leaves_out="slopes per position; outputs of less than 8 bits, which the next layer makes",
    )
)


@catalogued(
    Entry(
        id="ste_hinton2012",
        title="STE",
        year=2012,
        reference="Geoffrey Hinton: Neural networks for machine learning",
        wave="D",
        summary="slope one for positive arguments",
        formulas=("dy/dx = 1 if x > 0 else 0",),
        activations={"ste_hinton2012": "b1"},
        leaves_out="stochastic units",
    )
)
@dataclass(frozen=True)
class HintonEstimator(Method):
    """Slope one for positive arguments."""

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign(derivative=quantizers.gradients.positive)


@catalogued(
    Entry(
        id="ste_bengio2013",
        title="STE",
        year=2013,
        reference=(
            "Yoshua Bengio et al.: Estimating or propagating gradients through "
            "stochastic neurons for conditional computation"
        ),
        link="arXiv:1308.3432",
        wave="D",
        summary="slope of the logistic function",
        formulas=("dy/dx = s (1 - s)",),
        activations={"ste_bengio2013": "b1"},
        leaves_out="stochastic units",
    )
)
@dataclass(frozen=True)
class BengioEstimator(Method):
    """Slope of the logistic function."""

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign(derivative=quantizers.gradients.sigmoid_slope)
