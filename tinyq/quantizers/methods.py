"""Methods: named combinations of parts, for weights, activations, or both."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tinyq.errors import TinyqError
from tinyq.quantizers.activation_presets import ACTIVATIONS, ActivationParts
from tinyq.quantizers.fixed_point import read_fixed_point
from tinyq.quantizers.weight_presets import WEIGHTS
from tinyq.quantizers.weights import WeightParts
from tinyq.support.catalogue import Entry, load_catalogue

Role = Literal["weights", "activations"]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to quantize, by the name that recipes use.

    Attributes:
        name: Key in ``METHODS``.
        entry: Row of the catalogue that it belongs to.
        weights: Parts for weights, or None where the method is for activations alone.
        activations: Parts for activations, or None where it is for weights alone.
    """

    name: str
    entry: Entry
    weights: WeightParts | None = None
    activations: ActivationParts | None = None

    @property
    def meaning(self) -> str:
        """One line for people."""
        return self.entry.summary

    @property
    def reference(self) -> str:
        """Paper."""
        return self.entry.reference


def _collect() -> dict[str, Method]:
    """One method per name that a row of the catalogue lists."""
    found: dict[str, Method] = {}
    for entry in load_catalogue().values():
        for name in dict.fromkeys((*entry.weights, *entry.activations)):
            found.setdefault(name, Method(name, entry, WEIGHTS.get(name), ACTIVATIONS.get(name)))
    return found


METHODS: Mapping[str, Method] = MappingProxyType(_collect())
OWN: dict[tuple[str, Role], Method] = {}
"""Methods that users registered, by name and role: see tinyq.quantizers.registration."""


def names(role: Role) -> tuple[str, ...]:
    """Names of the methods for ``weights`` or ``activations``."""
    listed = (name for name, method in METHODS.items() if getattr(method, role) is not None)
    return (*listed, *(name for name, kind in OWN if kind == role))


def find_weights(name: str) -> WeightParts:
    """Parts of the method called ``name`` for weights.

    Raises:
        TinyqError: There is no such method for weights.
    """
    parts = find_method(name, "weights").weights
    assert parts is not None
    return parts


def find_activations(name: str) -> ActivationParts:
    """Parts of the method called ``name`` for activations.

    Raises:
        TinyqError: There is no such method for activations.
    """
    parts = find_method(name, "activations").activations
    assert parts is not None
    return parts


def find_method(name: str, role: Role) -> Method:
    """The method called ``name``.

    Args:
        name: Key in ``METHODS``, a name that a user registered, or that of a fixed-point grid.
        role: ``weights`` or ``activations``.

    Raises:
        TinyqError: There is no such method, or not for this role.
    """
    if (name, role) in OWN:
        return OWN[name, role]
    fixed = _find_fixed_point(name, role)
    if fixed is not None:
        return fixed
    choices = names(role)
    if name in choices:
        return METHODS[name]
    near = difflib.get_close_matches(str(name), choices, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise TinyqError(
        f"there is no method {name!r} for {role}",
        remedy=f"{hint}load a method of your own first: `tinyq --methods FILE.py` or "
        f"tinyq.load_methods('FILE.py'); methods for {role}: {', '.join(choices)}",
    )


def _find_fixed_point(name: str, role: Role) -> Method | None:
    """The method of a fixed-point grid by its name, where the role can have it."""
    grid = read_fixed_point(str(name))
    if grid is None:
        return None
    if role == "weights":
        return Method(name, grid.entry(), weights=grid.weights()) if grid.fits_weights else None
    if not grid.fits_activations:
        return None
    return Method(name, grid.entry(), activations=grid.activations())
