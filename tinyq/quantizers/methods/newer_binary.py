"""Binary weights and activations of later years: centered, turned, mapped, drawn."""

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
        id="raiko2014",
        title="Raiko et al. binary stochastic feedforward nets",
        year=2014,
        reference=(
            "Tapani Raiko et al.: Techniques for learning binary stochastic feedforward "
            "neural networks"
        ),
        link="arXiv:1406.2989",
        wave="D",
        summary="activations are random signs in training and the likelier sign on the device",
        formulas=(
            "P(y = +1) = sigma(x), E[y] = 2 sigma(x) - 1",
            "dy/dx = 2 sigma(x) (1 - sigma(x)), the slope of the mean, or 1",
        ),
        activations={"raiko2014": "b1", "raiko2014_straight": "b1"},
        options={"raiko2014_straight": {"straight": True}},
        leaves_out=(
            "estimates from several draws of one sample, weighted by importance; the device has "
            "one "
            "sign for a value and draws none"
        ),
    )
)
@dataclass(frozen=True)
class Raiko(Method):
    """Activations are random signs in training."""

    straight: bool = option(False, "whether the slope is 1, else that of the mean")

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        straight, mean = quantizers.gradients.identity, quantizers.slopes.stochastic_slope
        return quantizers.combinations.random_sign(straight if self.straight else mean)


@catalogued(
    Entry(
        id="bitwise_nn",
        title="Bitwise Neural Networks",
        year=2016,
        reference="Minje Kim and Paris Smaragdis: Bitwise neural networks",
        link="arXiv:1601.06071",
        wave="D",
        summary="hyperbolic tangents in the first half of the training, signs in the second",
        formulas=(
            "first half: w_train = tanh(w), y = tanh(x)",
            "second half: sign(w), sign(x), each with slope 1",
        ),
        weights={"bitwise_nn": "b1"},
        activations={"bitwise_nn": "b1"},
        leaves_out=(
            "biases of one bit: a bias is part of the threshold here and costs nothing; weights "
            "that a threshold on |w| switches off"
        ),
    )
)
@dataclass(frozen=True)
class BitwiseNn(Method):
    """Hyperbolic tangents in the first half of the training, signs in the second."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        relaxed = quantizers.relaxed
        base = replace(quantizers.combinations.signs(), gradient=quantizers.gradients.identity)
        procedure = quantizers.procedure.Procedure(forward="soft", schedule=relaxed.in_halves)
        return relaxed.RelaxedParts(
            base.format,
            base.levels,
            base.step,
            base.scale,
            base.gradient,
            procedure=procedure,
            soft=relaxed.squash_before_signs,
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.late_sign()


@catalogued(
    Entry(
        id="bbg",
        title="BBG",
        year=2020,
        reference="Mingzhu Shen et al.: Balanced binary neural networks with gated residual",
        link="arXiv:1909.12117",
        wave="D",
        summary="balanced signs and a gated shortcut",
        formulas=(
            "w' = w - mean w, w_q = mean |w'| sign(w')",
            "y = conv(x) + g_c x, g trained per channel, 1 at first",
        ),
        weights={"bbg": "b1"},
        activations={"bbg": "b1"},
        functions={
            "tinyq.training.structures.gate_shortcuts": "puts a trained gate on every shortcut"
        },
    )
)
@dataclass(frozen=True)
class Bbg(Method):
    """Balanced signs, with a scale per filter."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return replace(
            quantizers.combinations.binary(),
            prepare=quantizers.preparation.center,
            projection=False,
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign()


@catalogued(
    Entry(
        id="rbnn",
        title="RBNN",
        year=2020,
        reference="Mingbao Lin et al.: Rotated binary neural network",
        link="arXiv:2009.13055",
        wave="D",
        summary="weights are turned before the sign is taken",
        formulas=(
            "min over rotations of |sign(R1^T W R2) - R1^T W R2|^2, at each stage of the training",
            "w' = w + |sin(beta)| (R1^T w R2 - w), beta trained; w_q = mean |w'| sign(w')",
            "slope max(0, k (sqrt(2) t - t^2 |x|)), t = 10^(-2 + 3 progress), k = max(1 / t, 1)",
        ),
        weights={"rbnn": "b1"},
        activations={"rbnn": "b1"},
        leaves_out=(
            "a trained scale per filter: it is mean |w'|; rotations follow at 12 or more stages, "
            "not at each epoch"
        ),
    )
)
@dataclass(frozen=True)
class Rbnn(Method):
    """Weights are turned before the sign is taken."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        slopes = quantizers.slopes
        base = quantizers.combinations.binary()
        return quantizers.rotations.RotationParts(
            base.format,
            base.levels,
            base.step,
            base.scale,
            slopes.aware_quadratic,
            projection=False,
            prepare=quantizers.preparation.standardize,
            procedure=quantizers.procedure.Procedure(
                schedule=slopes.sharpen_quadratic, anneals=True
            ),
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        slopes = quantizers.slopes
        return quantizers.combinations.sign(
            derivative=slopes.aware_quadratic, schedule=slopes.sharpen_quadratic
        )


@catalogued(
    Entry(
        id="lns",
        title="LNS",
        year=2020,
        reference=(
            "Kai Han et al.: Training binary neural networks through learning with noisy "
            "supervision"
        ),
        wave="D",
        summary="a small trained network over the kernel decides the signs",
        formulas=(
            "m = u + tanh(u V) U, u = w / mean |w|, over the positions of a filter; w_q = mean |w| "
            "sign(m)",
            "R = mean ((1 - r) l(m, s) - r l(m, -s)) / (1 - 2 r), s = sign(w), "
            "l(m, s) = ln(1 + exp(-m s))",
        ),
        weights={"lns": "b1"},
        activations={"lns": "b1"},
        leaves_out=(
            "one mapping for all layers: each has its own of one hidden layer, which begins as "
            "plain signs"
        ),
    )
)
@dataclass(frozen=True)
class Lns(Method):
    """A small trained network over the kernel decides the signs."""

    noise: float = option(0.1, "share of signs that count as wrong", low=0.0, high=0.5, open=True)
    strength: float = option(1e-3, "factor of the noisy labels' loss", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        base = quantizers.combinations.binary()
        return quantizers.mappings.MappingParts(
            base.format,
            base.levels,
            base.step,
            base.scale,
            base.gradient,
            noise=self.noise,
            supervision=self.strength,
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign()


@catalogued(
    Entry(
        id="recu",
        title="ReCU",
        year=2021,
        reference="Zihan Xu et al.: ReCU: Reviving the dead weights in binary neural networks",
        link="arXiv:2103.12369",
        wave="-",
        summary="balanced signs whose outermost weights are brought back, so that they can change",
        formulas=(
            "w_q = mean |w'| sign(w'), w' = (w - mean) / deviation",
            "after each step w = clip(w, -q, q), q = -mean |w| ln(2 (1 - tau)), tau .85 to .99",
        ),
        weights={"recu": "b1"},
        leaves_out=(
            "the clamp is applied to the master weights, not inside the network; a scale is a "
            "filter's mean magnitude"
        ),
    )
)
@dataclass(frozen=True)
class ReCu(Method):
    """Balanced signs whose outermost weights are brought back."""

    first: float = option(
        0.85, "quantile at the start", source="the paper", low=0.5, high=1.0, open=True
    )
    last: float = option(
        0.99, "quantile at the end", source="the paper", low=0.5, high=1.0, open=True
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        updates = quantizers.updates
        return replace(
            quantizers.combinations.binary(),
            prepare=quantizers.preparation.standardize,
            projection=False,
            procedure=quantizers.procedure.Procedure(
                update=updates.clamp_to_quantile,
                schedule=updates.grow_between(self.first, self.last),
            ),
        )


@catalogued(
    Entry(
        id="adabin",
        title="AdaBin",
        year=2022,
        reference="Zhijun Tu et al.: AdaBin: Improving binary neural networks with adaptive sets",
        link="arXiv:2208.08084",
        wave="-",
        summary="two levels of each filter at any place, not only around 0",
        formulas=("w_q = a sign(w - b) + b, b = mean w, a = deviation of w, per filter",),
        weights={"adabin": "d2"},
        leaves_out=(
            "adaptive sets of activations: use reactnet, whose shift the device folds; two bits of "
            "memory a weight, because the center is a second sign that is always +1; the Maxout"
        ),
    )
)
@dataclass(frozen=True)
class AdaBin(Method):
    """Two levels of each filter at any place."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        centers, base = quantizers.centers, quantizers.combinations.sums_of_signs(2)
        return centers.CenterParts(
            base.format,
            base.levels,
            base.step,
            base.scale,
            base.gradient,
            projection=False,
            count=2,
            signs=centers.centered_signs,
            momentum=0.0,
        )
