"""Methods of the literature that are not built yet: searches for bits (wave E)."""

from __future__ import annotations

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry

describe(
    Entry(
        id="bitpruning",
        title="BitPruning",
        year=2020,
        reference=(
            "Milos Nikolic et al.: BitPruning: Learning Bitlengths for Aggressive and "
            "Accurate Quantization"
        ),
        wave="E",
        summary="bits per layer as trained real numbers",
        formulas=(
            "w_q = (1 - a) q_k(w) + a q_(k+1)(w), n = k + a trained",
            "L + g sum_l c_l n_l",
        ),
        missing="wave E: search for bits",
    )
)

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
        id="uhlich_dq",
        title="Differentiable quantization",
        year=2019,
        reference="Stefan Uhlich et al.: Differentiable quantization of deep neural networks",
        link="arXiv:1905.11452",
        wave="E",
        summary="step and range are trained, and bits follow from them",
        formulas=(
            "Q(x) = d round(x / d) inside, q_max sign(x) outside",
            "dQ/dd = (Q(x) - x) / d inside; dQ/dq_max = sign(x) outside",
            "b = ceil(log2(q_max / d + 1) + 1)",
        ),
        missing="wave E: learned bits",
    )
)

describe(
    Entry(
        id="brecq",
        title="BRECQ",
        year=2020,
        reference=(
            "Yuhang Li et al.: BRECQ: Pushing the Limit of Post-Training Quantization by "
            "Block Reconstruction"
        ),
        link="arXiv:2102.05426",
        wave="E",
        summary="rounding after training, block by block",
        formulas=(
            ("min over roundings and steps of sum (dL/dz)^2 (z - z_q)^2, z the output of a block"),
        ),
        missing="wave E: reconstruction and search",
    )
)

describe(
    Entry(
        id="dnas",
        title="DNAS",
        year=2018,
        reference=(
            "Wu et al.: Mixed precision quantization of convnets via differentiable "
            "neural architecture search"
        ),
        link="arXiv:1812.00090",
        wave="E",
        summary="a differentiable search among bits per layer",
        formulas=(
            "w = sum_i m_i q_i(w), m a Gumbel softmax over bits",
            "L = CrossEntropy(a) * beta (log Cost(a))^gamma (survey eq. 62)",
        ),
        missing="wave E: search for bits",
    )
)

describe(
    Entry(
        id="hawq",
        title="HAWQ",
        year=2019,
        reference=(
            "Zhen Dong et al.: Hawq: Hessian aware quantization of neural networks with "
            "mixed-precision"
        ),
        link="arXiv:1905.03696",
        wave="E",
        summary="bits by the largest eigenvalue of the Hessian",
        formulas=(
            (
                "S_l = lambda_l / n_l, lambda_l the largest eigenvalue of the Hessian, n_l "
                "weights: more bits where S is large"
            ),
        ),
        missing="wave E: search for bits",
    )
)

describe(
    Entry(
        id="hawq_v2",
        title="HAWQ-V2",
        year=2019,
        reference=(
            "Zhen Dong et al.: Hawq-v2: Hessian aware trace-weighted quantization of "
            "neural networks"
        ),
        link="arXiv:1911.03852",
        wave="E",
        summary="bits by the trace of the Hessian",
        formulas=("min over bits of sum_l mean trace(H_l) |Q(W_l) - W_l|^2 under a size",),
        missing="wave E: search for bits",
    )
)

describe(
    Entry(
        id="hawq_v3",
        title="HAWQ-V3",
        year=2021,
        reference="Zhewei Yao et al.: HAWQ-V3: Dyadic Neural Network Quantization",
        link="arXiv:2011.10680",
        wave="E",
        summary="integers alone, with scales b / 2^c, and bits by linear programming",
        formulas=(
            (
                "min over bits of sum_l S_l under size, operations and time: a linear "
                "program in integers"
            ),
            "scale = b / 2^c",
        ),
        missing=("wave E: search for bits; the dyadic epilogue itself is what all of tinyq uses"),
    )
)

describe(
    Entry(
        id="liu2021_imprinting",
        title="Liu et al.",
        year=2021,
        reference=(
            "Hongyang Liu et al.: Layer importance estimation with imprinting for neural "
            "network quantization"
        ),
        wave="E",
        summary="layers ranked by imprinted classifiers",
        formulas=(
            (
                "class weights = mean feature of a class at layer l; layers ranked by the "
                "accuracy that each adds"
            ),
        ),
        missing="wave E: search for bits",
    )
)

describe(
    Entry(
        id="tang2022_limpq",
        title="Tang et al. 2022",
        year=2022,
        reference=(
            "Chen Tang et al.: Mixed-Precision Neural Network Quantization via Learned "
            "Layer-Wise Importance"
        ),
        wave="E",
        summary="bits by the learned steps of each layer",
        formulas=(
            (
                "min over bits of sum_l s_l(b_w) + a s_l(b_a), s the learned steps, under a "
                "number of operations"
            ),
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
        id="uhlich2020",
        title="Mixed Precision DNNs: all you need is a good parametrization",
        year=2019,
        reference=(
            "Stefan Uhlich et al.: Mixed Precision DNNs: All you need is a good parametrization"
        ),
        wave="E",
        summary="bits follow from a trained step and range",
        formulas=(
            "b = ceil(log2(q_max / d + 1) + 1), d and q_max trained",
            "dQ/dd = (Q(x) - x) / d inside; dQ/dq_max = sign(x) outside",
        ),
        missing="wave E: learned bits",
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
        id="hmq",
        title="HMQ",
        year=2020,
        reference=(
            "Hai V. Habi et al.: Hmq: Hardware friendly mixed precision quantization block for cnns"
        ),
        link="arXiv:2007.09952",
        wave="E",
        summary="bits and thresholds by a relaxed choice",
        formulas=("q = sum_i z_i q_i over bits and thresholds 2^m, z a Gumbel softmax",),
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
