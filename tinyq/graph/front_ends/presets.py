"""Front ends by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tinyq.errors import TinyqError
from tinyq.graph.front_ends.base import FrontEnd
from tinyq.graph.front_ends.cepstral import CepstralFrontEnd
from tinyq.graph.front_ends.energy import EnergyFrontEnd
from tinyq.graph.front_ends.statistics import StatisticsFrontEnd

PRESETS: Mapping[str, FrontEnd] = MappingProxyType(
    {
        "micro": EnergyFrontEnd(),
        "signal": EnergyFrontEnd(hop_ms=20.0, operators=True),
        "log_mel": CepstralFrontEnd(),
        "mfcc": CepstralFrontEnd(
            filters=20,
            lowest_hz=64.0,
            hamming=True,
            slaney=False,
            magnitude=True,
            coefficients=13,
            floor=1e-6,
            log_scale=512,
        ),
        "statistics": StatisticsFrontEnd(),
    }
)


def make_front_end(preset: str, **settings: Any) -> FrontEnd:
    """A preset with other settings.

    Args:
        preset: Key of `PRESETS`.
        settings: Fields of its class.

    Raises:
        TinyqError: There is no such preset or setting, or a value does not fit.
    """
    if preset not in PRESETS:
        raise TinyqError(
            f"there is no front end {preset!r}", remedy=f"use one of {', '.join(PRESETS)}"
        )
    known = PRESETS[preset]
    fields = {field.name: getattr(known, field.name) for field in dataclasses.fields(known)}
    for name, value in settings.items():
        if name not in fields:
            raise TinyqError(
                f"front end {preset!r} has no setting {name!r}",
                remedy=f"use one of {', '.join(fields)}",
            )
        if not _fits(value, fields[name]):
            raise TinyqError(
                f"{name} is {value!r}", where=preset, remedy=f"give a value like {fields[name]!r}"
            )
    return dataclasses.replace(known, **settings)


def _fits(value: Any, known: Any) -> bool:
    """Whether a value is of the kind of a known one; a whole number is a number too."""
    if isinstance(known, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(known, bool)
    return isinstance(value, (int, float) if isinstance(known, float) else type(known))
