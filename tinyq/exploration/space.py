"""What is searched: the methods that each layer may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tinyq.errors import RecipeError, TinyqError
from tinyq.exploration.forms import PLAIN, Form
from tinyq.quantizers.method import ROLES, Role
from tinyq.quantizers.registration import find_or_load
from tinyq.training.recipe import read_yaml_file

FIRST, LAST, EVERY = "first", "last", "*"
_KEYS = ("layers",)
_FORM = (
    "write `layers:` with a list of methods for each pattern, such as "
    "`'*': [int8, {weights: int4, activations: int8}]`"
)
_FORMS = ("keep", "groups")


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Methods of a layer: of its weights, and of its input; and its form.

    Attributes:
        weights: Name of a method for weights.
        activations: Name of a method for activations.
        form: Channels and groups.
    """

    weights: str
    activations: str
    form: Form = PLAIN

    @property
    def label(self) -> str:
        """Both names, as tables show them, and what of the form is not the float model's."""
        same = self.weights == self.activations
        names = self.weights if same else f"{self.weights}/{self.activations}"
        return names + self.form.label

    def to_rule(self) -> dict[str, str]:
        """As a recipe says it."""
        return {"weights": self.weights, "activations": self.activations}


Assignment = tuple[int, ...]
"""Which of its pairs each layer has, in the order of the space."""


@dataclass(frozen=True, slots=True)
class Space:
    """The pairs that each layer with weights may have, the first one the most exact.

    Attributes:
        layers: Names of the layers with weights, from input to output, with their pairs.
    """

    layers: Mapping[str, tuple[Pair, ...]]

    @property
    def size(self) -> int:
        """Number of assignments."""
        total = 1
        for pairs in self.layers.values():
            total *= len(pairs)
        return total

    @property
    def base(self) -> Assignment:
        """Every layer's first pair."""
        return (0,) * len(self.layers)

    def pairs(self, assignment: Assignment) -> dict[str, Pair]:
        """The pair of each layer."""
        return {
            name: pairs[index]
            for (name, pairs), index in zip(self.layers.items(), assignment, strict=True)
        }

    def forms(self, assignment: Assignment) -> dict[str, Form]:
        """The layers that have another form than in the float model."""
        pairs = self.pairs(assignment)
        return {name: pair.form for name, pair in pairs.items() if pair.form != PLAIN}

    def deviations(self) -> list[tuple[int, int, Assignment]]:
        """Layer, pair and assignment of everything that differs from the base in one layer."""
        base = self.base
        return [
            (layer, index, (*base[:layer], index, *base[layer + 1 :]))
            for layer, pairs in enumerate(self.layers.values())
            for index in range(1, len(pairs))
        ]

    def without(self, layer: int, index: int) -> Space:
        """The space without a pair that turned out not to be possible."""
        name = list(self.layers)[layer]
        left = tuple(it for place, it in enumerate(self.layers[name]) if place != index)
        return Space({**self.layers, name: left})

    def to_recipe(self, assignment: Assignment, input_range: Sequence[float] | None) -> Any:
        """The recipe of an assignment, as a dict that `yaml.safe_dump` writes."""
        pairs = self.pairs(assignment)
        rules = {name: pair.to_rule() for name, pair in pairs.items()}
        recipe: dict[str, Any] = {"weights": "int8", "activations": "int8", "layers": rules}
        if input_range is not None:
            recipe["input"] = {"range": [float(end) for end in input_range]}
        return recipe

    def to_json(self) -> dict[str, list[str]]:
        """Labels of all pairs, by layer."""
        return {name: [pair.label for pair in pairs] for name, pairs in self.layers.items()}


def default_space(names: Sequence[str], formats: Mapping[str, Sequence[str]]) -> Space:
    """The space for a search without a file.

    Inner layers have weights of 8 and 4 bits and ternary ones; the first and the last layer, which
    take most harm, 8 and 4 bits.

    Args:
        names: Layers with weights, from input to output.
        formats: Methods of activations that each layer's input can have.
    """
    ends = {names[0], names[-1]} if names else set()
    return Space(
        {
            name: tuple(
                Pair(weights, activations)
                for activations in formats[name]
                for weights in (("int8", "int4") if name in ends else ("int8", "int4", "ternary"))
            )
            for name in names
        }
    )


def read_space(source: Mapping[str, Any] | str | Path, names: Sequence[str]) -> Space:
    """A space from a dict or a YAML file.

    ``layers`` maps patterns (names with the wildcards of fnmatch, ``first``, ``last``) to lists of
    pairs; a later pattern replaces an earlier one's list, ``first`` and ``last`` come after ``*``.
    A pair may say ``keep``, a share of its layer's channels, and ``groups`` of a convolution.

    Args:
        source: Mapping, or path of a YAML file.
        names: Layers with weights, from input to output.

    Raises:
        RecipeError: Something in it is wrong; the message says what and where.
    """
    where, folder = "space", Path()
    if isinstance(source, str | Path):
        where, folder, source = str(source), Path(source).parent, _read(Path(source))
    if not isinstance(source, Mapping) or set(source) != set(_KEYS):
        raise RecipeError("is no search space", where=where, remedy=_FORM)
    patterns = source["layers"]
    if not isinstance(patterns, Mapping) or not patterns:
        raise RecipeError("names no layers", where=where, remedy=_FORM)
    lists = {
        str(pattern): _read_pairs(values, f"{where}, layers.{pattern}", folder)
        for pattern, values in patterns.items()
    }
    found: dict[str, tuple[Pair, ...]] = {}
    for pattern in sorted(lists, key=lambda it: it != EVERY):
        matches = _match(pattern, names)
        if not matches:
            near = ", ".join(names[:8])
            raise RecipeError(
                f"pattern {pattern!r} matches no layer with weights",
                where=where,
                remedy=f"name one of {near}",
            )
        found.update(dict.fromkeys(matches, lists[pattern]))
    return Space({name: found.get(name, (Pair("int8", "int8"),)) for name in names})


def _match(pattern: str, names: Sequence[str]) -> list[str]:
    ends = {FIRST: names[:1], LAST: names[-1:]}
    if pattern in ends and pattern not in names:
        return list(ends[pattern])
    return [name for name in names if fnmatchcase(name, pattern)]


def _read_pairs(values: Any, where: str, folder: Path) -> tuple[Pair, ...]:
    if not isinstance(values, Iterable) or isinstance(values, str | Mapping):
        raise RecipeError("is no list of methods", where=where, remedy=_FORM)
    pairs = tuple(dict.fromkeys(_read_pair(value, where, folder) for value in values))
    if not pairs:
        raise RecipeError("lists no method", where=where, remedy=_FORM)
    return pairs


def _read_pair(value: Any, where: str, folder: Path) -> Pair:
    both = {"weights": value, "activations": value} if isinstance(value, str) else value
    if not isinstance(both, Mapping) or not set(ROLES) <= set(both) <= {*ROLES, *_FORMS}:
        raise RecipeError(f"{value!r} is no pair of methods", where=where, remedy=_FORM)
    names: dict[Role, str] = {}
    for role in ROLES:
        name = both[role]
        if not isinstance(name, str):
            raise RecipeError(f"{name!r} is no method's name", where=where, remedy=_FORM)
        try:
            names[role] = find_or_load(name, role, folder, {}).name
        except TinyqError as error:
            raise RecipeError(error.message, where=where, remedy=error.remedy) from None
    return Pair(names["weights"], names["activations"], _read_form(both, where))


def _read_form(pair: Mapping[str, Any], where: str) -> Form:
    """The form of a pair, whose numbers are checked."""
    keep, groups = pair.get("keep", 1.0), pair.get("groups", 1)
    numbers = all(isinstance(it, int | float) and not isinstance(it, bool) for it in (keep, groups))
    if not numbers or not 0.0 < keep <= 1.0 or groups < 1 or groups != int(groups):
        raise RecipeError(
            f"keep {keep!r} and groups {groups!r} are no form of a layer",
            where=where,
            remedy="give a share of the channels between 0 and 1, and a whole number of groups",
        )
    return Form(float(keep), int(groups))


def _read(path: Path) -> Any:
    if not path.exists():
        raise RecipeError("there is no such file", where=str(path), remedy=_FORM)
    return read_yaml_file(path, "search space")
