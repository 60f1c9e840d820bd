"""Methods that choose bits, channels, groups or clipping together: by `tinyq search`."""

from __future__ import annotations

from typing import Any

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry


def _pair(weights: str, activations: str = "int8", **form: Any) -> dict[str, Any]:
    return {"weights": weights, "activations": activations, **form}


_CHANNELS = [
    _pair("int8"),
    _pair("int4"),
    _pair("int8", keep=0.75),
    _pair("int4", keep=0.75),
    _pair("int4", keep=0.5),
]
_PRUNED = {
    "layers": {
        "*": _CHANNELS,
        "first": [_pair("int8"), _pair("int4"), _pair("int8", keep=0.75)],
        "last": [_pair("int8"), _pair("int4")],
    }
}
_BASES = {
    "layers": {
        "*": [_pair("lq_nets3"), _pair("lq_nets2"), _pair("lq_nets1")],
        "first": [_pair("int8")],
        "last": [_pair("int8")],
    }
}
_GROUPS = {
    "layers": {
        "*": [_pair("bwn"), _pair("bwn", groups=2), _pair("bwn", groups=4)],
        "first": [_pair("int8")],
        "last": [_pair("int8")],
    }
}
_CLIPPED = {
    "layers": {
        "*": [
            _pair("lsq4", f"pact(bits={bits}, decay={decay})")
            for bits in (4, 3)
            for decay in (0.0002, 0.002, 0.02)
        ],
        "first": [_pair("int8")],
        "last": [_pair("int8")],
    }
}

describe(
    Entry(
        id="djpq",
        title="DJPQ",
        year=2020,
        reference=(
            "Ying Wang et al.: Differentiable joint pruning and quantization for "
            "hardware efficiency"
        ),
        link="arXiv:2007.10463",
        wave="E",
        summary="pruning and bits learned together",
        formulas=(
            "b = log2(q_max / d + 1), d and q_max trained",
            "y_c = (mu_c + sigma_c e) f(x)_c; a channel goes where mu_c^2 < sigma_c^2",
            "L + mu BOP(gates, bits)",
        ),
        searches={"djpq": {"allocator": "bottleneck", "proxy": "train:3", "space": _PRUNED}},
        leaves_out=(
            "bits of activations; which channels go: the gates say how many, the norms of the "
            "filters which; layers whose channels are added to others' keep theirs; costs are "
            "counted, not products of bits"
        ),
    )
)

describe(
    Entry(
        id="dmbq",
        title="DMBQ",
        year=2021,
        reference="Zhao Sijie et al.: Distribution-aware adaptive multi-bit quantization",
        wave="E",
        summary="several binary bases that follow the distribution of a layer",
        formulas=(
            "w = sum_i a_i b_i per channel, b_i in {-1, 1}",
            "more bases where the first order change of the loss is large",
        ),
        searches={
            "dmbq": {
                "sensitivity": "taylor",
                "allocator": "rank",
                "proxy": "train:3",
                "space": _BASES,
            }
        },
        leaves_out=(
            "bases looked up by the shape of a channel's distribution: they are those of least "
            "squares; numbers of bases of single channels: a layer has one; bases of activations"
        ),
    )
)

describe(
    Entry(
        id="bsq",
        title="BSQ",
        year=2020,
        reference=(
            "Huanrui Yang et al.: BSQ: Exploring bit-level sparsity for mixed-precision "
            "neural network quantization"
        ),
        link="arXiv:2102.10462",
        wave="E",
        summary="bits are trained and pruned one by one",
        formulas=(
            "w = s / (2^n - 1) round(sum_b 2^b w_b), bits w_b trained",
            "R = sum_b |W_b|_2 over the bits of a layer",
        ),
        searches={"bsq": {"allocator": "bit_planes", "proxy": "train:3"}},
        leaves_out=(
            "the trained planes as weights: the network that has the bits they leave trains from "
            "the float weights; a plane above the first seven; activations"
        ),
    )
)

describe(
    Entry(
        id="basq",
        title="BASQ",
        year=2022,
        reference=(
            "Han-Byul Kim et al.: BASQ: Branch-wise Activation-clipping Search "
            "Quantization for Sub-4-bit Neural Networks"
        ),
        wave="E",
        summary="clipping levels per branch found by search",
        formulas=(
            "y_q = round(clip(x, 0, a) (2^k - 1) / a) a / (2^k - 1)",
            "the decay of a is found by search",
        ),
        searches={"basq": {"allocator": "evolution", "proxy": "train:3", "space": _CLIPPED}},
        leaves_out=(
            "weights that all candidates share: each trial trains from the float weights; folds of "
            "the data; blocks with shifts after their BatchNorms"
        ),
    )
)

describe(
    Entry(
        id="phan2020",
        title="Phan et al.",
        year=2020,
        reference="Hai Phan et al.: Binarizing mobilenet via evolution-based searching",
        wave="E",
        summary="groups of a binary MobileNet by evolution",
        formulas=(
            (
                "max over groups per layer of the accuracy under a number of operations, by "
                "evolution"
            ),
            "w_q = mean |w| sign(w)",
        ),
        searches={"phan2020": {"allocator": "evolution", "proxy": "train:3", "space": _GROUPS}},
        leaves_out=(
            "binary activations: inputs keep 8 bits; groups begin with the float network's weights "
            "inside them, not with new ones"
        ),
    )
)

describe(
    Entry(
        id="alq",
        title="ALQ",
        year=2020,
        reference="Zhongnan Qu et al.: Adaptive loss-aware quantization for multi-bit networks",
        link="arXiv:1912.08883",
        wave="E",
        summary="binary bases dropped by their effect on the loss",
        formulas=(
            "w = sum_i a_i b_i per group, b_i in {-1, 1}",
            "the a_i with the least change of the loss, to second order, is dropped",
            "f = g' d + d' H d / 2, d the change of the weights",
        ),
        searches={
            "alq": {
                "sensitivity": "second_order",
                "allocator": "rank",
                "proxy": "train:3",
                "space": _BASES,
            }
        },
        leaves_out=(
            "groups: a layer has one number of bases; bases are those of least squares, and drop "
            "before the training that ends, not in the course of it"
        ),
    )
)

describe(
    Entry(
        id="apq",
        title="APQ",
        year=2020,
        reference=(
            "Tianzhe Wang et al.: Apq: Joint search for network architecture, pruning "
            "and quantization policy"
        ),
        link="arXiv:2006.08509",
        wave="E",
        summary="architecture, pruning and bits in one search",
        formulas=(
            (
                "max of a predicted accuracy over architecture, pruning and bits under time "
                "and energy"
            ),
        ),
        searches={"apq": {"allocator": "predictor", "proxy": "train:1", "space": _PRUNED}},
        leaves_out=(
            "depths and sizes of kernels; the network that holds all others: a trial trains from "
            "the float weights; a predictor that begins with float accuracies"
        ),
    )
)

describe(
    Entry(
        id="haq",
        title="HAQ",
        year=2019,
        reference=(
            "Kuan Wang et al.: Haq: Hardware-aware automated quantization with mixed precision"
        ),
        link="arXiv:1811.08886",
        wave="E",
        summary="an agent chooses bits by measured cost",
        formulas=(
            "bits = round(b_min - 1/2 + a (b_max - b_min + 1)), a in 0 .. 1 from an agent",
            "reward = c (accuracy - accuracy of the float network)",
        ),
        searches={"haq": {"allocator": "actor", "proxy": "train:1"}},
        leaves_out=(
            "target networks; bits of activations apart from those of weights: a choice is a pair; "
            "time is counted on the emulated core"
        ),
    )
)

describe(
    Entry(
        id="autoq",
        title="AutoQ",
        year=2019,
        reference="Qian Lou et al.: Autoq: Automated kernel-wise neural network quantization",
        link="arXiv:1902.05690",
        wave="E",
        summary="bits per kernel by reinforcement learning",
        formulas=(
            (
                "one agent gives goals per layer, another the bits of each kernel; reward "
                "from accuracy and cost"
            ),
        ),
        searches={"autoq": {"allocator": "hierarchy", "proxy": "train:1"}},
        leaves_out=(
            "bits of single kernels, which no format has: goals are those of blocks of layers, "
            "and the agent below chooses for layers; targets corrected off policy"
        ),
    )
)
