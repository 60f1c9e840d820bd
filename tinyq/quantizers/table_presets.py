"""Weight quantizers whose levels are found from the weights: codebooks, and what trains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tinyq.quantizers import clusters, levels, scales, tables, thresholds, updates
from tinyq.quantizers.clusters import Fit
from tinyq.quantizers.mixtures import MixtureParts
from tinyq.quantizers.preparation import pruned
from tinyq.quantizers.tables import Table, TableParts
from tinyq.quantizers.weights import Procedure

_LEVELS = levels.Uniform(-clusters.MOST, clusters.MOST)


def _shared(bits: int, fit: Fit, count: int | None = None, **options: Any) -> TableParts:
    """Levels for a whole layer."""
    return TableParts(
        f"c{2 if bits == 2 else 4}",
        _LEVELS,
        thresholds.no_unit,
        scales.step_scale,
        tables.pass_on,
        shared=True,
        table=Table(count or 2**bits, fit, **options),
    )


def _normal(bits: int, fit: Fit) -> TableParts:
    """Levels for a whole layer and a scale for each channel."""
    return replace(_shared(bits, fit), unit=thresholds.max_abs_step(1), shared=False, normal=True)


def _clustered(bits: int, partition: tables.Partition) -> TableParts:
    """Clusters that are fixed one after another while the rest trains in floating point."""
    procedure = Procedure(forward="master", freezes=True, schedule=updates.BY_HALVES)
    return replace(_shared(bits, clusters.find_means, partition=partition), procedure=procedure)


_TRAINED_TERNARY = replace(
    _shared(
        2,
        clusters.part_in_three,
        count=3,
        choose=tables.choose_by_threshold,
        moves="training",
        constrain=tables.around_zero,
    ),
    format="n2",
    unit=thresholds.share_of_max(0.05),
    gradient=tables.scaled_by_level,
    projection=False,
)
_SHARING = _shared(4, clusters.find_means_beside_zero, moves="training", keeps=True)
_MIXTURE = _shared(4, clusters.find_means, moves="training")

_ALL: Mapping[str, TableParts] = {
    "ttq": _TRAINED_TERNARY,
    **{
        f"deep_compression{bits}": replace(
            _SHARING,
            format=f"c{bits}",
            gradient=tables.hold,
            projection=False,
            prepare=pruned(0.5),
            table=replace(_SHARING.table, count=2**bits),
        )
        for bits in (2, 4)
    },
    **{f"wq{bits}": _shared(bits, clusters.find_entropy_levels, moves="epochs") for bits in (2, 4)},
    "slq3": _clustered(3, tables.largest_error_last),
    "slq4": _clustered(4, tables.largest_error_last),
    "mlq2": _clustered(2, tables.outermost_first),
    "mlq3": _clustered(3, tables.outermost_first),
    "eslq4": replace(
        _clustered(4, tables.largest_error_last),
        format="p4",
        table=Table(15, clusters.find_powers, partition=tables.largest_error_last),
    ),
    "kde_km4": _shared(4, clusters.find_density_means),
    "gong2014_vq2": _shared(2, clusters.find_means),
    "gong2014_vq4": _shared(4, clusters.find_means),
    "hashednets4": replace(
        _shared(
            4, clusters.find_quantiles, choose=tables.choose_by_hash, moves="training", keeps=True
        ),
        gradient=tables.hold,
        projection=False,
    ),
    "soft_weight_sharing4": MixtureParts(
        _MIXTURE.format,
        _MIXTURE.levels,
        _MIXTURE.unit,
        _MIXTURE.scale,
        _MIXTURE.gradient,
        shared=True,
        table=_MIXTURE.table,
        procedure=Procedure(forward="master", strength=1e-5),
    ),
    **{
        f"oh2022_subsetq{bits}": replace(
            _normal(bits, clusters.find_subset), scale=scales.fitted_scale, projection=False
        )
        for bits in (2, 3, 4)
    },
    "pwlq4": _normal(4, clusters.find_two_regions),
    "carreira2017_4": replace(
        _shared(4, clusters.find_means),
        procedure=Procedure(
            forward="master", multiplies=True, schedule=updates.grow_by_powers(1e-2, 10.0)
        ),
    ),
}

TABLES: Mapping[str, TableParts] = MappingProxyType(_ALL)
