"""Weight quantizers of the methods: which parts each is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from tinyq.quantizers import clusters, gradients, levels, scales, thresholds, updates
from tinyq.quantizers.bases import BasisParts, shifted_signs
from tinyq.quantizers.groups import GroupParts
from tinyq.quantizers.penalties import (
    binary_or_ternary,
    distance,
    far_from_one,
    periodic,
    smooth_distance,
    weighted_distance,
)
from tinyq.quantizers.preparation import pruned, squash, standardize
from tinyq.quantizers.rounding import draw_nearest, draw_sign, draw_ternary
from tinyq.quantizers.table_presets import TABLES
from tinyq.quantizers.weights import Procedure, WeightParts


def _max_abs(number_format: str, hi: int, shared: bool = False) -> WeightParts:
    return WeightParts(
        number_format,
        levels.Uniform(-hi, hi),
        thresholds.max_abs_step(hi),
        scales.step_scale,
        gradients.identity,
        shared=shared,
    )


def _fitted(number_format: str, hi: int, shared: bool = True) -> WeightParts:
    level_set = levels.Uniform(-hi, hi)
    return WeightParts(
        number_format,
        level_set,
        thresholds.fitted_step(level_set),
        scales.step_scale,
        gradients.identity,
        projection=False,
        shared=shared,
    )


def _learned(bits: int) -> WeightParts:
    half = 2 ** (bits - 1)
    return WeightParts(
        f"s{bits}",
        levels.Uniform(-half, half - 1),
        thresholds.mean_step(half - 1),
        scales.step_scale,
        gradients.identity,
        projection=False,
        shared=True,
        learned=True,
    )


def _squashed(bits: int) -> WeightParts:
    level_set = levels.OddUniform(bits)
    return WeightParts(
        f"d{bits}" if bits <= 3 else "c4",
        level_set,
        thresholds.fixed_step(1.0 / level_set.hi),
        scales.step_scale,
        gradients.identity,
        projection=False,
        shared=True,
        prepare=squash,
    )


def _balanced(number_format: str, bits: int) -> WeightParts:
    level_set = levels.Balanced(bits)
    return WeightParts(
        number_format,
        level_set,
        thresholds.no_unit,
        scales.balanced_scale(level_set.hi),
        gradients.identity,
        projection=False,
        shared=True,
    )


def _powers(number_format: str, count: int, log: bool = False) -> WeightParts:
    return WeightParts(
        number_format,
        levels.powers_of_two(count, log),
        thresholds.smallest_power(count, log),
        scales.step_scale,
        gradients.identity,
        shared=True,
    )


def _based(count: int) -> BasisParts:
    """Sums of signs."""
    return BasisParts(
        f"d{count}",
        levels.Uniform(-clusters.MOST, clusters.MOST),
        thresholds.no_unit,
        scales.fitted_scale,
        gradients.identity,
        count=count,
    )


def _additive(number_format: str, level_set: levels.Listed) -> WeightParts:
    """Sums of powers of two with a trained clipping level."""
    parts = _max_abs(number_format, level_set.hi, shared=True)
    return replace(parts, levels=level_set, learned=True, projection=False)


_TERNARY = WeightParts(
    "t2",
    levels.Ternary(),
    thresholds.ternary_threshold,
    scales.kept_mean_scale,
    gradients.identity,
)
_TWN = replace(_TERNARY, shared=True)
_BEST_TERNARY = replace(_TERNARY, unit=thresholds.best_ternary_threshold)
_BINARY = WeightParts(
    "b1",
    levels.Binary(),
    thresholds.no_unit,
    scales.mean_abs_scale,
    gradients.clipped_identity,
)
_SIGN = replace(_BINARY, scale=scales.no_scale)
_BOUNDED = Procedure(update=updates.clip_to_unit)
_INCREMENTAL = Procedure(forward="master", freezes=True, schedule=updates.BY_HALVES)
_SLOWLY = replace(_INCREMENTAL, schedule=updates.BY_SMALLER_PARTS)
_BLENDED = Procedure(update=updates.blend(1e-5))
_RELAXED = Procedure(forward="mixed", schedule=updates.grow_by_powers(1.0, 1000.0))
_ELQ = WeightParts(
    "t2",
    levels.Ternary(),
    thresholds.half_mean_and_max(0.05),
    scales.doubled_unit,
    gradients.identity,
    projection=False,
    shared=True,
    procedure=replace(_INCREMENTAL, penalty=distance, strength=1e-2),
)
_SIGN_OF_LAYER = replace(_BINARY, shared=True, gradient=gradients.identity)

_ALL: Mapping[str, WeightParts] = {
    "int8": _max_abs("s8", 127),
    "int4": _max_abs("s4", 7),
    "ternary": _TERNARY,
    "binary": _BINARY,
    "sung2015_3": _fitted("t2", 1),
    "sung2015_7": _fitted("s3", 3),
    "sung2015_15": _fitted("s4", 7),
    "twn": _TWN,
    "twn_exact": replace(_BEST_TERNARY, shared=True),
    "bnn": replace(_SIGN, procedure=_BOUNDED),
    "bwn": _BINARY,
    **{f"pact{bits}": _squashed(bits) for bits in (2, 3, 4)},
    **{f"lsq{bits}": _learned(bits) for bits in (2, 3, 4, 8)},
    "fiesler1990": _max_abs("s3", 3, shared=True),
    "binaryconnect": replace(
        _SIGN,
        unit=thresholds.half_mean,
        gradient=gradients.identity,
        shared=True,
        procedure=Procedure(draw=draw_sign, update=updates.clip_to_unit),
    ),
    "ternaryconnect": WeightParts(
        "t2",
        levels.Uniform(-1, 1),
        thresholds.mean_step(1),
        scales.step_scale,
        gradients.identity,
        projection=False,
        shared=True,
        procedure=Procedure(draw=draw_ternary, update=updates.clip_to_unit),
    ),
    "xnor_net": _BINARY,
    "fgq": GroupParts(
        "g2",
        levels.Ternary(),
        thresholds.best_ternary_threshold,
        scales.kept_mean_scale,
        gradients.identity,
        projection=False,
    ),
    "elq1": replace(_ELQ, format="b1", levels=levels.Binary()),
    "elq2": _ELQ,
    "bi_realnet": _BINARY,
    "ir_net": replace(
        _BINARY,
        scale=scales.power_of_two(scales.mean_abs_scale),
        gradient=gradients.error_decay,
        projection=False,
        prepare=standardize,
        procedure=Procedure(schedule=gradients.sharpen, anneals=True),
    ),
    "sq_smart": WeightParts(
        "t2",
        levels.Ternary(),
        thresholds.half_mean,
        scales.doubled_unit,
        gradients.identity,
        projection=False,
        shared=True,
        procedure=Procedure(penalty=binary_or_ternary(math.tan(3 * math.pi / 8)), strength=1e-5),
    ),
    "proxquant1": replace(
        _SIGN,
        gradient=gradients.identity,
        procedure=Procedure(
            forward="master",
            update=updates.shrink_to_signs,
            schedule=updates.snap_at_the_end(updates.grow_linearly(2e-3)),
        ),
    ),
    "proxquant2": replace(
        _BEST_TERNARY,
        shared=True,
        procedure=Procedure(
            forward="master",
            update=updates.shrink_to_levels,
            schedule=updates.snap_at_the_end(updates.grow_linearly(2e-3)),
        ),
    ),
    "venkatesh": _TWN,
    "bcgd1": replace(_SIGN_OF_LAYER, procedure=_BLENDED),
    "bcgd2": replace(_BEST_TERNARY, shared=True, procedure=_BLENDED),
    "bcgd4": replace(_fitted("s4", 7), procedure=_BLENDED),
    "binaryrelax1": replace(_SIGN_OF_LAYER, procedure=_RELAXED),
    "binaryrelax2": replace(_BEST_TERNARY, shared=True, procedure=_RELAXED),
    "hwang_sung2014": replace(_BEST_TERNARY, shared=True, scale=scales.fitted_scale),
    "balzer1991": replace(_max_abs("s3", 3, shared=True), procedure=Procedure(draw=draw_nearest)),
    "choukroun2019": _fitted("s4", 7, shared=False),
    "fqn": _max_abs("s4", 7),
    "dorefa1": _SIGN_OF_LAYER,
    **{f"dorefa{bits}": _squashed(bits) for bits in (2, 3, 4)},
    "qnn1": replace(_SIGN, procedure=_BOUNDED),
    "qnn4": WeightParts(
        "s4",
        levels.Uniform(-7, 7),
        thresholds.fixed_step(1.0 / 7.0),
        scales.step_scale,
        gradients.clipped_identity,
        procedure=_BOUNDED,
    ),
    "tang2017": replace(
        _SIGN,
        procedure=Procedure(penalty=far_from_one, strength=1e-6, update=updates.clip_to_unit),
    ),
    "hwgq": _BINARY,
    "lq_nets1": replace(_BINARY, gradient=gradients.identity),
    **{f"lq_nets{count}": _based(count) for count in (2, 3)},
    **{
        f"abc_net{count}": replace(
            _based(count), signs=shifted_signs, momentum=0.0, shared=True, projection=False
        )
        for count in (2, 3)
    },
    "miyashita4": _powers("p4", 7, log=True),
    "lognet4": _powers("p4", 7, log=True),
    "inq2": replace(_powers("t2", 1), procedure=_SLOWLY),
    "inq3": replace(_powers("s3", 2), procedure=_SLOWLY),
    "inq4": replace(_powers("p4", 4), procedure=_INCREMENTAL),
    "apot4": _additive("a4", levels.Listed((1, 2, 3, 4, 6, 8, 10))),
    "apot5": _additive("s8", levels.additive_powers(terms=2, bits=2)),
    "balanced2": _balanced("d2", 2),
    "balanced4": _balanced("c4", 4),
    "periodic_reg4": replace(
        _max_abs("s4", 7),
        procedure=Procedure(forward="master", penalty=periodic, strength=1e-5),
    ),
    "wess_reg4": replace(
        _max_abs("s4", 7),
        procedure=Procedure(forward="master", penalty=distance, strength=1e-2),
    ),
    "wess_pot_reg4": replace(
        _powers("p4", 7, log=True),
        procedure=Procedure(forward="master", penalty=weighted_distance, strength=1e-2),
    ),
    "tang_kwan1993": _powers("p4", 4, log=True),
    "marchesi1993": _powers("p4", 7, log=True),
    "nayak2019": _powers("p4", 7, log=True),
    "yang2020_ann_c4": replace(
        _fitted("s4", 7),
        prepare=pruned(0.5),
        procedure=Procedure(forward="master", multiplies=True, schedule=updates.stay(1e-2)),
    ),
    "qst4": replace(
        _learned(4), procedure=Procedure(prunes=True, schedule=updates.grow_cubically(0.5))
    ),
    "chikin2022_4": replace(
        _learned(4),
        procedure=Procedure(
            forward="master", penalty=smooth_distance(-8, 7), strength=0.1, trains_unit=True
        ),
    ),
    **TABLES,
}

WEIGHTS: Mapping[str, WeightParts] = MappingProxyType(_ALL)
