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
