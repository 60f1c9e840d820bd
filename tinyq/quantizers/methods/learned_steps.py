"""Steps and clipping levels that are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts


# Signed codes of 2 bits always lie in bit planes.
_SIGNED_PLANES = {"lsq": "lsq(bits=2, signed=True)", "pact": "pact(bits=2, signed=True)"}


@catalogued(
    Entry(
        id="planes",
        title="2-bit activations in bit planes",
        year=2016,
        reference=(
            "Shuchang Zhou et al.: DoReFa-Net: Training low bitwidth convolutional "
            "neural networks with low bitwidth gradients"
        ),
        link="arXiv:1606.06160",
        wave="-",
        summary=(
            "codes 0 .. 3 of other rows in format u2: half the memory of u4 from 32 "
            "channels on, in words of 32 channels"
        ),
        formulas=(
            "y as lsq2, pact2, dorefa2 and hwgq2",
            "sum = sum_m sum_n 2^(m + n) bitcount(w_m and x_n)",
        ),
        activations={
            "lsq2_planes": "u2",
            "pact2_planes": "u2",
            "dorefa2_planes": "u2",
            "hwgq2_planes": "u2",
        },
        options={
            "lsq2_planes": {"like": "lsq"},
            "pact2_planes": {"like": "pact"},
            "dorefa2_planes": {"like": "dorefa"},
            "hwgq2_planes": {"like": "hwgq"},
        },
        leaves_out="specialized kernels of the cores: the generic ones run everywhere",
    )
)
@dataclass(frozen=True)
class Planes(Method):
    """Codes 0 .. 3 of other rows in format u2."""

    like: str = option(
        "lsq", "method that gives the codes", choices=("lsq", "pact", "dorefa", "hwgq")
    )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        combinations = quantizers.combinations
        parts = {
            "lsq": combinations.step,
            "pact": combinations.clip,
            "dorefa": combinations.unit_interval,
            "hwgq": combinations.half_wave,
        }[self.like](2)
        parts = replace(parts, signed_form=_SIGNED_PLANES.get(self.like, ""))
        return combinations.in_planes(parts, whole=self.like != "hwgq")


@catalogued(
    Entry(
        id="pact",
        title="PACT",
        year=2018,
        reference=(
            "Jungwook Choi et al.: Pact: Parameterized clipping activation for quantized "
            "neural networks"
        ),
        link="arXiv:1805.06085",
        wave="A",
        summary="activations up to a trained level; weights as in DoReFa-Net",
        formulas=(
            "y = clip(x, 0, a)",
            "y_q = round(y (2^k - 1) / a) a / (2^k - 1)",
            "dy/da = 1 if x >= a else 0",
            "signed: y = clip(x, -a, a), y_q = round(y n / a) a / n, n = 2^(k-1) - 1",
        ),
        weights={"pact2": "d2", "pact3": "d3", "pact4": "c4"},
        activations={"pact2": "u4", "pact3": "u4", "pact4": "u4", "pact5": "s8"},
        options={
            "pact2": {"bits": 2},
            "pact3": {"bits": 3},
            "pact4": {"bits": 4},
            "pact5": {"bits": 5},
        },
        leaves_out="5-bit activations are stored as s8",
    )
)
@dataclass(frozen=True)
class Pact(Method):
    """Activations up to a trained level."""

    bits: int = option(4, "bits of a code", choices=(2, 3, 4, 5))
    signed: bool = option(
        False, "whether activations have codes below 0; chosen where values may be negative"
    )

    decay: float = option(2e-4, "strength of the term that draws the level down", low=0.0, high=1.0)

    def weights(self) -> WeightParts | None:
        """Parts for weights."""
        fits = self.bits <= 4 and not self.signed
        return quantizers.combinations.squashed(self.bits) if fits else None

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        if self.signed:
            return quantizers.combinations.signed_clip(self.bits, self.decay)
        parts = quantizers.combinations.clip(self.bits, self.decay)
        return replace(parts, signed_form=str(replace(self, signed=True)))


@catalogued(
    Entry(
        id="lsq",
        title="LSQ",
        year=2019,
        reference="Steven K. Esser et al.: Learned step size quantization",
        link="arXiv:1902.08153",
        wave="A",
        summary="the step is trained, with a scaled gradient, for weights and activations",
        formulas=(
            "y = s clip(round(v / s), lo, hi)",
            "dy/ds = round(v / s) - v / s inside, lo or hi outside, times 1 / sqrt(N hi)",
            "lo, hi = 0, 2^k - 1 where no value is negative, else -2^(k-1), 2^(k-1) - 1",
        ),
        weights={
            "lsq2": "s2",
            "lsq3": "s3",
            "lsq4": "s4",
            "lsq5": "s8",
            "lsq6": "s8",
            "lsq7": "s8",
            "lsq8": "s8",
        },
        activations={
            "lsq2": "u4",
            "lsq3": "u4",
            "lsq4": "u4",
            "lsq5": "s8",
            "lsq6": "s8",
            "lsq7": "s8",
            "lsq8": "s8",
        },
        options={
            "lsq2": {"bits": 2},
            "lsq3": {"bits": 3},
            "lsq4": {"bits": 4},
            "lsq5": {"bits": 5},
            "lsq6": {"bits": 6},
            "lsq7": {"bits": 7},
            "lsq8": {"bits": 8},
        },
    )
)
@dataclass(frozen=True)
class Lsq(Method):
    """The step is trained, with a scaled gradient, for weights and activations."""

    bits: int = option(4, "bits of a code", choices=(2, 3, 4, 5, 6, 7, 8))
    signed: bool = option(
        False, "whether activations have codes below 0; chosen where values may be negative"
    )

    def weights(self) -> WeightParts | None:
        """Parts for weights; their codes are signed in any case."""
        return None if self.signed else quantizers.combinations.learned(self.bits)

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        if self.signed:
            return quantizers.combinations.signed_step(self.bits)
        parts = quantizers.combinations.step(self.bits)
        return replace(parts, signed_form=str(replace(self, signed=True)))


@catalogued(
    Entry(
        id="lsq_plus",
        title="LSQ+",
        year=2020,
        reference=(
            "Yash Bhalgat et al.: LSQ+: Improving low-bit quantization through learnable offsets "
            "and better initialization"
        ),
        link="arXiv:2004.09576",
        wave="-",
        summary="activations with a trained step and a trained place of 0 among the codes",
        formulas=(
            "y = s (clip(round(x / s) + z, lo, hi) - z)",
            "dy/ds as in LSQ; dy/dz = -s outside, 0 inside; s, z at first by least squared error",
        ),
        activations={"lsq_plus2": "s2", "lsq_plus3": "s3", "lsq_plus4": "s4", "lsq_plus8": "s8"},
        options={
            "lsq_plus2": {"bits": 2},
            "lsq_plus3": {"bits": 3},
            "lsq_plus4": {"bits": 4},
            "lsq_plus8": {"bits": 8},
        },
        leaves_out=(
            "offsets between two codes: real 0 is always a code; weights are those of LSQ (lsq4)"
        ),
    )
)
@dataclass(frozen=True)
class LsqPlus(Method):
    """Activations with a trained step and a trained place of 0 among the codes."""

    bits: int = option(4, "bits of a code", choices=(2, 3, 4, 5, 6, 7, 8))

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.offset_step(self.bits)


@catalogued(
    Entry(
        id="qst",
        title="QST",
        year=2022,
        reference=(
            "Jun-Hyung Park et al.: Quantized Sparse Training: A Unified Trainable "
            "Framework for Joint Pruning and Quantization in DNNs"
        ),
        wave="C",
        summary="pruning and a learned step in one training",
        formulas=(
            "w = 0 for the share s of smallest |w|, s grows to 0.5, gradient 1",
            "w_q = d clip(round(w_p / d), -8, 7), d trained as in LSQ",
        ),
        weights={"qst4": "s4"},
        leaves_out="trained thresholds of pruning; the survey only cites the paper",
    )
)
@dataclass(frozen=True)
class Qst(Method):
    """Pruning and a learned step in one training."""

    zeros: float = option(
        0.5, "share of the weights that are 0 at the end", low=0.0, high=1.0, open=True
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        schedule = quantizers.updates.grow_cubically(self.zeros)
        procedure = quantizers.procedure.Procedure(prunes=True, schedule=schedule)
        return replace(quantizers.combinations.learned(4), procedure=procedure)


@catalogued(
    Entry(
        id="chikin2022",
        title="Chikin et al. explicit size control, smooth regularization",
        year=2022,
        reference=(
            "Vladimir Chikin et al.: Explicit model size control and relaxation via "
            "smooth regularization for mixed-precision quantization"
        ),
        wave="C",
        summary="a smooth penalty that also bounds the size",
        formulas=(
            "R = sum (d/pi)^2 sin(pi u / d)^2 + (w - u)^2, u = clip(w, -8 d, 7 d)",
            "d is trained by R alone; w stays in floating point",
        ),
        weights={"chikin2022_4": "s4"},
        leaves_out="the choice of bits on a surface of constant size; smooth activations",
    )
)
@dataclass(frozen=True)
class Chikin(Method):
    """A smooth penalty that also bounds the size."""

    strength: float = option(0.1, "factor of the penalty", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(
            forward="master",
            penalty=quantizers.penalties.smooth_distance(-8, 7),
            strength=self.strength,
            trains_step=True,
        )
        return replace(quantizers.combinations.learned(4), procedure=procedure)
