"""Equal steps: the largest magnitude or the least error decides about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts


@catalogued(
    Entry(
        id="int8",
        title="8 bits",
        year=2018,
        reference=(
            "Benoit Jacob et al.: Quantization and training of neural networks for "
            "efficient integer-arithmetic-only inference"
        ),
        link="arXiv:1712.05877",
        wave="-",
        summary=(
            "weights symmetric per channel in -127 .. 127; activations affine over a moving range"
        ),
        formulas=("code = clip(round(x / scale) + zero_point, lo, hi)",),
        weights={"int8": "s8"},
        activations={"int8": "s8"},
    )
)
@dataclass(frozen=True)
class Int8(Method):
    """Weights symmetric per channel in -127 .. 127."""

    momentum: float = option(0.95, "share of the old range that a batch keeps", low=0.0, high=1.0)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.max_abs("s8", 127)

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        build = partial(quantizers.activations.RangeQuantizer, momentum=self.momentum)
        return quantizers.combinations.ActivationParts("s8", build)


@catalogued(
    Entry(
        id="int4",
        title="2- to 7-bit weights",
        year=2018,
        reference=(
            "Raghuraman Krishnamoorthi: Quantizing deep convolutional networks for "
            "efficient inference"
        ),
        link="arXiv:1806.08342",
        wave="-",
        summary="weights symmetric per channel, in -7 .. 7 with 4 bits",
        formulas=("w_q = d round(w / d), d = max |w| / n, n = 2^(k-1) - 1",),
        weights={
            "int4": "s4",
            "int2": "t2",
            "int3": "s3",
            "int5": "s8",
            "int6": "s8",
            "int7": "s8",
        },
        options={
            "int2": {"bits": 2},
            "int3": {"bits": 3},
            "int5": {"bits": 5},
            "int6": {"bits": 6},
            "int7": {"bits": 7},
        },
    )
)
@dataclass(frozen=True)
class Int4(Method):
    """Weights symmetric per channel in -7 .. 7, or of another number of bits."""

    bits: int = option(
        4, "bits of a code; of 5, 6 and 7 in a byte each", choices=(2, 3, 4, 5, 6, 7)
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        number_format = {2: "t2", 3: "s3", 4: "s4"}.get(self.bits, "s8")
        return quantizers.combinations.max_abs(number_format, 2 ** (self.bits - 1) - 1)


@catalogued(
    Entry(
        id="uint4",
        title="4-bit activations",
        year=2020,
        reference="Steven K. Esser et al.: Learned step size quantization",
        link="arXiv:1902.08153",
        wave="-",
        summary="activations 0 .. 15 with a learned step; -8 .. 7 where values may be negative",
        formulas=("y = s clip(round(x / s), 0, 15), or -8, 7",),
        activations={"uint4": "u4"},
    )
)
@dataclass(frozen=True)
class Uint4(Method):
    """Activations 0 .. 15 with a learned step."""

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return replace(quantizers.combinations.step(4), signed_form="lsq(signed=True)")


@catalogued(
    Entry(
        id="sung2015",
        title="Sung et al.",
        year=2015,
        reference="Wonyong Sung et al.: Resiliency of deep neural networks under quantization",
        link="arXiv:1511.06488",
        wave="A",
        summary="few odd numbers of levels, with the step that fits the layer best",
        formulas=(
            "w_q = d * clip(round(w / d), -(M-1)/2, (M-1)/2)",
            "d = sum(w c) / sum(c^2), by turns with c",
        ),
        weights={"sung2015_3": "t2", "sung2015_7": "s3", "sung2015_15": "s4"},
        options={
            "sung2015_3": {"levels": 3},
            "sung2015_7": {"levels": 7},
            "sung2015_15": {"levels": 15},
        },
        leaves_out="quantization once before retraining: it is repeated in each step",
    )
)
@dataclass(frozen=True)
class Sung(Method):
    """Few odd numbers of levels, with the step that fits the layer best."""

    levels: int = option(15, "number of levels", choices=(3, 7, 15))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        number_format = {3: "t2", 7: "s3", 15: "s4"}[self.levels]
        return quantizers.combinations.fitted(number_format, self.levels // 2)


@catalogued(
    Entry(
        id="fiesler1990",
        title="Fiesler et al. weight discretization",
        year=1990,
        reference=(
            "Emile Fiesler et al.: Weight discretization paradigm for optical neural networks"
        ),
        wave="A",
        summary="few equally spaced levels in training",
        formulas=("w_q = d round(w / d), d = max |w| / 3",),
        weights={"fiesler1990": "s3"},
        leaves_out="the optical hardware's own levels",
    )
)
@dataclass(frozen=True)
class Fiesler(Method):
    """Few equally spaced levels in training."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.max_abs("s3", 3, per_tensor=True)


@catalogued(
    Entry(
        id="balzer1991",
        title="Balzer et al. Boltzmann machine weight quantization",
        year=1991,
        reference="Wolfgang Balzer et al.: Weight quantization in Boltzmann machines",
        wave="B",
        summary="few levels, rounded at random in training",
        formulas=("c = floor(w / d + u), u uniform",),
        weights={"balzer1991": "s3"},
        leaves_out="the Boltzmann machine",
    )
)
@dataclass(frozen=True)
class Balzer(Method):
    """Few levels, rounded at random in training."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(draw=quantizers.rounding.draw_nearest)
        parts = quantizers.combinations.max_abs("s3", 3, per_tensor=True)
        return replace(parts, procedure=procedure)


@catalogued(
    Entry(
        id="choukroun2019",
        title="Choukroun et al. low-bit quantization",
        year=2019,
        reference=(
            "Choukroun Yoni et al.: Low-bit quantization of neural networks for efficient inference"
        ),
        link="arXiv:1902.06822",
        wave="B",
        summary="steps of least squared error after training, per filter",
        formulas=("d = argmin |w - d c|^2",),
        weights={"choukroun2019": "s4"},
        leaves_out="activation ranges by least error; use them with calibrated int8 or lsq4",
    )
)
@dataclass(frozen=True)
class Choukroun(Method):
    """Steps of least squared error after training, per filter."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.fitted("s4", 7, per_tensor=False)


@catalogued(
    Entry(
        id="fqn",
        title="FQN",
        year=2019,
        reference="Rundong Li et al.: Fully quantized network for object detection",
        wave="B",
        summary="4-bit weights of an integer-only detector",
        formulas=("w_q = d round(w / d), d = max |w| / 7",),
        weights={"fqn": "s4"},
        leaves_out="4-bit activations by percentiles (use lsq4), frozen BatchNorm",
    )
)
@dataclass(frozen=True)
class Fqn(Method):
    """4-bit weights of an integer-only detector."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.max_abs("s4", 7)
