"""Calls of what recurrent layers apply to single sums: saturation, curves, gates."""

from __future__ import annotations

import numpy as np

from tests.micro_checks import Calls, Check, name_call
from tests.micro_kernels import MicroCall, Read
from tinyq.kernels.armv7em.recurrence import follow_curve, saturate_words
from tinyq.kernels.armv7em.shares import share_tables
from tinyq.kernels.armv7em.tflite_lstm import FINEST_CELL_BITS, call_gates
from tinyq.numerics import gates

_EDGES = (-(2**15), 2**15 - 1, 0, -1, 1)
_DRAWN = 4


def list_limits(rng: np.random.Generator) -> Calls:
    """The nearest int16, and int8, of an int32."""
    for bits, part in zip((16, 8), saturate_words().values(), strict=True):
        most = 2 ** (bits - 1)
        near = (-most - 1, -most, most - 1, most, -(2**31), 2**31 - 1)
        for x in (*near, *map(int, rng.integers(-2 * most, 2 * most, _DRAWN))):
            yield name_call(MicroCall(part, (x,), result=int(np.clip(x, -most, most - 1))), x)


def list_curves(rng: np.random.Generator) -> Calls:
    """Points of a curve, and codes between two of them."""
    curve = rng.integers(-(2**15), 2**15, 513).astype(np.int16)
    for x in draw_codes(rng):
        place, rest = divmod(x + 2**15, 128)
        low, high = (int(point) for point in curve[place : place + 2])
        wanted = low + ((high - low) * rest + 64 >> 7)
        yield name_call(MicroCall(follow_curve(), (Read(curve), x), result=wanted), x)


def list_gates(rng: np.random.Generator) -> Calls:
    """Logistic functions and hyperbolic tangents, computed and from tables."""
    needs = (saturate_words()["limit"],)
    tables = tuple(Read(table.words) for table in share_tables())
    for reads in (False, True):
        front = tables if reads else ()
        for raw in draw_codes(rng):
            wanted = int(gates.logistic16(np.array(raw), 3))
            bits = () if reads else (3,)
            arguments = (*front, raw, *bits)
            call = MicroCall(call_gates(reads), arguments, needs, behind="_logistic", result=wanted)
            yield name_call(call, raw)
        for raw in draw_codes(rng):
            bits = int(rng.integers(FINEST_CELL_BITS, 7))
            wanted = int(gates.tanh16(np.array(raw), bits))
            arguments = (*front, raw, 1 << (bits - FINEST_CELL_BITS) if reads else bits)
            call = MicroCall(call_gates(reads), arguments, needs, behind="_tanh", result=wanted)
            yield name_call(call, raw, bits)


def draw_codes(rng: np.random.Generator) -> list[int]:
    """Some int16, the extremes among them."""
    return [*_EDGES, *map(int, rng.integers(-(2**15), 2**15, _DRAWN))]


CHECKS: dict[str, tuple[Check, ...]] = {"armv7em": (list_limits, list_curves, list_gates)}
