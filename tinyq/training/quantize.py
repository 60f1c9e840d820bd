"""From a float model and a recipe to a model of quantized layers with the same weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from tinyq.training.assembly import Assembled, assemble
from tinyq.training.finite import require_finite
from tinyq.training.patterns import Unit, find_units
from tinyq.training.recipe import Recipe, Rule, read_recipe, resolve
from tinyq.training.rewriting import rewrite
from tinyq.training.tracing import names_of
from tinyq.training.unrolling import unroll
from tinyq.training.weighted import has_few_bits


def quantize(model: keras.Model, recipe: Recipe | Mapping[str, Any] | str | Path) -> keras.Model:
    """A model of quantized layers with the float model's weights.

    It trains with plain ``compile`` and ``fit``, and saves and loads as ``.keras``. In training it
    simulates; ``evaluate`` and ``predict`` compute the integers of the deployed code.

    A layer's ``activations`` method is the format of its input. Layers keep their names;
    BatchNormalization and ReLU become part of the layer before them; layers of several parts
    (SeparableConv2D, a nested model) become their parts. Kernels of fewer than 8 bits lose their
    regularizer, with a warning, unless the recipe says ``weight_decay: true``. A layer that is
    used more than once becomes one layer for each use, with a warning.

    Args:
        model: Functional or Sequential float model, or one of a class that was built or called.
        recipe: Methods per layer, as a dict, a YAML file's path, or a ``Recipe``.

    Returns:
        A functional model; the float model is left as it is.

    Raises:
        ModelError: A layer is not supported, or a weight is not finite.
        RecipeError: The recipe is wrong.
    """
    checked = read_recipe(recipe)
    model = unroll(model)
    plain = rewrite(model)
    require_finite(model)
    units = find_units(plain.model)
    rules = _resolve(units, checked, plain.model)
    _warn_of_decay(units, rules)
    if plain.copied:
        warnings.warn(
            f"each use of {', '.join(plain.copied)} is a layer of its own now, with weights that "
            "train apart",
            stacklevel=2,
        )
    if plain.fixed:
        warnings.warn(
            f"factors and offsets of {', '.join(plain.fixed)} stay as they are: they do not train",
            stacklevel=2,
        )
    return assemble(units, rules, checked, plain.model).model


def quantize_units(
    units: tuple[Unit, ...], recipe: Recipe | Mapping[str, Any], plain: keras.Model
) -> Assembled:
    """The quantized model of units of a plain model, and which layer each unit became.

    Raises:
        ModelError: A layer is not supported.
        RecipeError: The recipe is wrong.
    """
    checked = read_recipe(recipe)
    return assemble(units, _resolve(units, checked, plain), checked, plain)


def _resolve(units: tuple[Unit, ...], recipe: Recipe, plain: keras.Model) -> dict[str, Rule]:
    weighted = [unit.name for unit in units if unit.is_weighted]
    others = [unit.name for unit in units if unit.quantization and not unit.is_weighted]
    return resolve(recipe, weighted, others, *_ends(units, plain))


def _ends(units: tuple[Unit, ...], plain: keras.Model) -> tuple[set[str], set[str]]:
    """The first weighted unit behind each input, and the last one before each output."""
    behind: dict[str, set[str]] = {}
    before: dict[str, str | None] = {}
    first: set[str] = set()
    for unit in units:
        inputs = {name for source in unit.inputs for name in behind[source]}
        behind[unit.name] = inputs or {unit.name}
        if unit.is_weighted and inputs - {name for one in first for name in behind[one]}:
            first.add(unit.name)
    order = {unit.name: index for index, unit in enumerate(units)}
    for unit in units:
        found = [before[source] for source in unit.inputs]
        nearest = max((name for name in found if name), key=order.__getitem__, default=None)
        before[unit.name] = unit.name if unit.is_weighted else nearest
    unit_of = {unit.end: unit.name for unit in units}
    last = {before[unit_of[name]] for name in names_of(plain.outputs)}
    return first, {name for name in last if name is not None}


def _warn_of_decay(units: tuple[Unit, ...], rules: Mapping[str, Rule]) -> None:
    """Say which kernels train without the weight decay of the float model."""
    spared = [
        unit.name
        for unit in units
        if unit.is_weighted
        and unit.layer.kernel.regularizer is not None
        and not rules[unit.name].weight_decay
        and has_few_bits(rules[unit.name])
    ]
    if spared:
        warnings.warn(
            f"the kernel regularizers of {', '.join(spared)} are left out: they pull weights of "
            "few bits across the borders of their levels; `weight_decay: true` in the recipe "
            "keeps them",
            stacklevel=3,
        )
