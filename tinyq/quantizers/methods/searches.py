"""Methods that choose bits for each layer: they are options of `tinyq search`."""

from __future__ import annotations

from tinyq.quantizers.catalogue import describe
from tinyq.quantizers.method import Entry

_STEPS = [{"weights": name, "activations": "int8"} for name in ("lsq4", "lsq3", "lsq2")]

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
        searches={"bitpruning": {"allocator": "fractional", "proxy": "train:3"}},
        leaves_out=(
            "a place among the methods of the space stands for the number of bits; activations"
        ),
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
        searches={"uhlich_dq": {"allocator": "parametrized", "proxy": "train:3"}},
        leaves_out=(
            "powers of two; activations: bits of weights follow from trained step and range, "
            "and the method with as many takes their place"
        ),
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
        searches={
            "brecq": {"sensitivity": "fisher", "allocator": "evolution", "proxy": "reconstruct"}
        },
        leaves_out=(
            "interactions of the layers of a block in the search; the Fisher diagonal weighs "
            "the search, not the reconstruction, which has squared errors"
        ),
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
        searches={"dnas": {"allocator": "gumbel", "proxy": "train:3"}},
        leaves_out=(
            "weights and gates train on the same data; the cost is in parts of the base's, "
            "not its logarithm; activations keep the first method of the space"
        ),
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
        searches={
            "hawq": {"sensitivity": "hessian_eigenvalue", "allocator": "rank", "proxy": "train:3"}
        },
        leaves_out=(
            "fine-tuning of one layer after another in the order of their eigenvalues: all "
            "train at once"
        ),
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
        searches={
            "hawq_v2": {"sensitivity": "hessian_trace", "allocator": "rank", "proxy": "train:3"}
        },
        leaves_out=(
            "the Pareto front is that of counted flash, RAM and instructions; curvature of "
            "activations: what they cost is measured"
        ),
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
        searches={
            "hawq_v3": {"sensitivity": "hessian_trace", "allocator": "ilp", "proxy": "train:3"}
        },
        leaves_out=("measured latencies: instructions are counted on the emulated core"),
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
        searches={
            "liu2021_imprinting": {
                "sensitivity": "imprint",
                "allocator": "rank",
                "proxy": "train:3",
            }
        },
        leaves_out=(
            "the importance is multiplied by the relative error of the weights, since methods"
            " here are more than numbers of bits"
        ),
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
        searches={
            "tang2022_limpq": {
                "sensitivity": "steps",
                "allocator": "ilp",
                "proxy": "train:3",
                "space": {"layers": {"*": ["int8", *_STEPS], "first": ["int8", _STEPS[0]]}},
            }
        },
        leaves_out=(
            "one width drawn for each layer in a step: all widths train in every step, each "
            "in a network of its own; steps of activations. A space of yours needs lsq4, lsq3 or "
            "lsq2"
        ),
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
        searches={"uhlich2020": {"allocator": "constrained", "proxy": "train:3"}},
        leaves_out=(
            "multipliers that train: the penalty of what exceeds the budget has a fixed strength, "
            "and the budget falls until it holds; activations. The same paper as uhlich_dq, whose "
            "penalty has no budget"
        ),
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
        searches={"hmq": {"allocator": "relaxed", "proxy": "train:3"}},
        leaves_out=(
            "thresholds that are powers of two are not chosen along with the bits; targets that "
            "fall in cycles of one training: each target has a training; activations"
        ),
    )
)
