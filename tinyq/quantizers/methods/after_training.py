"""Methods that quantize after training: they are options of `tinyq quantize`."""

from __future__ import annotations

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry

describe(
    Entry(
        id="adaround",
        title="AdaRound",
        year=2020,
        reference=(
            "Markus Nagel et al.: Up or down? adaptive rounding for post-training quantization"
        ),
        link="arXiv:2004.10568",
        wave="D",
        summary="rounding up or down is optimized after training",
        formulas=(
            "w_q = s clip(floor(w / s) + h(V), lo, hi), h(V) = clip(1.2 sigma(V) - 0.1, 0, 1)",
            "min over V of |f(W x) - f(W_q x_q)|^2 + c sum (1 - |2 h(V) - 1|^b), b from 20 to 2",
        ),
        calibrations={
            "adaround4": {"bits": 4, "reconstruct": "layer"},
            "adaround3": {"bits": 3, "reconstruct": "layer"},
        },
        leaves_out="10,000 steps a layer: there are 600",
    )
)

describe(
    Entry(
        id="bit_split",
        title="Bit-split",
        year=2022,
        reference=(
            "Peisong Wang et al.: Optimization-based post-training quantization with "
            "bit-split and stitching"
        ),
        wave="D",
        summary="integers are split into bits that are optimized one at a time",
        formulas=(
            "w_q = a sum_m 2^(m - 1) t_m, t_m in {-1, 0, 1}",
            "min of |X (w - w_q)|^2 over one t_m after another, and over a",
        ),
        calibrations={
            "bit_split4": {"bits": 4, "reconstruct": "layer", "solver": "bit_split"},
            "bit_split3": {"bits": 3, "reconstruct": "layer", "solver": "bit_split"},
        },
        leaves_out=(
            "a stays where the clipped range has put it; activations that make up for the error, "
            "beside the correction of biases"
        ),
    )
)

describe(
    Entry(
        id="gptq",
        title="GPTQ",
        year=2022,
        reference=(
            "Elias Frantar et al.: GPTQ: Accurate post-training quantization for generative "
            "pre-trained transformers"
        ),
        link="arXiv:2210.17323",
        wave="-",
        summary="weights are rounded one input after another; those to come make up for the error",
        formulas=(
            "H = X^T X + d I; w_later -= (w_i - q_i) / [H^-1]_ii [H^-1]_i,later",
            "one column of the Cholesky factor of H^-1 after another, d 1 % of the mean diagonal",
        ),
        calibrations={
            "gptq4": {"bits": 4, "reconstruct": "layer", "solver": "gptq"},
            "gptq3": {"bits": 3, "reconstruct": "layer", "solver": "gptq"},
        },
        leaves_out="blocks of columns and scales of groups, which large matrices need",
    )
)

describe(
    Entry(
        id="pd_quant",
        title="PD-Quant",
        year=2023,
        reference=(
            "Jiawei Liu et al.: Pd-quant: Post-training quantization based on prediction "
            "difference metric"
        ),
        link="arXiv:2212.07048",
        wave="D",
        summary="ranges by the change of the network's prediction",
        formulas=(
            "min over ranges of KL(softmax f(x), softmax f_q(x)), f the whole network, one "
            "activation after another",
        ),
        calibrations={
            "pd_quant4": {
                "bits": 4,
                "ranges": "prediction",
                "reconstruct": "block",
                "drop": 0.5,
            }
        },
        leaves_out=(
            "calibration inputs whose activations are moved to BatchNorm's statistics; trained "
            "steps of activations: they have 8 bits"
        ),
    )
)

describe(
    Entry(
        id="omse",
        title="OMSE",
        year=2019,
        reference=(
            "Yoni Choukroun et al.: Low-bit quantization of neural networks for efficient inference"
        ),
        link="arXiv:1902.06822",
        wave="-",
        summary="ranges of least squared error for each channel of the weights and each activation",
        formulas=("min over r of |x - q_r(x)|^2",),
        calibrations={"omse4": {"bits": 4, "ranges": "mse"}},
        leaves_out="layers that need more get a second set of codes for the rest",
    )
)
