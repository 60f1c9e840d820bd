"""Binary weights and activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts


# Outputs are held to the float network's as distributions; labels play no part.
_DISTRIBUTIONAL = {
    "epochs": 3,
    "labels": 0.0,
    "teacher": "float",
    "losses": [{"kind": "kl", "temperature": 1.0}],
}


@catalogued(
    Entry(
        id="binary",
        title="Binary",
        year=2016,
        reference=(
            "Mohammad Rastegari et al.: XNOR-Net; Matthieu Courbariaux et al.: Binarized "
            "neural networks"
        ),
        link="arXiv:1603.05279",
        wave="-",
        summary="weights sign(w) times mean |w| per channel; activations sign(x)",
        formulas=(
            "w_q = mean |w| * sign(w)",
            "dy/dx = 1 if |x| <= 1 else 0",
        ),
        weights={"binary": "b1"},
        activations={"binary": "b1"},
    )
)
@dataclass(frozen=True)
class Binary(Method):
    """Weights sign(w) times mean |w| per channel."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.binary()

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign()


@catalogued(
    Entry(
        id="bnn",
        title="BNN",
        year=2016,
        reference=(
            "Matthieu Courbariaux et al.: Binarized neural networks: Training deep "
            "neural networks with weights and activations constrained to +1 or -1"
        ),
        link="arXiv:1602.02830",
        wave="A",
        summary="signs for weights and activations, no scales; BatchNorm does the rest",
        formulas=(
            "y = sign(x), sign(0) = +1",
            "dy/dx = 1 if |x| <= 1 else 0",
        ),
        weights={"bnn": "b1"},
        activations={"bnn": "b1"},
        leaves_out="shift-based BatchNorm and AdaMax",
    )
)
@dataclass(frozen=True)
class Bnn(Method):
    """Signs for weights and activations, no scales."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return replace(quantizers.combinations.signs(), procedure=quantizers.combinations.bounded())

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign()


@catalogued(
    Entry(
        id="bwn",
        title="BWN",
        year=2016,
        reference=(
            "Mohammad Rastegari et al.: Xnor-net: Imagenet classification using binary "
            "convolutional neural networks"
        ),
        link="arXiv:1603.05279",
        wave="A",
        summary="signs for weights alone, with a scale per filter",
        formulas=("w_q = mean |w| * sign(w)",),
        weights={"bwn": "b1"},
    )
)
@dataclass(frozen=True)
class Bwn(Method):
    """Signs for weights alone, with a scale per filter."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.binary()


@catalogued(
    Entry(
        id="binaryconnect",
        title="BinaryConnect",
        year=2015,
        reference=(
            "Matthieu Courbariaux et al.: Binaryconnect: Training deep neural networks "
            "with binary weights during propagations"
        ),
        link="arXiv:1511.00363",
        wave="B",
        summary="weights are random signs in training and plain signs on the device",
        formulas=(
            "P(+1) = clip((w / s + 1) / 2, 0, 1);  s = mean |w| / 2",
            "dy/dw = 1; w kept in -1 .. 1",
        ),
        weights={"binaryconnect": "b1"},
        leaves_out=(
            "s = 1, with which the signs of a trained float model are nearly even "
            "chances for many epochs"
        ),
    )
)
@dataclass(frozen=True)
class BinaryConnect(Method):
    """Weights are random signs in training and plain signs on the device."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(
            draw=quantizers.rounding.draw_sign, update=quantizers.updates.clip_to_unit
        )
        return replace(
            quantizers.combinations.signs(),
            step=quantizers.steps.half_mean,
            gradient=quantizers.gradients.identity,
            per_tensor=True,
            procedure=procedure,
        )


@catalogued(
    Entry(
        id="xnor_net",
        title="XNOR-Net",
        year=2016,
        reference=(
            "Mohammad Rastegari et al.: Xnor-net: Imagenet classification using binary "
            "convolutional neural networks"
        ),
        link="arXiv:1603.05279",
        wave="B",
        summary="signs for both, with a weight scale per filter",
        formulas=(
            "w_q = mean |w| * sign(w)",
            "dy/dx = 1 if |x| <= 1 else 0",
        ),
        weights={"xnor_net": "b1"},
        activations={"xnor_net": "b1"},
        leaves_out=(
            "the map of input magnitudes; gradients of signs are the recipe key gradients: xnor_net"
        ),
    )
)
@dataclass(frozen=True)
class XnorNet(Method):
    """Signs for both, with a weight scale per filter."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.binary()

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        return quantizers.combinations.sign()


@catalogued(
    Entry(
        id="bi_realnet",
        title="Bi-RealNet",
        year=2020,
        reference=(
            "Zechun Liu et al.: Bi-real net: Binarizing deep network towards "
            "real-network performance"
        ),
        link="arXiv:1811.01335",
        wave="B",
        summary="signs with a polynomial slope, and real-valued shortcuts",
        formulas=("dy/dx = max(0, 2 - 2 |x|), or 3 max(0, 1 - |x|)^2",),
        weights={"bi_realnet": "b1"},
        activations={"bi_realnet": "b1", "bi_realnet_cubic": "b1"},
        options={"bi_realnet_cubic": {"cubic": True}},
        leaves_out="shortcuts are the user's network; the two-step initialization",
    )
)
@dataclass(frozen=True)
class BiRealNet(Method):
    """Signs with a polynomial slope, and real-valued shortcuts."""

    cubic: bool = option(False, "whether the slope of activations is cubic, else quadratic")

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.binary()

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        gradients = quantizers.gradients
        return quantizers.combinations.sign(
            derivative=gradients.cubic if self.cubic else gradients.quadratic
        )


@catalogued(
    Entry(
        id="ir_net",
        title="IR-Net",
        year=2020,
        reference=(
            "Haotong Qin et al.: Forward and backward information retention for accurate "
            "binary neural networks"
        ),
        link="arXiv:1909.10788",
        wave="B",
        summary="balanced signs with a shift as scale, and a slope that sharpens epoch by epoch",
        formulas=(
            "w' = (w - mean) / deviation",
            "w_q = sign(w') 2^round(log2 mean |w'|)",
            ("slope k t (1 - tanh(t x)^2), t = 0.1 10^(progress log10 100), k = max(1 / t, 1)"),
        ),
        weights={"ir_net": "b1"},
        activations={"ir_net": "b1"},
    )
)
@dataclass(frozen=True)
class IrNet(Method):
    """Balanced signs with a shift as scale, and a slope that sharpens epoch by epoch."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        scale = quantizers.scales.power_of_two(quantizers.scales.mean_abs_scale)
        schedule = quantizers.gradients.sharpen
        return replace(
            quantizers.combinations.binary(),
            scale=scale,
            gradient=quantizers.gradients.error_decay,
            projection=False,
            prepare=quantizers.preparation.standardize,
            procedure=quantizers.procedure.Procedure(schedule=schedule, anneals=True),
        )

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        gradients = quantizers.gradients
        return quantizers.combinations.sign(
            derivative=gradients.error_decay, schedule=gradients.sharpen
        )


@catalogued(
    Entry(
        id="tang2017",
        title="Tang et al.",
        year=2017,
        reference=(
            "Wei Tang et al.: How to train a compact binary neural network with high accuracy?"
        ),
        wave="C",
        summary="signs without scales, drawn to one by a penalty; activations of two signs",
        formulas=("R = sum(1 - w^2), w kept in -1 .. 1",),
        weights={"tang2017": "b1"},
        leaves_out=(
            "the second binarization of activations (bases format d2), the scale layer; "
            "PReLU is a layer of the user's network"
        ),
    )
)
@dataclass(frozen=True)
class Tang(Method):
    """Signs without scales, drawn to one by a penalty."""

    strength: float = option(1e-6, "factor of the penalty", low=0.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        procedure = quantizers.procedure.Procedure(
            penalty=quantizers.penalties.far_from_one,
            strength=self.strength,
            update=quantizers.updates.clip_to_unit,
        )
        return replace(quantizers.combinations.signs(), procedure=procedure)


@catalogued(
    Entry(
        id="reactnet",
        title="ReActNet",
        year=2020,
        reference=(
            "Zechun Liu et al.: Reactnet: Towards precise binary neural network with "
            "generalized activation functions"
        ),
        link="arXiv:2003.03488",
        wave="D",
        summary="signs after a trained shift per channel",
        formulas=(
            "y = sign(x + v_c)",
            "slope max(0, 2 - 2 |x + v_c|)",
        ),
        activations={"reactnet": "b1"},
        recipes={
            "reactnet_two_steps": {
                "activations": "reactnet",
                "phases": [
                    {"recipe": {"weights": "int8"}, **_DISTRIBUTIONAL},
                    {"recipe": {"weights": "bi_realnet"}, **_DISTRIBUTIONAL},
                ],
            }
        },
        leaves_out=(
            "shifts of RPReLU: the first is the offset of a BatchNorm before a PReLU of the user's "
            "network, the second that of the next sign; real weights of the first step have 8 bits"
        ),
    )
)
@dataclass(frozen=True)
class ReActNet(Method):
    """Signs after a trained shift per channel."""

    def activations(self) -> ActivationParts:
        """Parts for activations."""
        derivative = quantizers.gradients.quadratic
        return quantizers.combinations.shifted_sign(derivative=derivative, per_channel=True)
