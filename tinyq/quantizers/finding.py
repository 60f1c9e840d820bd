"""Names of methods: what recipes say, found among the literature's and the user's own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from tinyq.errors import TinyqError
from tinyq.quantizers.catalogue import load_classes
from tinyq.quantizers.combinations import ActivationParts
from tinyq.quantizers.fixed_point import read_fixed_point
from tinyq.quantizers.method import ROLES, Entry, Method, Role, from_name
from tinyq.quantizers.weights import WeightParts

_CALL = re.compile(r"(?P<name>\w+)\((?P<options>[^()]{0,200})\)")


@dataclass(frozen=True)
class Preset:
    """A way to quantize, by the name that recipes use.

    Attributes:
        name: Key in ``METHODS``, or a name with options.
        entry: Row of the catalogue that it belongs to.
        make_weights: Makes the parts for weights, None where there are none.
        make_activations: Makes the parts for activations, None where there are none.
    """

    name: str
    entry: Entry
    make_weights: Callable[[], WeightParts | None] = lambda: None
    make_activations: Callable[[], ActivationParts | None] = lambda: None

    @cached_property
    def weights(self) -> WeightParts | None:
        """Parts for weights, or None where the method is for activations alone."""
        return self.make_weights()

    @cached_property
    def activations(self) -> ActivationParts | None:
        """Parts for activations, or None where it is for weights alone."""
        return self.make_activations()

    @property
    def meaning(self) -> str:
        """One line for people."""
        return self.entry.summary

    @property
    def reference(self) -> str:
        """Paper."""
        return self.entry.reference


def _make_preset(method: Method, name: str) -> Preset:
    """A method under a name of its row, with the roles that the row gives to the name."""
    entry, made = method.entry, Preset(name, method.entry)
    roles = [role for role in ROLES if name in getattr(entry, role)]
    return Preset(
        name,
        entry,
        method.weights if "weights" in roles else made.make_weights,
        method.activations if "activations" in roles else made.make_activations,
    )


def _collect() -> dict[str, Preset]:
    """One preset per name that a row with a class lists.

    Raises:
        TinyqError: Two rows have methods of one name.
    """
    found: dict[str, Preset] = {}
    for cls in load_classes().values():
        for name in cls.entry.names:
            if name in found:
                raise TinyqError(f"two methods have the name {name!r}", where=cls.entry.id)
            found[name] = _make_preset(from_name(cls, name), name)
    return found


METHODS: Mapping[str, Preset] = MappingProxyType(_collect())
OWN: dict[tuple[str, Role], Preset] = {}
"""Methods that users registered, by name and role: see tinyq.quantizers.registration."""


def names(role: Role) -> tuple[str, ...]:
    """Names of the methods for ``weights`` or ``activations``."""
    listed = (name for name, method in METHODS.items() if name in getattr(method.entry, role))
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


def find_method(name: str, role: Role, options: Mapping[str, Any] | None = None) -> Preset:
    """The method called ``name``.

    Args:
        name: Key in ``METHODS``, an id of the catalogue, either with options as in
            ``ttq(threshold=0.2)``, a name that a user registered, or that of a fixed-point grid.
        role: ``weights`` or ``activations``.
        options: Further options.

    Raises:
        TinyqError: There is no such method, not for this role, or not with these options.
    """
    match = _CALL.fullmatch(str(name))
    if match is not None:
        return find_method(match["name"], role, {**_read_options(name, match["options"])})
    found = None if options else _find_plain(name, role)
    if found is None:
        found = _find_with_options(name, role, options or {})
    return found


def _find_plain(name: str, role: Role) -> Preset | None:
    """A method without options by its name."""
    if (name, role) in OWN:
        return OWN[name, role]
    fixed = _find_fixed_point(name, role)
    if fixed is not None:
        return fixed
    return METHODS[name] if name in names(role) else None


def _find_with_options(name: str, role: Role, options: Mapping[str, Any]) -> Preset:
    """A method whose options are said."""
    cls = _find_class(name)
    if cls is None or not getattr(cls.entry, role):
        raise _no_method(name, role)
    method = from_name(cls, name, **options)
    make = getattr(method, role)
    if make() is None:
        raise TinyqError(
            f"the method {method} is not for {role}",
            where=cls.entry.id,
            remedy=f"take one of its names for {role}: {', '.join(getattr(cls.entry, role))}",
        )
    known = METHODS.get(method.name_for(role))
    return known or Preset(str(method), cls.entry, **{f"make_{role}": make})


def _find_class(name: str) -> type[Method] | None:
    """The class of the row with this id, or that has this name."""
    classes = load_classes()
    if name in METHODS:
        return classes[METHODS[name].entry.id]
    return classes.get(name)


def _read_options(name: str, text: str) -> dict[str, str]:
    """Options of a call such as ``ttq(threshold=0.2)``, as texts."""
    found: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or key in found:
            raise TinyqError(
                f"cannot read the option {part!r}",
                where=name,
                remedy="write each option once, as in ttq(threshold=0.2)",
            )
        found[key] = value
    return found


def _no_method(name: str, role: Role) -> TinyqError:
    choices = names(role)
    near = difflib.get_close_matches(str(name), choices, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return TinyqError(
        f"there is no method {name!r} for {role}",
        remedy=f"{hint}load a method of your own first: `tinyq --methods FILE.py` or "
        f"tinyq.load_methods('FILE.py'); methods for {role}: {', '.join(choices)}",
    )


def _find_fixed_point(name: str, role: Role) -> Preset | None:
    """The method of a fixed-point grid by its name, where the role can have it."""
    grid = read_fixed_point(str(name))
    if grid is None:
        return None
    if role == "weights":
        fits = grid.fits_weights
        return Preset(name, grid.entry(), make_weights=grid.weights) if fits else None
    fits = grid.fits_activations
    return Preset(name, grid.entry(), make_activations=grid.activations) if fits else None
