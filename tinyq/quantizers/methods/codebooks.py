"""Codebooks: levels that are found from the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option

if TYPE_CHECKING:
    from tinyq.quantizers.weights import WeightParts


@catalogued(
    Entry(
        id="deep_compression",
        title="DeepCompression",
        year=2015,
        reference=(
            "Song Han et al.: Deep compression: Compressing deep neural networks with "
            "pruning, trained quantization and huffman coding"
        ),
        link="arXiv:1510.00149",
        wave="C",
        summary=("weights share few centroids per layer, after pruning; indices are Huffman-coded"),
        formulas=(
            "w = 0 for the smaller half of |w|, before sharing",
            "min over c of sum_i min_j (w_i - c_j)^2",
            "dL/dc_j = sum of dL/dw_i in cluster j; a weight stays in its cluster",
        ),
        weights={"deep_compression2": "c2", "deep_compression4": "c4"},
        options={"deep_compression2": {"bits": 2}, "deep_compression4": {"bits": 4}},
        leaves_out=(
            "Huffman coding and storing zeros sparsely, 5 and 8 bits, training between "
            "pruning and sharing"
        ),
    )
)
@dataclass(frozen=True)
class DeepCompression(Method):
    """Weights share few centroids per layer, after pruning."""

    bits: int = option(4, "bits of a code", choices=(2, 4))
    zeros: float = option(0.5, "share of the weights that are 0", low=0.0, high=1.0, open=True)

    def weights(self) -> WeightParts:
        """Parts for weights."""
        parts = quantizers.combinations.table(
            4,
            quantizers.clusters.find_means_beside_zero,
            count=2**self.bits,
            moves="training",
            keeps=True,
        )
        return replace(
            parts,
            format=f"c{self.bits}",
            gradient=quantizers.tables.freeze_indices,
            projection=False,
            prepare=quantizers.preparation.pruned(self.zeros),
        )


@catalogued(
    Entry(
        id="wq",
        title="WQ",
        year=2017,
        reference=(
            "Eunhyeok Park et al.: Weighted-entropy-based quantization for deep neural networks"
        ),
        wave="C",
        summary="levels by weighted entropy: large weights count more",
        formulas=(
            "S = -sum I_n P_n log P_n, largest over the borders of clusters (survey eq. 12)",
            "P_n = |C_n| / sum |C_k|, I_n = mean of w^2 in C_n (eq. 13 to 15)",
            "level = +-sqrt(I_n)",
        ),
        weights={"wq2": "c2", "wq4": "c4"},
        options={"wq2": {"bits": 2}, "wq4": {"bits": 4}},
        leaves_out=(
            "clusters are found once per epoch, not per step; activations by the same entropy"
        ),
    )
)
@dataclass(frozen=True)
class Wq(Method):
    """Levels by weighted entropy."""

    bits: int = option(4, "bits of a code", choices=(2, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        find = quantizers.clusters.find_entropy_levels
        return quantizers.combinations.table(self.bits, find, moves="epochs")


@catalogued(
    Entry(
        id="kde_km",
        title="KDE-KM",
        year=2019,
        reference=(
            "Sanghyun Seo and Juntae Kim: Efficient weights quantization of "
            "convolutional neural networks using kernel density estimation based "
            "non-uniform quantizer"
        ),
        wave="C",
        summary="clusters around the peaks of a smoothed histogram",
        formulas=(
            "f(x) = 1 / (n h) sum K((x - w_i) / h)",
            "min over c of sum_i min_j (s_i - c_j)^2 over a small sample s of f",
        ),
        weights={"kde_km4": "c4"},
        leaves_out=(
            "the sample is made of quantiles of f, not drawn at random; levels stay as "
            "they are first found"
        ),
    )
)
@dataclass(frozen=True)
class KdeKm(Method):
    """Clusters around the peaks of a smoothed histogram."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.table(4, quantizers.clusters.find_density_means)


@catalogued(
    Entry(
        id="oh2022_subsetq",
        title="Oh et al.",
        year=2022,
        reference=(
            "Sangyun Oh et al.: Non-Uniform Step Size Quantization for Accurate "
            "Post-Training Quantization"
        ),
        wave="C",
        summary="few levels chosen among sums of two powers of two",
        formulas=(
            "U = {p1 + p2}, p1 in {1, 1/2, 1/8, 0}, p2 in {1, 1/4, 1/16, 0}",
            "min over S in U and a of sum (|w_i| - a s_i)^2, s_i in S next to |w_i| / a",
            "a = sum(w c) / sum(c^2) per channel",
        ),
        weights={"oh2022_subsetq2": "c2", "oh2022_subsetq3": "c4", "oh2022_subsetq4": "c4"},
        options={
            "oh2022_subsetq2": {"bits": 2},
            "oh2022_subsetq3": {"bits": 3},
            "oh2022_subsetq4": {"bits": 4},
        },
        leaves_out=(
            "block reconstruction after training, trained channel scales; the shift-add "
            "kernel: the codebook is general"
        ),
    )
)
@dataclass(frozen=True)
class SubsetQ(Method):
    """Few levels chosen among sums of two powers of two."""

    bits: int = option(4, "bits of a code", choices=(2, 3, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        parts = quantizers.combinations.normal_table(self.bits, quantizers.clusters.find_subset)
        return replace(parts, scale=quantizers.scales.fitted_scale, projection=False)


@catalogued(
    Entry(
        id="pwlq",
        title="PWLQ",
        year=2020,
        reference=(
            "Jun Fang et al.: Post-training piecewise linear quantization for deep neural networks"
        ),
        link="arXiv:2002.00104",
        wave="C",
        summary="a fine grid in the middle, a coarse one outside",
        formulas=(
            (
                "levels 0, +-p k / 3 for k = 1 .. 3, +-(p + (m - p) k / 4) for k = 1 .. 4, m "
                "= max |w| per channel"
            ),
            "p = argmin sum (w_i - q_i)^2",
        ),
        weights={"pwlq4": "c4"},
        leaves_out=(
            "one border for all channels of a layer; bias correction is tinyq quantize "
            "with its own option; 6 and 8 bits"
        ),
    )
)
@dataclass(frozen=True)
class Pwlq(Method):
    """A fine grid in the middle, a coarse one outside."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.normal_table(4, quantizers.clusters.find_two_regions)


@catalogued(
    Entry(
        id="gong2014_vq",
        title="Gong et al. vector quantization",
        year=2014,
        reference=(
            "Yunchao Gong et al.: Compressing deep convolutional networks using vector quantization"
        ),
        link="arXiv:1412.6115",
        wave="C",
        summary="vectors of weights share codewords",
        formulas=("min over c of sum_i min_j (w_i - c_j)^2",),
        weights={"gong2014_vq2": "c2", "gong2014_vq4": "c4"},
        options={"gong2014_vq2": {"bits": 2}, "gong2014_vq4": {"bits": 4}},
        leaves_out=(
            "product and residual quantization of vectors (the scalar k-means and, as "
            "bwn, the binarization are here)"
        ),
    )
)
@dataclass(frozen=True)
class Gong(Method):
    """Vectors of weights share codewords."""

    bits: int = option(4, "bits of a code", choices=(2, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.table(self.bits, quantizers.clusters.find_means)


@catalogued(
    Entry(
        id="hashednets",
        title="HashedNets",
        year=2015,
        reference="Wenlin Chen et al.: Compressing neural networks with the hashing trick",
        link="arXiv:1504.04788",
        wave="C",
        summary="a hash decides which weights are one",
        formulas=(
            "w_ij = v_h(i,j), h a multiplicative hash",
            "dL/dv_k = sum of dL/dw_ij with h(i,j) = k",
        ),
        weights={"hashednets4": "c4"},
        leaves_out=(
            "16 buckets per layer rather than thousands, no hash of signs; the device "
            "stores indexes and computes no hash"
        ),
    )
)
@dataclass(frozen=True)
class HashedNets(Method):
    """A hash decides which weights are one."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        tables = quantizers.tables
        parts = quantizers.combinations.table(
            4,
            quantizers.clusters.find_quantiles,
            choose=tables.choose_by_hash,
            moves="training",
            keeps=True,
        )
        return replace(parts, gradient=tables.freeze_indices, projection=False)


@catalogued(
    Entry(
        id="soft_weight_sharing",
        title="Soft weight-sharing",
        year=1992,
        reference=(
            "Steven J. Nowlan and Geoffrey E. Hinton: Simplifying neural networks by "
            "soft weight-sharing"
        ),
        link="doi:10.1162/neco.1992.4.4.473",
        wave="C",
        summary="a mixture of normal distributions draws weights together",
        formulas=(
            "R = -sum_i log sum_j p_j N(w_i; m_j, s_j)",
            "m, s and p are trained; w_q = the m_j next to w",
        ),
        weights={"soft_weight_sharing4": "c4"},
        leaves_out="priors of the deviations; the number of components stays",
    )
)
@dataclass(frozen=True)
class SoftWeightSharing(Method):
    """A mixture of normal distributions draws weights together."""

    strength: float = option(
        1e-5, "factor of the mixture's surprise in the loss", low=0.0, open=True
    )

    def weights(self) -> WeightParts:
        """Parts for weights."""
        parts = quantizers.combinations.table(4, quantizers.clusters.find_means, moves="training")
        procedure = quantizers.procedure.Procedure(forward="master", strength=self.strength)
        return quantizers.mixtures.MixtureParts(
            parts.format,
            parts.levels,
            parts.step,
            parts.scale,
            parts.gradient,
            per_tensor=True,
            table=parts.table,
            procedure=procedure,
        )
