"""Weights that train freely and are drawn to their levels step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts


@catalogued(
    Entry(
        id="proxquant",
        title="ProxQuant",
        year=2018,
        reference="Yu Bai et al.: ProxQuant: Quantized neural networks via proximal operators",
        link="arXiv:1810.00861",
        wave="B",
        summary="a proximal step draws float weights to the levels; no gradient estimator",
        formulas=(
            "1 bit: w' = s + sign(w - s) max(|w - s| - lambda, 0), lambda grows",
            "2 bits: w' = (w + lambda q) / (1 + lambda), q = the mean of each sign where "
            "|w| > 0.7 mean |w|, else 0",
            "last fifth of the training: w' = s, or q",
        ),
        weights={"proxquant1": "b1", "proxquant2": "n2"},
        options={"proxquant1": {"bits": 1}, "proxquant2": {"bits": 2, "strength": 3e-2}},
        leaves_out=(
            "multi-bit levels; lambda grows with the share of the training that is over, not by "
            "1e-4 in each of 200 epochs; ternary levels follow the means of their weights in the "
            "last fifth, too, where the authors' stay"
        ),
    )
)
@dataclass(frozen=True)
class ProxQuant(Method):
    """A proximal step draws float weights to the levels."""

    bits: int = option(1, "1 for signs, 2 for ternary weights", choices=(1, 2))
    strength: float = option(
        2e-3,
        "strength of the proximal step before the last fifth; proxquant2 has 0.03",
        low=0.0,
        open=True,
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        updates, combinations = quantizers.updates, quantizers.combinations
        schedule = updates.snap_at_the_end(updates.grow_linearly(self.strength))
        update = updates.shrink_to_signs if self.bits == 1 else updates.draw_to_levels
        procedure = quantizers.procedure.Procedure(
            forward="master", update=update, schedule=schedule
        )
        if self.bits == 1:
            gradient = quantizers.gradients.identity
            return replace(combinations.signs(), gradient=gradient, procedure=procedure)
        return combinations.means_of_signs(procedure)


@catalogued(
    Entry(
        id="bcgd",
        title="BCGD",
        year=2019,
        reference=(
            "Penghang Yin et al.: Blended coarse gradient descent for full quantization "
            "of deep neural networks"
        ),
        link="arXiv:1808.05240",
        wave="B",
        summary=(
            "weights move a little to their levels in each step; activations by a coarse "
            "slope of three values"
        ),
        formulas=(
            "w' = (1 - r) w + r w_q, after the step",
            "dy/ds = 0, (n + 1) / 2, n",
        ),
        weights={"bcgd1": "b1", "bcgd2": "t2", "bcgd4": "s4"},
        activations={"bcgd4": "u4", "bcgd8": "s8"},
        options={
            "bcgd1": {"bits": 1},
            "bcgd2": {"bits": 2},
            "bcgd4": {"bits": 4},
            "bcgd8": {"bits": 8},
        },
        leaves_out=(
            "the gradient step is taken before the blend; activations round to nearest, not up"
        ),
    )
)
@dataclass(frozen=True)
class Bcgd(Method):
    """Weights move a little to their levels in each step."""

    bits: int = option(
        4, "bits of a code: 1, 2 or 4 of weights, 4 or 8 of activations", choices=(1, 2, 4, 8)
    )
    share: float = option(
        1e-5,
        "share of the quantized value in the weights after a step",
        low=0.0,
        high=1.0,
        open=True,
    )

    def weights(self) -> WeightParts | None:
        """Parts for weights."""
        combinations = quantizers.combinations
        if self.bits == 8:
            return None
        makers: dict[int, Callable[[], WeightParts]] = {
            1: combinations.signs_of_layer,
            2: partial(combinations.ternary, per_tensor=True, exact=True),
            4: partial(combinations.fitted, "s4", 7),
        }
        parts = makers[self.bits]()
        update = quantizers.updates.blend(self.share)
        return replace(parts, procedure=quantizers.procedure.Procedure(update=update))

    def activations(self) -> ActivationParts | None:
        """Parts for activations."""
        if self.bits < 4:
            return None
        return quantizers.combinations.step(self.bits, slope=quantizers.gradients.coarse_slope)


@catalogued(
    Entry(
        id="binaryrelax",
        title="Yin et al.",
        year=2018,
        reference=(
            "Penghang Yin et al.: Binaryrelax: A relaxation approach for training deep "
            "neural networks with quantized weights"
        ),
        link="arXiv:1801.06313",
        wave="B",
        summary="training uses a mixture of float and quantized weights that ends at the levels",
        formulas=("w_t = (l w_q + w) / (l + 1), l grows",),
        weights={"binaryrelax1": "b1", "binaryrelax2": "t2"},
        options={"binaryrelax1": {"bits": 1}, "binaryrelax2": {"bits": 2}},
        leaves_out="the second phase with plainly quantized weights is the end of the schedule",
    )
)
@dataclass(frozen=True)
class BinaryRelax(Method):
    """Training uses a mixture of float and quantized weights that ends at the levels."""

    bits: int = option(1, "1 for signs, 2 for ternary weights", choices=(1, 2))
    last: float = option(
        1000.0, "weight of the quantized kernel at the end; 1 at the start", low=1.0, open=True
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        combinations = quantizers.combinations
        schedule = quantizers.updates.grow_by_powers(1.0, self.last)
        procedure = quantizers.procedure.Procedure(forward="mixed", schedule=schedule)
        if self.bits == 1:
            return replace(combinations.signs_of_layer(), procedure=procedure)
        return replace(combinations.ternary(per_tensor=True, exact=True), procedure=procedure)


@catalogued(
    Entry(
        id="yang2020_ann_c",
        title="Yang et al. sparsity-quantization joint learning",
        year=2020,
        reference=(
            "Haichuan Yang et al.: Automatic neural network compression by "
            "sparsity-quantization joint learning: A constrained optimization-based "
            "approach"
        ),
        link="arXiv:1910.05897",
        wave="C",
        summary="zeros and levels by alternating optimization",
        formulas=(
            "min L(w) + r/2 sum (w - t - m/r)^2",
            "t = project(w - m/r): smaller half 0, others on a fitted grid",
            "m = m - r (w - t) per epoch",
        ),
        weights={"yang2020_ann_c4": "s4"},
        leaves_out=(
            "the search for bits and shares of zeros under a size budget: half of the "
            "weights and 4 bits everywhere"
        ),
    )
)
@dataclass(frozen=True)
class Yang(Method):
    """Zeros and levels by alternating optimization."""

    zeros: float = option(0.5, "share of the weights that are 0", low=0.0, high=1.0, open=True)
    strength: float = option(1e-2, "strength of the constraint", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        schedule = quantizers.updates.stay(self.strength)
        return replace(
            quantizers.combinations.fitted("s4", 7),
            prepare=quantizers.preparation.pruned(self.zeros),
            procedure=quantizers.procedure.Procedure(
                forward="master", multiplies=True, schedule=schedule
            ),
        )


@catalogued(
    Entry(
        id="carreira2017",
        title="Model compression as constrained optimization",
        year=2017,
        reference=(
            "Miguel A. Carreira-Perpinán: Model compression as constrained optimization, "
            "with application to neural nets. Part I: General framework"
        ),
        link="arXiv:1707.01209",
        wave="C",
        summary="training and compression in turns, with multipliers",
        formulas=(
            "learn: min L(w) + r/2 sum (w - t - m/r)^2",
            "compress: t = min over codebooks of |w - m/r - t|^2",
            "m = m - r (w - t), r grows from 0.01 to 10",
        ),
        weights={"carreira2017_4": "c4"},
        leaves_out="one compression step per epoch; the binary, ternary and power-of-two variants",
    )
)
@dataclass(frozen=True)
class Carreira(Method):
    """Training and compression in turns, with multipliers."""

    first: float = option(1e-2, "strength of the constraint at the start", low=0.0, open=True)
    last: float = option(10.0, "strength of the constraint at the end", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(
            forward="master",
            multiplies=True,
            schedule=quantizers.updates.grow_by_powers(self.first, self.last),
        )
        parts = quantizers.combinations.table(4, quantizers.clusters.find_means)
        return replace(parts, procedure=procedure)
