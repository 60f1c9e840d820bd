"""Methods of the literature that are not built yet: ways to train (wave D)."""

from __future__ import annotations

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry

describe(
    Entry(
        id="zhuang2018",
        title="Zhuang et al.",
        year=2018,
        reference=(
            "Bohan Zhuang et al.: Towards Effective Low-Bitwidth Convolutional Neural Networks"
        ),
        link="arXiv:1711.00205",
        wave="D",
        summary=(
            "first the weights, then the activations, from many bits to few, beside a float network"
        ),
        formulas=(
            "q_k(x) = round((2^k - 1) x) / (2^k - 1)",
            ("k = 32, 16, 8, 4, 2 by turns; L = L_low + L_full + lambda sum |f_low - f_full|^2"),
        ),
        missing="wave D: stages, falling bits and guidance by a float network",
    )
)

describe(
    Entry(
        id="dsq",
        title="DSQ",
        year=2019,
        reference=(
            "Ruihao Gong et al.: Differentiable soft quantization: Bridging "
            "full-precision and low-bit neural networks"
        ),
        link="arXiv:1908.05033",
        wave="D",
        summary="steps made of hyperbolic tangents that sharpen",
        formulas=(
            "phi(x) = s tanh(k (x - m_i)) on the i-th interval, s = 1 / tanh(k d / 2)",
            (
                "Q(x) = l + d (i + (sign(phi) + 1) / 2), slope that of phi; 1 - tanh(k d / "
                "2) is trained"
            ),
        ),
        missing="wave D: soft quantizers",
    )
)

describe(
    Entry(
        id="quantization_networks",
        title="Yang et al.",
        year=2019,
        reference="Jiwei Yang et al.: Quantization Networks",
        link="arXiv:1911.09464",
        wave="D",
        summary="levels as a sum of sigmoids that sharpen",
        formulas=(
            "y = a (sum_i s_i sigma(T (b x - b_i)) - o), T grows",
            "deployed: a unit step for sigma",
        ),
        missing="wave D: soft quantizers",
    )
)

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
            ("w_q = s clip(floor(w / s) + h(V), lo, hi), h(V) = clip(1.2 sigma(V) - 0.1, 0, 1)"),
            "min over V of |W x - W_q x|^2 + c sum (1 - |2 h(V) - 1|^b)",
        ),
        missing="wave D: reconstruction",
    )
)

describe(
    Entry(
        id="n2uq",
        title="N2UQ",
        year=2022,
        reference=(
            "Zechun Liu et al.: Nonuniform-to-uniform quantization: Towards accurate "
            "quantization via generalized straight-through estimation"
        ),
        link="arXiv:2111.14826",
        wave="D",
        summary="thresholds are trained, levels stay uniform",
        formulas=(
            "y = i for T_i <= x < T_(i+1), T trained",
            "dy/dx = 1 / (length of the own interval)",
        ),
        missing="wave D: learned thresholds",
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
            "min of |w - w_q|^2 over one t_m after another",
        ),
        missing="wave D: reconstruction",
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
        summary="scales by the change of the network's prediction",
        formulas=("min over scales of KL(f(x), f_q(x)), f the prediction of the whole network",),
        missing="wave D: reconstruction",
    )
)

describe(
    Entry(
        id="sat",
        title="SAT",
        year=2019,
        reference="Qing Jin et al.: Towards efficient training for neural network quantization",
        wave="D",
        summary="weights are rescaled so that training keeps its pace",
        formulas=(
            "w = w_q / sqrt(n var(w_q)), w_q as in DoReFa, n outputs of the layer",
            "activations as in PACT, with the whole gradient of the level",
        ),
        missing="wave D",
    )
)

describe(
    Entry(
        id="dgrl",
        title="DGRL",
        year=2021,
        reference=(
            "Jianming Ye et al.: Distillation-guided residual learning for binary "
            "convolutional neural networks"
        ),
        wave="D",
        summary="a binary network guided by a float one",
        formulas=("L + sum over blocks of |f_b - f_b,float|^2",),
        missing="wave D: distillation",
    )
)

describe(
    Entry(
        id="apprentice",
        title="Apprentice",
        year=2018,
        reference=(
            "Asit Mishra and Debbie Marr: Apprentice: Using Knowledge Distillation "
            "Techniques To Improve Low-Precision Network Accuracy"
        ),
        link="arXiv:1711.05852",
        wave="D",
        summary="a few-bit student of a float teacher",
        formulas=("L = a H(y, p_teacher) + b H(y, p_student) + c H(z_teacher, p_student)",),
        missing="wave D: distillation",
    )
)

describe(
    Entry(
        id="polino2018",
        title="Polino et al.",
        year=2018,
        reference="Antonio Polino et al.: Model compression via distillation and quantization",
        link="arXiv:1802.05668",
        wave="D",
        summary="distillation, and trained levels",
        formulas=(
            "L + c KL(teacher, student)",
            (
                "q(x) = a q_k((x - b) / a) + b per bucket, or trained levels: dL/dp_j = sum "
                "of dL/dw_i on level j"
            ),
        ),
        missing="wave D: distillation",
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
        wave="D",
        summary="neighbouring layers make up for few bits, without data",
        formulas=(
            (
                "c_j = argmin |w_j - c w_q,j|^2 per channel; the next layer, of more bits, "
                "takes c_j up"
            ),
        ),
        missing="wave D",
    )
)
