"""Ternary weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.weights import WeightParts


@catalogued(
    Entry(
        id="ternary",
        title="Ternary per channel",
        year=2016,
        reference="Fengfu Li and Bin Liu: Ternary weight networks",
        link="arXiv:1605.04711",
        wave="-",
        summary=(
            "weights -1, 0, +1 with threshold 0.7 mean |w| and the mean of the kept as "
            "scale, per channel"
        ),
        formulas=(
            "D = 0.7 mean |w|",
            "a = mean of |w| > D",
        ),
        weights={"ternary": "t2"},
    )
)
@dataclass(frozen=True)
class Ternary(Method):
    """Weights -1, 0, +1 with threshold 0.7 mean |w| and the mean of the kept as scale."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.ternary()


@catalogued(
    Entry(
        id="twn",
        title="TWN",
        year=2016,
        reference="Fengfu Li and Bin Liu: Ternary Weight Networks",
        link="arXiv:1605.04711",
        wave="A",
        summary=(
            "ternary weights with one scale per layer and the threshold rule 0.7 mean; "
            "twn_exact searches the best threshold"
        ),
        formulas=(
            "D = 0.7 mean |w|, or argmax (sum of |w| > D)^2 / count",
            "a = mean of |w| > D",
            "w_q = a sign(w) if abs(w) > D else 0",
        ),
        weights={"twn": "t2", "twn_exact": "t2"},
        options={"twn_exact": {"exact": True}},
    )
)
@dataclass(frozen=True)
class Twn(Method):
    """Ternary weights with one scale per layer and the threshold rule 0.7 mean."""

    exact: bool = option(False, "whether the best threshold is searched, else 0.7 mean |w|")

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.ternary(per_tensor=True, exact=self.exact)


@catalogued(
    Entry(
        id="ternaryconnect",
        title="TernaryConnect",
        year=2015,
        reference="Zhouhan Lin et al.: Neural networks with few multiplications",
        link="arXiv:1510.03009",
        wave="B",
        summary="weights are drawn from -1, 0, +1 in training and rounded on the device",
        formulas=(
            "P(s sign w) = |w| / s, else 0;  s = 2 mean |w|",
            "dy/dw = 1; w kept in -1 .. 1",
        ),
        weights={"ternaryconnect": "t2"},
        leaves_out=(
            "the quantized back-propagation; the step s = 1, with which a trained float "
            "model would round to 0"
        ),
    )
)
@dataclass(frozen=True)
class TernaryConnect(Method):
    """Weights are drawn from -1, 0, +1 in training and rounded on the device."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.weights.WeightParts(
            "t2",
            quantizers.levels.Uniform(-1, 1),
            quantizers.steps.mean_step(1),
            quantizers.scales.step_scale,
            quantizers.gradients.identity,
            projection=False,
            per_tensor=True,
            procedure=quantizers.procedure.Procedure(
                draw=quantizers.rounding.draw_ternary, update=quantizers.updates.clip_to_unit
            ),
        )


@catalogued(
    Entry(
        id="ttq",
        title="TTQ",
        year=2016,
        reference="Chenzhuo Zhu et al.: Trained ternary quantization",
        link="arXiv:1612.01064",
        wave="B",
        summary="ternary weights with a trained scale for each sign",
        formulas=(
            "w_q = Wp if w > D, -Wn if w < -D, else 0 (survey eq. 22)",
            "D = 0.05 max |w| (eq. 25)",
            "dL/dw = Wp, 1 or Wn times dL/dw_q (eq. 23)",
            "dL/dWp = sum over w > D, dL/dWn = -sum over w < -D (eq. 24, with its sign)",
        ),
        weights={"ttq": "n2"},
        leaves_out=(
            "the threshold by a wanted share of zeros exists as a part (sparsity), not as a preset"
        ),
    )
)
@dataclass(frozen=True)
class Ttq(Method):
    """Ternary weights with a trained scale for each sign."""

    threshold: float = option(
        0.05,
        "share of the largest |w| up to which a weight is 0",
        source="survey eq. 25",
        low=0.0,
        high=1.0,
        open=True,
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        tables = quantizers.tables
        parts = quantizers.combinations.table(
            2,
            quantizers.clusters.part_in_three,
            count=3,
            choose=tables.choose_by_threshold,
            moves="training",
            constrain=tables.around_zero,
        )
        return replace(
            parts,
            format="n2",
            step=quantizers.steps.share_of_max(self.threshold),
            gradient=tables.scaled_by_level,
            projection=False,
        )


@catalogued(
    Entry(
        id="fgq",
        title="FGQ",
        year=2017,
        reference=(
            "Naveen Mellempudi et al.: Ternary neural networks with fine-grained quantization"
        ),
        link="arXiv:1705.01462",
        wave="B",
        summary="ternary weights with a scale per small group",
        formulas=("D, a = argmin |W_g - a T|^2 per group of 8 input channels",),
        weights={"fgq": "g2"},
        leaves_out=(
            "separate thresholds for the signs; filters of depthwise layers, with one "
            "input channel, are one group (t2)"
        ),
    )
)
@dataclass(frozen=True)
class Fgq(Method):
    """Ternary weights with a scale per small group."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.groups.GroupParts(
            "g2",
            quantizers.levels.Ternary(),
            quantizers.steps.best_ternary_threshold,
            quantizers.scales.kept_mean_scale,
            quantizers.gradients.identity,
            projection=False,
        )


@catalogued(
    Entry(
        id="elq",
        title="ELQ",
        year=2018,
        reference=(
            "Aojun Zhou et al.: Explicit loss-error-aware quantization for low-bit deep "
            "neural networks"
        ),
        wave="B",
        summary="binary or ternary weights frozen in portions",
        formulas=(
            "a = mean |w| + 0.05 max |w|",
            "w_q = a sign(w) if abs(w) > a / 2 else 0; a stays once weights are frozen",
            "loss + 0.01 mean |w - w_q| / max |w_q|",
        ),
        weights={"elq1": "b1", "elq2": "t2"},
        options={"elq1": {"bits": 1}, "elq2": {"bits": 2}},
        leaves_out=(
            "the term of the loss perturbation; the error of the weights is their "
            "distance, not its square"
        ),
    )
)
@dataclass(frozen=True)
class Elq(Method):
    """Binary or ternary weights frozen in portions."""

    bits: int = option(2, "1 for signs, 2 for ternary weights", choices=(1, 2))
    share: float = option(
        0.05, "share of the largest |w| in the threshold", source="survey eq. 26", low=0.0, high=1.0
    )
    strength: float = option(
        1e-2, "factor of the distance from the levels in the loss", low=0.0, open=True
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        binary = self.bits == 1
        penalty = quantizers.penalties.distance
        return quantizers.weights.WeightParts(
            "b1" if binary else "t2",
            quantizers.levels.Binary() if binary else quantizers.levels.Ternary(),
            quantizers.steps.half_mean_and_max(self.share),
            quantizers.scales.doubled_step,
            quantizers.gradients.identity,
            projection=False,
            per_tensor=True,
            procedure=quantizers.combinations.incremental(penalty=penalty, strength=self.strength),
        )


@catalogued(
    Entry(
        id="sq_smart",
        title="SQ",
        year=2021,
        reference="Ryan Razani et al.: Adaptive binary-ternary quantization",
        link="arXiv:1909.12205",
        wave="B",
        summary="ternary weights drawn to binary or ternary by a penalty",
        formulas=(
            "R = sum min(||w| - mu|, tan(beta) |w|)",
            "levels -mu, 0, mu",
        ),
        weights={"sq_smart": "t2"},
        leaves_out="beta is fixed, so a layer does not choose between binary and ternary by itself",
    )
)
@dataclass(frozen=True)
class SmartQuantization(Method):
    """Ternary weights drawn to binary or ternary by a penalty."""

    slope: float = option(
        math.tan(3 * math.pi / 8),
        "tangent of beta; the larger, the more weights leave 0",
        low=0.0,
        open=True,
    )
    strength: float = option(1e-5, "factor of the penalty", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        penalty = quantizers.penalties.binary_or_ternary(self.slope)
        return quantizers.weights.WeightParts(
            "t2",
            quantizers.levels.Ternary(),
            quantizers.steps.half_mean,
            quantizers.scales.doubled_step,
            quantizers.gradients.identity,
            projection=False,
            per_tensor=True,
            procedure=quantizers.procedure.Procedure(penalty=penalty, strength=self.strength),
        )


@catalogued(
    Entry(
        id="venkatesh",
        title="Venkatesh et al.",
        year=2017,
        reference=(
            "Ganesh Venkatesh et al.: Accelerating deep convolutional networks using "
            "low-precision and sparsity"
        ),
        link="arXiv:1610.00324",
        wave="B",
        summary="ternary weights; zeros are skipped",
        formulas=("as twn",),
        weights={"venkatesh": "t2"},
        leaves_out="skipping zeros at run time",
    )
)
@dataclass(frozen=True)
class Venkatesh(Method):
    """Ternary weights."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.ternary(per_tensor=True)


@catalogued(
    Entry(
        id="hwang_sung2014",
        title="Hwang & Sung fixed point +1,0,-1",
        year=2014,
        reference=(
            "Kyuyeon Hwang and Wonyong Sung: Fixed-point feedforward deep neural network "
            "design using weights +1, 0, and -1"
        ),
        wave="B",
        summary="ternary weights with the best threshold and scale of a layer",
        formulas=("a = sum(w c) / sum(c^2)",),
        weights={"hwang_sung2014": "t2"},
        leaves_out="fixed-point activations of any bits",
    )
)
@dataclass(frozen=True)
class HwangSung(Method):
    """Ternary weights with the best threshold and scale of a layer."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        parts = quantizers.combinations.ternary(per_tensor=True, exact=True)
        return replace(parts, scale=quantizers.scales.fitted_scale)
