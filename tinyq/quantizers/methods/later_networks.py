"""Methods of the literature that are not built yet: networks and structures (wave D)."""

from __future__ import annotations

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry

describe(
    Entry(
        id="bitwise_nn",
        title="Bitwise Neural Networks",
        year=2016,
        reference="Minje Kim and Paris Smaragdis: Bitwise neural networks",
        link="arXiv:1601.06071",
        wave="D",
        summary="weights, activations and biases of one bit, in two stages of training",
        formulas=(
            "y = sign(b + sum sign(w_i) x_i), b, w and x of one bit",
            "stage 1: tanh(w) and tanh of the sums; stage 2: signs, with slope 1",
        ),
        missing="wave D: the first stage of compressed weights and one-bit biases",
    )
)

describe(
    Entry(
        id="lns",
        title="LNS",
        year=2020,
        reference=(
            "Kai Han et al.: Training binary neural networks through learning with noisy "
            "supervision"
        ),
        wave="D",
        summary="levels learned from the disagreement of neighbours, as noisy labels",
        formulas=(
            "b = sign(m(w)), m a small trained network over the weights",
            "the label sign(w) counts as noisy",
        ),
        missing="wave D",
    )
)

describe(
    Entry(
        id="adabits",
        title="AdaBits",
        year=2020,
        reference="Qing Jin et al.: Adabits: Neural network quantization with adaptive bit-widths",
        link="arXiv:1912.09666",
        wave="D",
        summary="one network that runs at several bits",
        formulas=(
            "w_k = floor(2^k w) / 2^k: fewer bits are the first of more",
            "L = sum_k L_k, a clipping level a_k for each k (survey eq. 45)",
        ),
        missing="wave D: joint training of widths",
    )
)

describe(
    Entry(
        id="rbnn",
        title="RBNN",
        year=2020,
        reference="Mingbao Lin et al.: Rotated binary neural network",
        link="arXiv:2009.13055",
        wave="D",
        summary="weights are turned before the sign is taken",
        formulas=(
            ("min over rotations of |sign(R1^T W R2) - R1^T W R2|^2, w' = w + b (R1^T w R2 - w)"),
            "slope max(0, k (sqrt(2) t - t^2 |x|))",
        ),
        missing="wave D: rotations",
    )
)

describe(
    Entry(
        id="slb",
        title="SLB",
        year=2020,
        reference=(
            "Zhaohui Yang et al.: Searching for low-bit weights in quantized neural networks"
        ),
        link="arXiv:2009.08695",
        wave="D",
        summary="each weight searches among few values by probabilities",
        formulas=(
            "w_i = sum_j P_ij v_j, P_ij = softmax_j(p_ij / T), T falls",
            "deployed: the v_j of the largest p_ij",
        ),
        missing="wave D",
    )
)

describe(
    Entry(
        id="wrpn",
        title="WRPN",
        year=2018,
        reference="Asit Mishra et al.: WRPN: Wide Reduced-Precision Networks",
        link="arXiv:1709.01134",
        wave="D",
        summary="wider layers in exchange for fewer bits",
        formulas=(
            "w_q = round((2^(k-1) - 1) clip(w, -1, 1)) / (2^(k-1) - 1)",
            "a_q = round((2^k - 1) clip(a, 0, 1)) / (2^k - 1); 2 or 3 times the filters",
        ),
        missing="wave D: widening",
    )
)

describe(
    Entry(
        id="raiko2014",
        title="Raiko et al. binary stochastic feedforward nets",
        year=2014,
        reference=(
            "Tapani Raiko et al.: Techniques for learning binary stochastic feedforward "
            "neural networks"
        ),
        link="arXiv:1406.2989",
        wave="D",
        summary="stochastic binary units and how to estimate their gradients",
        formulas=(
            "P(y = 1) = sigma(x)",
            "dy/dx = sigma(x) (1 - sigma(x)), the slope of the mean",
        ),
        missing="wave D: stochastic units",
    )
)

describe(
    Entry(
        id="bbg",
        title="BBG",
        year=2020,
        reference="Mingzhu Shen et al.: Balanced binary neural networks with gated residual",
        link="arXiv:1909.12117",
        wave="D",
        summary="balanced signs and a gated shortcut",
        formulas=(
            "w' = w - mean w, w_q = mean |w'| sign(w')",
            "y = conv(x) + g_c x, g trained per channel",
        ),
        missing="wave D",
    )
)

describe(
    Entry(
        id="chin2020",
        title="One weight bitwidth to rule them all",
        year=2020,
        reference="Ting-Wu Chin et al.: One weight bitwidth to rule them all",
        wave="D",
        summary="one number of bits with channels to match",
        formulas=(
            (
                "one k for all layers; filters times r with r^2 k constant, so that the bits "
                "of all weights stay as many"
            ),
        ),
        missing="wave D",
    )
)

describe(
    Entry(
        id="stock2019",
        title="And the bit goes down",
        year=2019,
        reference=(
            "Pierre Stock et al.: And the bit goes down: Revisiting the quantization of "
            "neural networks"
        ),
        link="arXiv:1907.05686",
        wave="D",
        summary="codebooks that keep the outputs of a layer",
        formulas=(
            (
                "min over codewords of |x w - x w_q|^2 on the inputs x of a layer, by turns "
                "with the choice of codewords"
            ),
        ),
        missing="wave D: vector codebooks",
    )
)

describe(
    Entry(
        id="boolnet",
        title="BoolNet",
        year=2021,
        reference=(
            "Nianhui Guo et al.: BoolNet: Minimizing The Energy Consumption of Binary "
            "Neural Networks"
        ),
        link="arXiv:2106.06991",
        wave="D",
        summary="a network without any real-valued path",
        formulas=("y_k = sign(BN(x) + b_k), several shifts b_k: one bit on all paths",),
        missing="wave D",
    )
)

describe(
    Entry(
        id="bulat2020_experts",
        title="High-capacity expert binary networks",
        year=2020,
        reference="Adrian Bulat et al.: High-capacity expert binary networks",
        link="arXiv:2010.03558",
        wave="D",
        summary="binary weights chosen by the input",
        formulas=("w = w_e, e = argmax of a gate on the mean of the input; w_q = a sign(w)",),
        missing="wave D",
    )
)
