"""Values clipped to a fixed range before they are rounded."""

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
        id="dorefa",
        title="DoReFa-Net",
        year=2016,
        reference=(
            "Shuchang Zhou et al.: Dorefa-net: Training low bitwidth convolutional "
            "neural networks with low bitwidth gradients"
        ),
        link="arXiv:1606.06160",
        wave="C",
        summary="squashed weights and clipped activations on a uniform grid of k bits",
        formulas=(
            "w_q = 2 q_k(tanh w / (2 max |tanh w|) + 1/2) - 1",
            "a_q = q_k(clip(a, 0, 1))",
            "q_k(x) = round((2^k - 1) x) / (2^k - 1)",
        ),
        weights={"dorefa1": "b1", "dorefa2": "d2", "dorefa3": "d3", "dorefa4": "c4"},
        activations={"dorefa1": "u4", "dorefa2": "u4", "dorefa3": "u4", "dorefa4": "u4"},
        options={
            "dorefa1": {"bits": 1},
            "dorefa2": {"bits": 2},
            "dorefa3": {"bits": 3},
            "dorefa4": {"bits": 4},
        },
        leaves_out="gradients of few bits are the recipe key gradients: dorefa6, off by default",
    )
)
@dataclass(frozen=True)
class DoReFa(Method):
    """Squashed weights and clipped activations on a uniform grid of k bits."""

    bits: int = option(4, "bits of a code", choices=(1, 2, 3, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        combinations = quantizers.combinations
        return combinations.signs_of_layer() if self.bits == 1 else combinations.squashed(self.bits)

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.unit_interval(self.bits)


@catalogued(
    Entry(
        id="qnn",
        title="QNN",
        year=2017,
        reference=(
            "Itay Hubara et al.: Quantized neural networks: Training neural networks "
            "with low precision weights and activations"
        ),
        link="arXiv:1609.07061",
        wave="C",
        summary="signs or a fixed uniform grid, with gradients cut at one",
        formulas=(
            "y = clip(round(x / d) d, -1, 1)",
            "dy/dx = 1 if |x| <= 1 else 0",
        ),
        weights={"qnn1": "b1", "qnn4": "s4"},
        activations={"qnn1": "b1", "qnn2": "u4", "qnn4": "u4"},
        options={"qnn1": {"bits": 1}, "qnn2": {"bits": 2}, "qnn4": {"bits": 4}},
        leaves_out="logarithmic variant, 6 bits; gradients are the recipe key gradients: qnn6",
    )
)
@dataclass(frozen=True)
class Qnn(Method):
    """Signs or a fixed uniform grid, with gradients cut at one."""

    bits: int = option(4, "bits of a code", choices=(1, 2, 4))

    def weights(self) -> WeightParts | None:
        """Parts for weights."""
        combinations = quantizers.combinations
        if self.bits == 1:
            return replace(combinations.signs(), procedure=combinations.bounded())
        if self.bits != 4:
            return None
        return quantizers.weights.WeightParts(
            "s4",
            quantizers.levels.Uniform(-7, 7),
            quantizers.steps.fixed_step(1.0 / 7.0),
            quantizers.scales.step_scale,
            quantizers.gradients.clipped_identity,
            procedure=combinations.bounded(),
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        combinations = quantizers.combinations
        return combinations.sign() if self.bits == 1 else combinations.unit_interval(self.bits)


@catalogued(
    Entry(
        id="balanced",
        title="Balanced quantization",
        year=2017,
        reference=(
            "Shu-Chang Zhou et al.: Balanced quantization: An effective and efficient "
            "approach to quantized neural networks"
        ),
        link="arXiv:1706.07145",
        wave="C",
        summary="equally many weights on each level",
        formulas=("code = 2 floor(rank 2^k / N) - (2^k - 1)",),
        weights={"balanced2": "d2", "balanced4": "c4"},
        activations={"balanced2": "u4", "balanced4": "u4"},
        options={"balanced2": {"bits": 2}, "balanced4": {"bits": 4}},
        leaves_out="equalized activations (they are clipped to 0 .. 1), gradients of few bits",
    )
)
@dataclass(frozen=True)
class Balanced(Method):
    """Equally many weights on each level."""

    bits: int = option(4, "bits of a code", choices=(2, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        level_set = quantizers.levels.Balanced(self.bits)
        return quantizers.weights.WeightParts(
            {2: "d2", 4: "c4"}[self.bits],
            level_set,
            quantizers.steps.no_step,
            quantizers.scales.balanced_scale(level_set.hi),
            quantizers.gradients.identity,
            projection=False,
            per_tensor=True,
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.unit_interval(self.bits)
