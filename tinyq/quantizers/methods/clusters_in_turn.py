"""Clusters of weights that are fixed one after another."""

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
        id="slq",
        title="SLQ",
        year=2018,
        reference=(
            "Yuhui Xu et al.: Deep neural network compression with single and multiple "
            "level quantization"
        ),
        link="arXiv:1803.03289",
        wave="C",
        summary="clusters of weights frozen one after another",
        formulas=(
            "c_j = mean of the weights next to c_j",
            (
                "clusters of the smallest error are fixed first, the others train in "
                "floating point and are clustered again"
            ),
            "fixed: 50 %, 75 %, 87.5 %, 100 % of the clusters",
        ),
        weights={"slq3": "c4", "slq4": "c4"},
        options={"slq3": {"bits": 3}, "slq4": {"bits": 4}},
        leaves_out=(
            "a cluster is judged by its squared error, not by the loss of the network; 5 bits"
        ),
    )
)
@dataclass(frozen=True)
class Slq(Method):
    """Clusters of weights frozen one after another."""

    bits: int = option(4, "bits of a code", choices=(3, 4))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.clustered(self.bits, quantizers.tables.largest_error_last)


@catalogued(
    Entry(
        id="mlq",
        title="MLQ",
        year=2018,
        reference=(
            "Yuhui Xu et al.: Deep neural network compression with single and multiple "
            "level quantization"
        ),
        link="arXiv:1803.03289",
        wave="C",
        summary="boundary clusters frozen first, over layers and levels",
        formulas=(
            "c_j = mean of the weights next to c_j",
            (
                "the outermost clusters are fixed first, the others train in floating point "
                "and are clustered again"
            ),
        ),
        weights={"mlq2": "c2", "mlq3": "c4"},
        options={"mlq2": {"bits": 2}, "mlq3": {"bits": 3}},
        leaves_out=(
            "the partition over the depth of the network: all layers fix clusters at the same time"
        ),
    )
)
@dataclass(frozen=True)
class Mlq(Method):
    """Boundary clusters frozen first, over layers and levels."""

    bits: int = option(3, "bits of a code", choices=(2, 3))

    def weights(self) -> WeightParts:
        """Parts for weights."""
        return quantizers.combinations.clustered(self.bits, quantizers.tables.outermost_first)


@catalogued(
    Entry(
        id="eslq",
        title="ESLQ",
        year=2018,
        reference=(
            "Yuhui Xu et al.: Deep neural network compression with single and multiple "
            "level quantization"
        ),
        link="arXiv:1803.03289",
        wave="C",
        summary="centroids moved to powers of two",
        formulas=(
            "c_j = sign 2^round(log2 |c_j|), c_j a cluster center as in SLQ",
            "clusters are fixed one after another",
        ),
        weights={"eslq4": "p4"},
        leaves_out="number types other than powers of two",
    )
)
@dataclass(frozen=True)
class Eslq(Method):
    """Centroids moved to powers of two."""

    def weights(self) -> WeightParts:
        """Parts for weights."""
        partition = quantizers.tables.largest_error_last
        table = quantizers.tables.Table(15, quantizers.clusters.find_powers, partition=partition)
        return replace(quantizers.combinations.clustered(4, partition), format="p4", table=table)
