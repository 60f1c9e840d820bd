"""Equal steps of later years: rescaled, at several widths, by moments, with other gradients."""

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
        id="sat",
        title="SAT",
        year=2019,
        reference="Qing Jin et al.: Towards efficient training for neural network quantization",
        link="arXiv:1912.10207",
        wave="D",
        summary="weights are rescaled so that training keeps its pace",
        formulas=(
            "w = w_q / sqrt(n var(w_q)), w_q as in DoReFa, n outputs of the layer",
            "y as PACT; dy/da = q(x / a) - x / a for 0 <= x < a, 1 for x >= a",
        ),
        weights={"sat2": "d2", "sat4": "c4"},
        activations={"sat2": "u4", "sat4": "u4"},
        options={"sat2": {"bits": 2}, "sat4": {"bits": 4}},
        leaves_out=(
            "weights of all layers are rescaled, also where a BatchNorm behind takes the factor "
            "back; the factor does not enter the gradient of the weights"
        ),
    )
)
@dataclass(frozen=True)
class Sat(Method):
    """Weights are rescaled so that training keeps its pace."""

    bits: int = option(4, "bits of a code", choices=(2, 3, 4, 5))

    def weights(self) -> WeightParts | None:
        """Parts for weights."""
        if self.bits > 4:
            return None
        return replace(
            quantizers.combinations.squashed(self.bits),
            scale=quantizers.scales.unit_output_scale,
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.calibrated_clip(self.bits)


@catalogued(
    Entry(
        id="adabits",
        title="AdaBits",
        year=2020,
        reference="Qing Jin et al.: Adabits: Neural network quantization with adaptive bit-widths",
        link="arXiv:1912.09666",
        wave="D",
        summary="one network that runs at several bits",
        formulas=(
            "w_k = 2^-k (2 clip(floor(2^k (w + 1) / 2), 0, 2^k - 1) + 1 - 2^k), w as in DoReFa",
            "L = sum_k L_k, a clipping level and a BatchNorm for each k (survey eq. 45)",
        ),
        weights={"adabits4": "c4", "adabits6": "s8"},
        options={"adabits4": {"bits": 4}, "adabits6": {"bits": 6}},
        functions={
            "tinyq.training.joint.train_jointly": "trains one kernel at several widths; each width "
            "is a model to export"
        },
        leaves_out=(
            "8 bits, whose odd codes do not fit s8: the widest has 7; a device has one width, or "
            "one program for each"
        ),
    )
)
@dataclass(frozen=True)
class AdaBits(Method):
    """One network that runs at several bits."""

    bits: int = option(4, "bits of a code", choices=(3, 4, 5, 6, 7))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        number_format = {3: "d3", 4: "c4"}.get(self.bits, "s8")
        return replace(
            quantizers.combinations.squashed(3),
            format=number_format,
            levels=quantizers.levels.Truncated(self.bits),
            step=quantizers.steps.fixed_step(2.0**-self.bits),
        )


@catalogued(
    Entry(
        id="wrpn",
        title="WRPN",
        year=2018,
        reference="Asit Mishra et al.: WRPN: Wide Reduced-Precision Networks",
        link="arXiv:1709.01134",
        wave="D",
        summary="wider layers in exchange for fewer bits",
        formulas=(
            "w_q = m round((2^(k-1) - 1) w / m) / (2^(k-1) - 1), m = max |w| of the layer",
            "a_q = round((2^k - 1) clip(a, 0, 1)) / (2^k - 1); 2 or 3 times the filters",
        ),
        weights={"wrpn2": "t2", "wrpn4": "s4"},
        activations={"wrpn2": "u4", "wrpn4": "u4"},
        options={"wrpn2": {"bits": 2}, "wrpn4": {"bits": 4}},
        functions={"tinyq.training.structures.widen": "makes a float network with more filters"},
        leaves_out=(
            "m = 1, with which most weights of a trained float model would be 0; a wide network is "
            "trained in floating point first"
        ),
    )
)
@dataclass(frozen=True)
class Wrpn(Method):
    """Wider layers in exchange for fewer bits."""

    bits: int = option(4, "bits of a code", choices=(2, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        hi = 2 ** (self.bits - 1) - 1
        return quantizers.combinations.max_abs("t2" if hi == 1 else "s4", hi, per_tensor=True)

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.unit_interval(self.bits)


@catalogued(
    Entry(
        id="pact_sawb",
        title="PACT-SAWB",
        year=2019,
        reference="Jungwook Choi et al.: Accurate and efficient 2-bit quantized neural networks",
        wave="-",
        summary="ends of equal steps by two moments of the weights, without training them",
        formulas=(
            "r = c_1 sqrt(mean w^2) - c_2 mean |w| per layer; 2^k levels from -r to r",
            "c_1, c_2: 3.12, 2.064 for 2 bits; 7.509, 6.892 for 3; 12.68, 12.80 for 4",
        ),
        weights={"pact_sawb2": "d2", "pact_sawb4": "c4"},
        options={"pact_sawb2": {"bits": 2}, "pact_sawb4": {"bits": 4}},
        leaves_out="activations are those of PACT (pact2 to pact4); full-precision shortcuts",
    )
)
@dataclass(frozen=True)
class PactSawb(Method):
    """Ends of equal steps by two moments of the weights."""

    bits: int = option(2, "bits of a code", choices=_FEW)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        step = quantizers.steps.statistics_step(self.bits)
        return quantizers.combinations.odd(self.bits, step, per_tensor=True)


@catalogued(
    Entry(
        id="ewgs",
        title="EWGS",
        year=2021,
        reference=("Junghyup Lee et al.: Network quantization with element-wise gradient scaling"),
        link="arXiv:2104.00903",
        wave="-",
        summary="trained steps; gradients grow where they point away from the own code",
        formulas=("dL/dw = g (1 + d sign(g) (w / s - code)), g the gradient of LSQ",),
        weights={"ewgs2": "s2", "ewgs4": "s4"},
        options={"ewgs2": {"bits": 2}, "ewgs4": {"bits": 4}},
        leaves_out=(
            "d from the trace of the Hessian: it is an option; activations; the ends of the range "
            "trained apart"
        ),
    )
)
@dataclass(frozen=True)
class Ewgs(Method):
    """Trained steps, and gradients by the distance from the own code."""

    bits: int = option(2, "bits of a code", choices=_FEW)
    factor: float = option(0.2, "factor d of the distance", low=0.0, high=2.0)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        base = quantizers.combinations.learned(self.bits)
        return quantizers.distances.DistanceParts(
            base.format,
            base.levels,
            base.step,
            base.scale,
            base.gradient,
            projection=False,
            per_tensor=True,
            learned=base.learned,
            factor=self.factor,
        )


@catalogued(
    Entry(
        id="bitnet_b158",
        title="BitNet b1.58",
        year=2024,
        reference="Shuming Ma et al.: The era of 1-bit LLMs: All large language models are in 1.58 "
        "bits",
        link="arXiv:2402.17764",
        wave="-",
        summary="ternary weights in steps of the mean magnitude of a layer",
        formulas=("w_q = m clip(round(w / m), -1, 1), m = mean |w| of the layer",),
        weights={"bitnet_b158": "t2"},
        leaves_out="activations scaled for each token: use int8; the normalization before a layer",
    )
)
@dataclass(frozen=True)
class BitNet(Method):
    """Ternary weights in steps of the mean magnitude of a layer."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return replace(
            quantizers.combinations.max_abs("t2", 1, per_tensor=True),
            step=quantizers.steps.mean_abs_step,
            projection=False,
        )
