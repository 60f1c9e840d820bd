"""Recipes: which method each layer uses, as a dict or a YAML file."""

from __future__ import annotations

import difflib
import math
from collections.abc import Container, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from tinyq.errors import RecipeError, TinyqError, YamlError
from tinyq.quantizers.backward import GRADIENTS
from tinyq.quantizers.method import Method, Role
from tinyq.quantizers.registration import find_or_load
from tinyq.support import limits
from tinyq.support.plain_yaml import read_yaml
from tinyq.training.phases import LossTerm, Phase


def _known(role: Role) -> BeforeValidator:
    """Check a method's name, or ``{method: ttq, threshold: 0.2}``; the name holds the options."""

    def check(value: Any, info: ValidationInfo) -> Any:
        folder = (info.context or {}).get("folder", Path())
        value = str(value) if isinstance(value, Method) else value
        name, options = value, {}
        if isinstance(value, Mapping):
            options = {str(key): option for key, option in value.items() if key != "method"}
            name = value.get("method")
        if not isinstance(name, str):
            return name  # pydantic's own message
        try:
            return find_or_load(name, role, folder, options).name
        except TinyqError as error:
            raise ValueError(error) from None  # so that pydantic adds the key

    return BeforeValidator(check)


def _known_gradient(name: str) -> str:
    if name not in GRADIENTS:
        cause = TinyqError(
            f"there is no method {name!r} for gradients",
            remedy=f"take one of the methods for gradients: {', '.join(GRADIENTS)}",
        )
        raise ValueError(cause)
    return name


def _known_pattern(pattern: str) -> str:
    if "[" in pattern and "]" not in pattern.partition("[")[2]:
        raise ValueError(f"pattern {pattern!r} opens a bracket that it does not close")
    return pattern


Weights = Annotated[str, _known("weights")]
Activations = Annotated[str, _known("activations")]
Pattern = Annotated[str, AfterValidator(_known_pattern)]
Gradients = Annotated[str, AfterValidator(_known_gradient)]


class Rule(BaseModel):
    """Methods for some layers; what is left out stays as it was.

    Attributes:
        weights: Method of the weights.
        activations: Method of the layer's input.
        gradients: Method of the gradient that comes back to the layer's sums in training.
        weight_decay: Whether the float layer's kernel regularizer stays; None leaves it open.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: Weights | None = None
    activations: Activations | None = None
    gradients: Gradients | None = None
    weight_decay: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """A bare name, or a method with its options, stands for both."""
        both = isinstance(value, str | Method) or isinstance(value, Mapping) and "method" in value
        return {"weights": value, "activations": value} if both else value


class InputRule(BaseModel):
    """How the model's input is quantized.

    Attributes:
        range: Smallest and largest real input; observed in training where left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> InputRule:
        if self.range is not None and not all(math.isfinite(end) for end in self.range):
            raise ValueError(f"range {list(self.range)} has no end")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range {list(self.range)} is empty")
        return self


class Recipe(BaseModel):
    """Which method each layer uses.

    A method is a name, or a mapping with its options: ``{method: ttq, threshold: 0.2}``.
    A later rule overrides an earlier one: default, then ``first`` and ``last`` (of the layers with
    weights), then the patterns of ``layers`` in their order.

    Attributes:
        weights: Default method of weights.
        activations: Default method of the inputs of layers with weights.
        gradients: Default method of the gradients of all layers with weights but the last one;
            gradients stay in floating point where left out.
        weight_decay: Whether kernel regularizers stay on kernels of fewer than 8 bits.
        first: Rule for the first layer with weights; a bare name stands for both keys.
        last: Rule for the last layer with weights.
        layers: Rules by layer name, with the wildcards of fnmatch.
        input: How the model's input is quantized.
        phases: How `tinyq train` trains, one phase after the other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: Weights = "int8"
    activations: Activations = "int8"
    gradients: Gradients | None = None
    weight_decay: bool = False
    first: Rule | None = Rule(weights="int8", activations="int8")
    last: Rule | None = Rule(weights="int8", activations="int8")
    layers: dict[Pattern, Rule] = Field(default_factory=dict)
    input: InputRule = InputRule()
    phases: tuple[Phase, ...] = ()


def read_recipe(source: Recipe | Mapping[str, Any] | str | Path) -> Recipe:
    """A validated recipe.

    Args:
        source: A recipe, its dict, or the path of a YAML file. A method of a user's own may be
            called ``FILE.py:NAME``; the file is run, and a relative path begins at the YAML file.

    Raises:
        RecipeError: A key or a value is wrong; the message names it and what is near.
    """
    if isinstance(source, Recipe):
        return source
    where, folder = "recipe", Path()
    if isinstance(source, str | Path):
        where, folder, source = str(source), Path(source).parent, _read_yaml(Path(source))
    if not isinstance(source, Mapping):
        raise RecipeError(
            f"a recipe is a mapping, this is {type(source).__name__}",
            where=where,
            remedy="write `weights: int8` and `activations: int8`",
        )
    try:
        return Recipe.model_validate(dict(source), context={"folder": folder})
    except ValidationError as error:
        raise _explain(error, where) from None


def resolve(
    recipe: Recipe,
    weighted: Iterable[str],
    others: Iterable[str],
    first: Container[str] | None = None,
    last: Container[str] | None = None,
) -> dict[str, Rule]:
    """The rule of each layer.

    Args:
        recipe: A recipe.
        weighted: Names of the layers with weights, from input to output.
        others: Names of the other layers that can have a rule.
        first: Those of ``weighted`` that ``first`` of the recipe is for; the first where None.
        last: Those that ``last`` is for; the last where None.

    Returns:
        A rule per layer; those with weights have both methods, others at most ``activations``.

    Raises:
        RecipeError: A pattern matches no layer, or names weights of a layer without.
    """
    names, free = tuple(weighted), tuple(others)
    default = Rule(
        weights=recipe.weights,
        activations=recipe.activations,
        weight_decay=recipe.weight_decay or None,
    )
    inner = default.model_copy(update={"gradients": recipe.gradients})
    starts = [name for name in names if name in (names[:1] if first is None else first)]
    ends = [name for name in names if name in (names[-1:] if last is None else last)]
    rules = {name: default if name in ends else inner for name in names}
    rules |= {name: Rule() for name in free}
    for chosen, rule in ((starts, recipe.first), (ends, recipe.last)):
        if rule is not None:
            rules |= {name: _override(rules[name], rule) for name in chosen}
    for pattern, rule in recipe.layers.items():
        matches = [name for name in rules if fnmatchcase(name, pattern)]
        if not matches:
            raise _no_match(pattern, tuple(rules))
        for name in matches:
            key = "weights" if rule.weights is not None else "gradients"
            if name in free and getattr(rule, key) is not None and pattern == name:
                raise RecipeError(
                    "the layer has no weights",
                    where=f"layers.{pattern}.{key}",
                    remedy="name only `activations` for it",
                )
            rules[name] = _override(rules[name], rule)
    return rules


def _override(base: Rule, rule: Rule) -> Rule:
    return base.model_copy(update=rule.model_dump(exclude_none=True))


def _no_match(pattern: str, names: tuple[str, ...]) -> RecipeError:
    near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.4) or list(names[:8])
    return RecipeError(
        f"pattern {pattern!r} matches no layer",
        where=f"layers.{pattern}",
        remedy=f"correct the name; near it come {', '.join(near)}",
    )


def _read_yaml(path: Path) -> Any:
    if not path.exists():
        raise RecipeError(
            "there is no such recipe file", where=str(path), remedy="give a dict or a YAML file"
        )
    return read_yaml_file(path, "recipe")


def read_yaml_file(path: Path, kind: str) -> Any:
    """What a YAML file of a user's says, that is there.

    Args:
        path: The file.
        kind: What it is, for messages.

    Raises:
        RecipeError: It is too large, no UTF-8 or no YAML.
    """
    with limits.reading(path, kind, RecipeError, "write it as UTF-8"):
        text = limits.read_file(path, limits.TEXT_BYTES).decode("utf-8")
        try:
            return read_yaml(text)
        except YamlError as error:
            where = f"{path}:{error.line}" if error.line else str(path)
            raise RecipeError(error.message, where=where, remedy=error.remedy) from None


def _model_at(place: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that a wrong key was given to."""
    if place[0] in ("layers", "first", "last") and len(place) > 1:
        return Rule
    if place[0] == "phases" and len(place) > 2:
        return LossTerm if "losses" in place[2:-1] else Phase
    return InputRule if place[0] == "input" and len(place) > 1 else Recipe


def _explain(error: ValidationError, where: str) -> RecipeError:
    """One message for the first fault that pydantic found."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        fields = tuple(_model_at(fault["loc"]).model_fields)
        near = difflib.get_close_matches(str(fault["loc"][-1]), fields, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return RecipeError(
            f"there is no key {key!r}", where=where, remedy=f"{hint}keys: {', '.join(fields)}"
        )
    cause = getattr(fault.get("ctx", {}).get("error"), "args", (None,))[0]
    if isinstance(cause, TinyqError):
        place = f"{where}, {cause.where}" if cause.where else where
        return RecipeError(f"{key}: {cause.message}", where=place, remedy=cause.remedy)
    message = fault["msg"].removeprefix("Value error, ")
    return RecipeError(f"{key}: {message}", where=where, remedy="correct the value")
