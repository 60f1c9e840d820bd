"""Equal steps by smooth curves and searches: soft stairs, sigmoids, probabilities, thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts

_FEW = (2, 3, 4)


@catalogued(
    Entry(
        id="dsq",
        title="DSQ",
        year=2019,
        reference=(
            "Ruihao Gong et al.: Differentiable soft quantization: Bridging "
            "full-precision and low-bit neural networks"
        ),
        link="arXiv:1908.05033",
        wave="D",
        summary="equal steps with the slope of hyperbolic tangents, whose softness is trained",
        formulas=(
            "phi(v) = i + 1/2 + tanh(k (v - i - 1/2)) / (2 (1 - a)), i = floor(v), k = ln(2/a - 1)",
            "y = s clip(round(x / s), lo, hi); dy/dx, dy/ds, dy/da those of s phi(x / s)",
        ),
        weights={"dsq2": "s2", "dsq4": "s4"},
        activations={"dsq2": "u4", "dsq4": "u4"},
        options={"dsq2": {"bits": 2}, "dsq4": {"bits": 4}},
        leaves_out=(
            "both ends of the range trained apart: one width is, since codes of the device have a "
            "real 0; binary weights"
        ),
    )
)
@dataclass(frozen=True)
class Dsq(Method):
    """Equal steps with the slope of hyperbolic tangents."""

    bits: int = option(4, "bits of a code", choices=_FEW)
    softness: float = option(0.2, "softness a at the start", source="the paper", low=0.01, high=0.5)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        base = quantizers.combinations.learned(self.bits)
        return quantizers.soft_steps.SoftStepParts(
            base.format,
            base.levels,
            base.step,
            base.scale,
            quantizers.slopes.soft_step_slope,
            projection=False,
            per_tensor=True,
            learned=replace(base.learned, slope=quantizers.slopes.soft_width_slope)
            if base.learned
            else None,
            softness=self.softness,
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.soft_step(self.bits, self.softness)


@catalogued(
    Entry(
        id="quantization_networks",
        title="Yang et al.",
        year=2019,
        reference="Jiwei Yang et al.: Quantization Networks",
        link="arXiv:1911.09464",
        wave="D",
        summary="levels as a sum of sigmoids that sharpen",
        formulas=(
            "y = a (sum_i sigma(T (w / s - b_i)) - n), T from 2 to 100, a and s trained",
            "b_i in the middles of centers of a k-means of the first w; deployed: a unit step for "
            "sigma",
        ),
        weights={"quantization_networks2": "t2", "quantization_networks3": "s3"},
        options={"quantization_networks2": {"bits": 2}, "quantization_networks3": {"bits": 3}},
        leaves_out=(
            "activations by the same sigmoids: use n2uq, which trains thresholds; the last of "
            "12 or "
            "more stages computes with unit steps"
        ),
    )
)
@dataclass(frozen=True)
class QuantizationNetworks(Method):
    """Levels as a sum of sigmoids that sharpen."""

    bits: int = option(3, "bits of a code", choices=(2, 3))
    last: float = option(100.0, "sharpness T at the end", low=10.0, high=1000.0)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        hi = 2 ** (self.bits - 1) - 1
        base = quantizers.combinations.fitted("t2" if hi == 1 else "s3", hi)
        schedule = quantizers.updates.grow_by_powers(2.0, self.last)
        return quantizers.relaxed.SigmoidParts(
            base.format,
            base.levels,
            base.step,
            base.scale,
            base.gradient,
            projection=False,
            per_tensor=True,
            procedure=quantizers.procedure.Procedure(forward="soft", schedule=schedule),
        )


@catalogued(
    Entry(
        id="slb",
        title="SLB",
        year=2020,
        reference=(
            "Zhaohui Yang et al.: Searching for low-bit weights in quantized neural networks"
        ),
        link="arXiv:2009.08695",
        wave="D",
        summary="each weight searches among few values by probabilities",
        formulas=(
            "w_i = sum_j P_ij v_j, P_ij = softmax_j(p_ij / T), T from 1 to .01",
            "deployed: the v_j of the largest p_ij",
        ),
        weights={"slb1": "b1", "slb4": "c4"},
        options={"slb1": {"bits": 1}, "slb4": {"bits": 4}},
        leaves_out=(
            "BatchNorms of their own for soft and hard weights: the last stage computes with hard "
            "ones, and averages are settled at the end; values v are those that fit the first "
            "weights; training keeps 2^bits numbers a weight"
        ),
    )
)
@dataclass(frozen=True)
class Slb(Method):
    """Each weight searches among few values by probabilities."""

    bits: int = option(2, "bits of a code", choices=(1, 2, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        steps = quantizers.steps
        base = (
            replace(quantizers.combinations.signs_of_layer(), step=steps.mean_abs_step)
            if self.bits == 1
            else quantizers.combinations.odd(self.bits, steps.statistics_step(self.bits))
        )
        schedule = quantizers.updates.grow_by_powers(1.0, 0.01)
        return quantizers.choices.ChoiceParts(
            base.format,
            base.levels,
            base.step,
            quantizers.scales.step_scale,
            base.gradient,
            projection=False,
            per_tensor=True,
            procedure=quantizers.procedure.Procedure(forward="soft", schedule=schedule),
        )


@catalogued(
    Entry(
        id="n2uq",
        title="N2UQ",
        year=2022,
        reference=(
            "Zechun Liu et al.: Nonuniform-to-uniform quantization: Towards accurate "
            "quantization via generalized straight-through estimation"
        ),
        link="arXiv:2111.14826",
        wave="D",
        summary="thresholds are trained, levels stay uniform",
        formulas=(
            "y = s (number of T_i <= x), T_i the middle of segment i, whose length a_i is trained",
            "dy/dx = s / a_i within segment i",
            "w_q: 2^k levels from -r to r, r = (2^k - 1) / 2^(k-1) mean |w| per filter",
        ),
        weights={"n2uq2": "d2", "n2uq4": "c4"},
        activations={"n2uq2": "u4", "n2uq4": "u4"},
        options={"n2uq2": {"bits": 2}, "n2uq4": {"bits": 4}},
        leaves_out=(
            "the first segment begins at 0; gradients of weights pass outside of -r .. r too; "
            "distillation is a term of a phase, RPReLU a layer of the user's network"
        ),
    )
)
@dataclass(frozen=True)
class N2uq(Method):
    """Thresholds are trained, levels stay uniform."""

    bits: int = option(2, "bits of a code", choices=_FEW)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.odd(
            self.bits, quantizers.steps.share_of_mean_step(self.bits)
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.thresholds(self.bits)
