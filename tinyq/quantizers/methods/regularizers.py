"""Terms of the loss that draw master weights towards levels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.weights import WeightParts


@catalogued(
    Entry(
        id="periodic_reg",
        title="Periodic regularization",
        year=2018,
        reference=(
            "Maxim Naumov et al.: On periodic functions as regularizers for quantization "
            "of neural networks"
        ),
        link="arXiv:1811.09862",
        wave="C",
        summary="float training with a wave that is zero on the grid, then rounding",
        formulas=("R = sum sin(pi w / d)^2",),
        weights={"periodic_reg4": "s4"},
        leaves_out="a learned step",
    )
)
@dataclass(frozen=True)
class PeriodicRegularization(Method):
    """Float training with a wave that is zero on the grid, then rounding."""

    strength: float = option(1e-5, "factor of the penalty", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(
            forward="master", penalty=quantizers.penalties.periodic, strength=self.strength
        )
        return replace(quantizers.combinations.max_abs("s4", 7), procedure=procedure)


@catalogued(
    Entry(
        id="wess_reg",
        title="Quantization regularization",
        year=2018,
        reference=(
            "Wess Matthias et al.: Weighted quantization-regularization in DNNs for "
            "weight memory minimization toward HW implementation"
        ),
        wave="C",
        summary="float training drawn to its own quantized values",
        formulas=("R = sum |w - w_q| / (max |w_q| N)",),
        weights={"wess_reg4": "s4"},
        leaves_out="the search for bits",
    )
)
@dataclass(frozen=True)
class WeightedRegularization(Method):
    """Float training drawn to its own quantized values."""

    strength: float = option(1e-2, "factor of the penalty", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(
            forward="master", penalty=quantizers.penalties.distance, strength=self.strength
        )
        return replace(quantizers.combinations.max_abs("s4", 7), procedure=procedure)


@catalogued(
    Entry(
        id="wess_pot_reg",
        title="POT quantization regularization",
        year=2018,
        reference=(
            "Wess Matthias et al.: Weighted quantization-regularization in DNNs for "
            "weight memory minimization toward HW implementation"
        ),
        wave="C",
        summary="the same for powers of two, weighted by magnitude",
        formulas=("R = sum |w - w_q| |w| / (max |w_q|^2 N)",),
        weights={"wess_pot_reg4": "p4"},
        leaves_out="the search for bits",
    )
)
@dataclass(frozen=True)
class PowersRegularization(Method):
    """The same for powers of two, weighted by magnitude."""

    strength: float = option(1e-2, "factor of the penalty", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(
            forward="master", penalty=quantizers.penalties.weighted_distance, strength=self.strength
        )
        return replace(quantizers.combinations.powers("p4", 7, log=True), procedure=procedure)
