"""Weights as sums of a few numbers with signs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts


@catalogued(
    Entry(
        id="abc_net",
        title="ABC",
        year=2017,
        reference="Xiaofan Lin et al.: Towards accurate binary convolutional neural network",
        link="arXiv:1711.11294",
        wave="C",
        summary="several signs per weight and per activation, each with a scale and a shift",
        formulas=(
            "A = sign(clip(R + v, 0, 1) - 1/2)",
            "dA/dR = 1 if 0 <= R + v <= 1 else 0",
            ("W = sum a_i B_i, B_i = sign(W - mean W + u_i std W), u_i = -1 .. 1 (survey eq. 21)"),
            "a = (B B^T)^-1 B w",
        ),
        weights={"abc_net2": "d2", "abc_net3": "d3"},
        activations={"abc_net": "b1"},
        options={"abc_net2": {"bases": 2}, "abc_net3": {"bases": 3}},
        leaves_out="all but one activation base; more than three weight bases",
    )
)
@dataclass(frozen=True)
class AbcNet(Method):
    """Several signs per weight and per activation, each with a scale and a shift."""

    bases: int = option(2, "numbers in a basis of weights", choices=(2, 3))
    center: float = option(
        0.5, "where an activation changes its sign, at first", low=-1.0, high=1.0
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        parts = quantizers.combinations.sums_of_signs(
            self.bases, signs=quantizers.bases.shifted_signs, momentum=0.0
        )
        return replace(parts, per_tensor=True, projection=False)

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        derivative = quantizers.gradients.unit_box
        return quantizers.combinations.shifted_sign(derivative=derivative, center=self.center)


@catalogued(
    Entry(
        id="lq_nets",
        title="LQ-Nets",
        year=2018,
        reference=(
            "Dongqing Zhang et al.: Lq-nets: Learned quantization for highly accurate "
            "and compact deep neural networks"
        ),
        link="arXiv:1807.10029",
        wave="C",
        summary="levels are sums of trained basis values with signs",
        formulas=(
            "Q = v^T e, e in {-1, 1}^K",
            "v = (B B^T)^-1 B w",
        ),
        weights={"lq_nets1": "b1", "lq_nets2": "d2", "lq_nets3": "d3"},
        options={"lq_nets1": {"bits": 1}, "lq_nets2": {"bits": 2}, "lq_nets3": {"bits": 3}},
        leaves_out="bases of activations; 4 bits",
    )
)
@dataclass(frozen=True)
class LqNets(Method):
    """Levels are sums of trained basis values with signs."""

    bits: int = option(2, "numbers in a basis", choices=(1, 2, 3))
    momentum: float = option(
        0.9, "share of the old basis that a step of the training keeps", low=0.0, high=1.0
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        combinations = quantizers.combinations
        if self.bits == 1:
            return replace(combinations.binary(), gradient=quantizers.gradients.identity)
        return combinations.sums_of_signs(self.bits, momentum=self.momentum)
