"""Half-wave Gaussian quantization of activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued, describe
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts


@catalogued(
    Entry(
        id="hwgq",
        title="HWGQ",
        year=2017,
        reference=(
            "Zhaowei Cai et al.: Deep learning with low precision by half-wave gaussian "
            "quantization"
        ),
        link="arXiv:1702.00953",
        wave="C",
        summary=(
            "binary weights; activations on a grid that suits the positive half of a "
            "normal distribution"
        ),
        formulas=(
            "y = q_i for t_i < x <= t_(i+1), 0 for x <= 0",
            "slopes: clipped ReLU, ReLU, or 1 / (x - q_m + 1) above q_m",
        ),
        weights={"hwgq": "b1"},
        activations={
            "hwgq2": "u4",
            "hwgq3": "u4",
            "hwgq4": "u4",
            "hwgq2_lloyd": "u4",
            "hwgq3_lloyd": "u4",
            "hwgq2_relu": "u4",
            "hwgq2_log": "u4",
        },
        options={
            "hwgq2": {"bits": 2},
            "hwgq3": {"bits": 3},
            "hwgq4": {"bits": 4},
            "hwgq2_lloyd": {"bits": 2, "lloyd": True},
            "hwgq3_lloyd": {"bits": 3, "lloyd": True},
            "hwgq2_relu": {"slope": "relu"},
            "hwgq2_log": {"slope": "log"},
        },
        leaves_out="non-uniform levels are the integers 1 .. 15 next to those of least error",
    )
)
@dataclass(frozen=True)
class Hwgq(Method):
    """Binary weights."""

    bits: int = option(2, "bits of an activation", choices=(2, 3, 4))
    lloyd: bool = option(
        False, "whether levels are those of least error (2 or 3 bits), else equally spaced"
    )
    slope: str = option(
        "clipped",
        "slope of the ReLU in training",
        source="survey eq. 38, 39 and 41",
        choices=("clipped", "relu", "log"),
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.binary()

    def activations(self) -> ActivationParts | None:
        """Parts for activations."""
        gradients, combinations = quantizers.gradients, quantizers.combinations
        slopes = {"clipped": gradients.clipped_relu, "relu": gradients.positive}
        slope = {**slopes, "log": gradients.log_tail}[self.slope]
        if not self.lloyd:
            return combinations.half_wave(self.bits, slope)
        return combinations.half_wave_lloyd(self.bits, slope) if self.bits < 4 else None


describe(
    Entry(
        id="ste_theory_yin2018",
        title="STE theory",
        year=2018,
        reference=(
            "Penghang Yin et al.: Understanding Straight-Through Estimator in Training "
            "Activation Quantized Neural Nets"
        ),
        link="arXiv:1903.05662",
        wave="C",
        summary="which slopes descend: those of ReLU and clipped ReLU do",
        formulas=("E[coarse gradient . gradient] >= 0",),
        activations={"hwgq2_relu": "u4", "hwgq2": "u4"},
        leaves_out="theory of slopes that other rows have",
    )
)
