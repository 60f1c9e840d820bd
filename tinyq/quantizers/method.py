"""A method: its row in the catalogue, and a frozen dataclass of its options.

Nothing here needs Keras, so that methods are listed and explained at once.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tinyq.errors import TinyqError

if TYPE_CHECKING:
    from tinyq.quantizers.combinations import ActivationParts
    from tinyq.quantizers.weights import WeightParts

Role = Literal["weights", "activations"]
ROLES: tuple[Role, ...] = ("weights", "activations")
_OPTION = "option"


@dataclass(frozen=True, slots=True)
class Entry:
    """One method of the literature.

    Attributes:
        id: Name in the catalogue.
        title: Name for people.
        year: Year of the paper.
        reference: Authors and title of the paper.
        wave: Place in the order of building, A to E; "-" for tinyq's own combinations and whatever
            the survey does not list.
        summary: One line for people.
        link: DOI or arXiv number of the paper, or an empty text.
        formulas: Formulas, one per line.
        weights: Its methods for weights by the names that recipes use, with their formats.
        activations: The same for activations.
        layers: Keras layers that are its method, with the formats of their output.
        options: Options by the names that recipes use, where they are not the defaults.
        recipes: Whole recipes with their phases, of a method that is a way to train, by name.
        calibrations: Options of `tinyq quantize`, of a method that trains nothing, by name.
        searches: Options of `tinyq search`, of a method that chooses others for each layer, by
            name.
        functions: Functions of Python that belong to it, with what they do.
        leaves_out: What of the paper these methods lack, or an empty text.
        missing: Why there is no method yet, or an empty text.
    """

    id: str
    title: str
    year: int
    reference: str
    wave: str
    summary: str
    link: str = ""
    formulas: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    activations: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calibrations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    searches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    leaves_out: str = ""
    missing: str = ""

    @property
    def trains(self) -> bool:
        """Whether a model can have it; what trains is exported, too."""
        ways = (self.weights, self.activations, self.layers)
        return any((*ways, self.recipes, self.calibrations, self.searches, self.functions))

    @property
    def names(self) -> tuple[str, ...]:
        """All names that recipes use."""
        return tuple(dict.fromkeys((*self.weights, *self.activations)))


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of an option.

    Attributes:
        meaning: One line for people.
        source: Where the default comes from, or an empty text.
        choices: Values that it may have; any where there are none.
        low: Smallest value.
        high: Largest value.
        open: Whether the ends themselves are excluded.
    """

    meaning: str
    source: str = ""
    choices: tuple[Any, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    @property
    def range(self) -> str:
        """Values that it may have, for people."""
        if self.choices:
            return " or ".join(str(choice) for choice in self.choices)
        if (self.low, self.high) == (-math.inf, math.inf):
            return ""
        ends = "between {} and {}, both excluded" if self.open else "{} .. {}"
        return ends.format(f"{self.low:g}", f"{self.high:g}")

    def admits(self, value: Any) -> bool:
        """Whether a value of the right type may be."""
        if self.choices:
            return value in self.choices
        if not isinstance(value, int | float):
            return True
        inside = self.low < value < self.high if self.open else self.low <= value <= self.high
        return inside and math.isfinite(value)


def option(default: Any, meaning: str, **facts: Any) -> Any:
    """A field of a method.

    Args:
        default: What it is where a recipe says nothing.
        meaning: One line for people.
        facts: The other attributes of ``Option``.
    """
    return field(default=default, metadata={_OPTION: Option(meaning, **facts)})


@dataclass(frozen=True)
class Method:
    """Base of methods; a method overrides what it is for.

    Attributes:
        entry: Its row.
    """

    entry: ClassVar[Entry]

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            TinyqError: An option has a wrong type or value.
        """
        for one in fields(self):
            value = convert(one, getattr(self, one.name), self.entry.id)
            object.__setattr__(self, one.name, value)

    def weights(self) -> WeightParts | None:
        """Parts for weights, or None where these options have none."""
        return None

    def activations(self) -> ActivationParts | None:
        """Parts for activations, or None where these options have none."""
        return None

    @property
    def changed(self) -> dict[str, Any]:
        """Options that are not the defaults."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {key: value for key, value in values.items() if value != defaults(self)[key]}

    def __str__(self) -> str:
        """Its name with its options, as recipes may say it: ``ttq(threshold=0.2)``."""
        said = ", ".join(f"{key}={value}" for key, value in self.changed.items())
        return f"{self.entry.id}({said})" if said else self.entry.id

    def name_for(self, role: Role) -> str:
        """The shortest name of these options in a recipe.

        Args:
            role: ``weights`` or ``activations``.
        """
        for name in getattr(self.entry, role):
            if self == from_name(type(self), name):
                return str(name)
        return str(self)


def defaults(method: Method | type[Method]) -> dict[str, Any]:
    """Default of each option."""
    return {one.name: one.default for one in fields(method)}


def list_options(method: type[Method]) -> dict[str, Option]:
    """The options of a method by name."""
    return {one.name: one.metadata[_OPTION] for one in fields(method)}


def from_name(cls: type[Method], name: str, **options: Any) -> Method:
    """The method that a name of its row stands for.

    Args:
        cls: Class of the method.
        name: Its id, or a name of a recipe.
        options: Further options.

    Raises:
        TinyqError: There is no such option, or it has a wrong value.
    """
    known = list_options(cls)
    for key in options:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            listed = ", ".join(known) or "none"
            raise TinyqError(
                f"the method has no option {key!r}",
                where=cls.entry.id,
                remedy=f"{hint}its options: {listed}",
            )
    return cls(**{**cls.entry.options.get(name, {}), **options})


def convert(one: Field[Any], value: Any, where: str) -> Any:
    """A value of an option, in the type of its default; texts are read.

    Raises:
        TinyqError: It has another type, or is out of range.
    """
    assert one.default is not MISSING
    found = _read(value, type(one.default)) if isinstance(value, str) else value
    if isinstance(found, int) and not isinstance(found, bool) and isinstance(one.default, float):
        found = float(found)
    facts: Option = one.metadata[_OPTION]
    if type(found) is not type(one.default) or not facts.admits(found):
        kind = type(one.default).__name__
        raise TinyqError(
            f"option {one.name!r} cannot be {value!r}",
            where=where,
            remedy=f"give {facts.range or f'a value of type {kind}'}: {facts.meaning}",
        )
    return found


def _read(text: str, kind: type) -> Any:
    """A text as a value of a type, or the text where it is none."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text
