"""Methods of the literature that are not built yet: networks and structures (wave D)."""

from __future__ import annotations

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry

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

describe(
    Entry(
        id="chin2020",
        title="One weight bitwidth to rule them all",
        year=2020,
        reference="Ting-Wu Chin et al.: One weight bitwidth to rule them all",
        link="arXiv:2008.09916",
        wave="D",
        summary="one number of bits with channels to match",
        formulas=(
            "one k for all layers; filters times r with r^2 k constant, so that the bits of all "
            "weights stay as many",
        ),
        functions={
            "tinyq.exploration.widths.compare_widths": "trains a network of each width that has as "
            "many bits of weights, and tells how good each is"
        },
        leaves_out="layers whose width does not change, first and last, make sizes differ a little",
    )
)

describe(
    Entry(
        id="df_mpc",
        title="DF-MPC",
        year=2023,
        reference=(
            "Jun Chen et al.: Data-Free Quantization via Mixed-Precision Compensation "
            "without Fine-Tuning"
        ),
        link="arXiv:2307.00498",
        wave="D",
        summary="neighbouring layers make up for few bits, without data",
        formulas=(
            "c_j = argmin |w_j - c w_q,j|^2 per channel; the next layer, of more bits, takes "
            "c_j up",
        ),
        missing="wave D: ranges of activations without data",
    )
)
