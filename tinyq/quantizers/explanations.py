"""What is told of a method: its parts, its phases and its curve, from a table of all of them.

The table is written by `python -m tinyq.quantizers.curves` and read here without Keras.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from tinyq.quantizers.method import Role

TABLE = Path(__file__).with_name("explanations.json")
SAMPLES = 801
_TOLERANCE = 1e-4  # of the range of a curve
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantizer on sorted values.

    Attributes:
        x: Real values, float32, shape (n,).
        y: What the device computes with, the same shape.
        slope: Derivative of the training's value by x, the same shape.
    """

    x: np.ndarray
    y: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is told of a method in one role.

    Attributes:
        parts: What it is made of, by the names of functions and classes.
        phases: How training goes, a line each.
        curve: Its levels and its slope.
    """

    parts: Mapping[str, str]
    phases: tuple[str, ...]
    curve: Curve


@functools.cache
def spread_samples() -> np.ndarray:
    """Ascending values that are distributed normally with deviation 1, float32."""
    normal = NormalDist()
    values = [normal.inv_cdf((place + 0.5) / SAMPLES) for place in range(SAMPLES)]
    return np.array(values, np.float32)


def find_explanation(name: str, role: Role) -> Explanation | None:
    """What the table tells of a method, or None where it has no such name.

    Args:
        name: Name that a recipe may say.
        role: ``weights`` or ``activations``.
    """
    row = load_table().get(role, {}).get(name)
    if row is None:
        return None
    x = spread_samples()
    y, slope = (np.interp(np.arange(SAMPLES), *row[key]) for key in ("y", "slope"))
    return Explanation(row["parts"], tuple(row["phases"]), Curve(x, y, slope))


@functools.cache
def load_table() -> Mapping[str, Mapping[str, Any]]:
    """The table by role and name; empty where there is none."""
    if not TABLE.is_file():
        return {}
    table: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
    return table


def write_explanations(found: Mapping[tuple[str, Role], Explanation]) -> None:
    """Write the table."""
    lines: list[str] = []
    for role in dict.fromkeys(role for _, role in found):
        rows = sorted(name for name, kind in found if kind == role)
        told = [f"  {json.dumps(name)}: {_dump(found[name, role])}" for name in rows]
        lines.append(f" {json.dumps(role)}: {{\n" + ",\n".join(told) + "\n }")
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def _dump(told: Explanation) -> str:
    return json.dumps(
        {
            "parts": dict(told.parts),
            "phases": list(told.phases),
            "y": _thin(told.curve.y),
            "slope": _thin(told.curve.slope),
        }
    )


def _thin(values: np.ndarray) -> list[list[Any]]:
    """Places and values between which a curve is as good as straight."""
    values = values.astype(np.float64)
    tolerance = _TOLERANCE * max(float(np.ptp(values)), 1e-30)
    kept, open_parts = {0, len(values) - 1}, [(0, len(values) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        places = np.arange(first, last + 1)
        line = np.interp(places, [first, last], [values[first], values[last]])
        far = np.abs(values[first : last + 1] - line)
        if far.max() > tolerance:
            middle = first + int(far.argmax())
            kept.add(middle)
            open_parts += [(first, middle), (middle, last)]
    places_kept = sorted(kept)
    return [places_kept, [float(f"{values[at]:.{_DIGITS}g}") for at in places_kept]]
