"""Powers of two and their sums."""

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
        id="miyashita",
        title="Miyashita et al.",
        year=2016,
        reference=(
            "Daisuke Miyashita et al.: Convolutional neural networks using logarithmic "
            "data representation"
        ),
        link="arXiv:1603.01025",
        wave="C",
        summary="logarithmic weights and activations: products become shifts",
        formulas=(
            (
                "w_q = sign(w) 2^min(round(log2 |w|), FSR), 0 where the exponent is below "
                "FSR - 6 (survey eq. 11)"
            ),
            ("y = 2^clip(round(log2 x), e - 2^b + 2, e) for x > 0, e = round(log2 max x), 0 for 0"),
        ),
        weights={"miyashita4": "p4"},
        activations={"miyashita2": "u4", "miyashita3": "s8"},
        options={"miyashita2": {"bits": 2}, "miyashita3": {"bits": 3}, "miyashita4": {"bits": 4}},
        leaves_out=(
            "4-bit activations, base sqrt 2; small weights are 0, not the smallest "
            "power; gradients are the recipe key gradients: miyashita5"
        ),
    )
)
@dataclass(frozen=True)
class Miyashita(Method):
    """Logarithmic weights and activations."""

    bits: int = option(4, "bits of a code", choices=(2, 3, 4))

    def weights(self) -> WeightParts | None:
        """Parts for weights."""
        return quantizers.combinations.powers("p4", 7, log=True) if self.bits == 4 else None

    def activations(self) -> ActivationParts | None:
        """Parts for activations."""
        return quantizers.combinations.logarithmic(self.bits) if self.bits < 4 else None


@catalogued(
    Entry(
        id="lognet",
        title="LogNet",
        year=2017,
        reference=(
            "Edward H. Lee et al.: Lognet: Energy-efficient neural networks using "
            "logarithmic computation"
        ),
        wave="C",
        summary="logarithmic quantization of a trained network",
        formulas=(
            ("w_q = sign(w) 2^min(round(log2 |w|), FSR), 0 where the exponent is below FSR - 6"),
        ),
        weights={"lognet4": "p4"},
        activations={"lognet3": "s8"},
        options={"lognet3": {"bits": 3}, "lognet4": {"bits": 4}},
        leaves_out="4-bit activations; 5 bits; base sqrt 2",
    )
)
@dataclass(frozen=True)
class LogNet(Method):
    """Logarithmic quantization of a trained network."""

    bits: int = option(4, "bits of a code", choices=(3, 4))

    def weights(self) -> WeightParts | None:
        """Parts for weights."""
        return quantizers.combinations.powers("p4", 7, log=True) if self.bits == 4 else None

    def activations(self) -> ActivationParts | None:
        """Parts for activations."""
        return quantizers.combinations.logarithmic(3) if self.bits == 3 else None


@catalogued(
    Entry(
        id="inq",
        title="INQ",
        year=2017,
        reference=(
            "Aojun Zhou et al.: Incremental network quantization: Towards lossless cnns "
            "with low-precision weights"
        ),
        link="arXiv:1702.03044",
        wave="C",
        summary="powers of two, frozen in portions, the rest trained on",
        formulas=(
            "n1 = floor(log2(4 max |w| / 3))",
            "codes 0, +-2^n1 ... +-2^n2",
            (
                "frozen: 50 %, 75 %, 87.5 %, 100 %; with fewer than 4 bits 20 %, 40 %, 60 % "
                "... 95 %, 100 %"
            ),
        ),
        weights={"inq2": "t2", "inq3": "s3", "inq4": "p4"},
        options={"inq2": {"bits": 2}, "inq3": {"bits": 3}, "inq4": {"bits": 4}},
        leaves_out="5 bits",
    )
)
@dataclass(frozen=True)
class Inq(Method):
    """Powers of two, frozen in portions, the rest trained on."""

    bits: int = option(4, "bits of a code", choices=(2, 3, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        combinations, updates = quantizers.combinations, quantizers.updates
        number_format, count = {2: ("t2", 1), 3: ("s3", 2), 4: ("p4", 4)}[self.bits]
        procedure = combinations.incremental()
        if self.bits < 4:
            procedure = replace(procedure, schedule=updates.BY_SMALLER_PARTS)
        return replace(combinations.powers(number_format, count), procedure=procedure)


@catalogued(
    Entry(
        id="apot",
        title="APoT",
        year=2019,
        reference=(
            "Li Yuhang et al.: Additive powers-of-two quantization: An efficient "
            "non-uniform discretization for neural networks"
        ),
        link="arXiv:1909.13144",
        wave="C",
        summary="sums of two powers of two, with a trained clipping level",
        formulas=("levels = g * sum p_i, p_i in {0, 2^-i, 2^-(i + n), ...}",),
        weights={"apot4": "a4", "apot5": "s8"},
        options={"apot4": {"bits": 4}, "apot5": {"bits": 5}},
        leaves_out="activations, weight normalization; 31 levels stored as s8",
    )
)
@dataclass(frozen=True)
class Apot(Method):
    """Sums of two powers of two, with a trained clipping level."""

    bits: int = option(4, "bits of a code", choices=(4, 5))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        levels = quantizers.levels
        small = levels.Listed((1, 2, 3, 4, 6, 8, 10))
        level_set = small if self.bits == 4 else levels.additive_powers(terms=2, bits=2)
        number_format = "a4" if self.bits == 4 else "s8"
        return replace(
            quantizers.combinations.max_abs(number_format, level_set.hi, per_tensor=True),
            levels=level_set,
            gradient=quantizers.gradients.inside,
            learned=quantizers.weights.LearnedStep(),
            projection=False,
        )


@catalogued(
    Entry(
        id="tang_kwan1993",
        title="Tang & Kwan single powers-of-two weights",
        year=1993,
        reference=(
            "Chuan Zhang Tang and Hon Keung Kwan: Multilayer feedforward neural networks "
            "with single powers-of-two weights"
        ),
        wave="C",
        summary="weights are single powers of two",
        formulas=("code = sign(w) 2^e, e = 0 .. 3",),
        weights={"tang_kwan1993": "p4"},
        leaves_out="its adaptive slope of the neurons",
    )
)
@dataclass(frozen=True)
class TangKwan(Method):
    """Weights are single powers of two."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.powers("p4", 4, log=True)


@catalogued(
    Entry(
        id="marchesi1993",
        title="Marchesi et al. networks without multipliers",
        year=1993,
        reference="Michele Marchesi et al.: Fast neural networks without multipliers",
        wave="C",
        summary="weights are powers of two of a wide range",
        formulas=("code = sign(w) 2^e, e = 0 .. 6",),
        weights={"marchesi1993": "p4"},
        leaves_out="sums of powers (see apot)",
    )
)
@dataclass(frozen=True)
class Marchesi(Method):
    """Weights are powers of two of a wide range."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.powers("p4", 7, log=True)


@catalogued(
    Entry(
        id="nayak2019",
        title="Nayak et al. bit efficient quantization",
        year=2019,
        reference="Nayak Prateeth et al.: Bit efficient quantization for deep neural networks",
        link="arXiv:1910.04877",
        wave="C",
        summary="logarithmic weights compared with uniform ones",
        formulas=("code = sign(w) 2^round(log2 |w|)",),
        weights={"nayak2019": "p4"},
        leaves_out="bits per layer by a rule",
    )
)
@dataclass(frozen=True)
class Nayak(Method):
    """Logarithmic weights compared with uniform ones."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.powers("p4", 7, log=True)
