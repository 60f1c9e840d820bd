"""Methods of the literature that are not built yet: searches for bits (wave E)."""

from __future__ import annotations

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry

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
            "L + mu BOP(gates, bits)",
        ),
        missing="wave E: search for bits",
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
        missing="wave E: bases and search",
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
        missing="wave E: search for bits",
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
        missing="wave E: search",
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
        missing="wave E: search",
    )
)

describe(
    Entry(
        id="alq",
        title="ALQ",
        year=2020,
        reference="Zhongnan Qu et al.: Adaptive loss-aware quantization for multi-bit networks",
        wave="E",
        summary="binary bases dropped by their effect on the loss",
        formulas=(
            "w = sum_i a_i b_i per group, b_i in {-1, 1}",
            "the a_i with the least change of the loss, to second order, is dropped",
        ),
        missing="wave E: bases and search",
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
        missing="wave E: search",
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
        missing="wave E: search for bits",
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
        missing="wave E: search for bits",
    )
)
