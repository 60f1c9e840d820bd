"""From a float model and a recipe to a model of quantized layers with the same weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from tinyq.training.assembly import Assembled, assemble
from tinyq.training.finite import require_finite
from tinyq.training.patterns import FusedLayer, find_fused_layers
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
    used more than once becomes one layer for each use, with a warning. Quantized layers compute in
    32-bit floats whatever the global policy is: 16 bits cannot hold the integers. A float teacher,
    or the float model itself, may have mixed precision.

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
    fused_layers = find_fused_layers(plain.model)
    rules = _resolve(fused_layers, checked, plain.model)
    _warn_of_decay(fused_layers, rules)
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
    return assemble(fused_layers, rules, checked, plain.model).model


def quantize_fused_layers(
    fused_layers: tuple[FusedLayer, ...], recipe: Recipe | Mapping[str, Any], plain: keras.Model
) -> Assembled:
    """The quantized model of fused layers of a plain model, and which layer each became.

    Raises:
        ModelError: A layer is not supported.
        RecipeError: The recipe is wrong.
    """
    checked = read_recipe(recipe)
    return assemble(fused_layers, _resolve(fused_layers, checked, plain), checked, plain)


def _resolve(
    fused_layers: tuple[FusedLayer, ...], recipe: Recipe, plain: keras.Model
) -> dict[str, Rule]:
    weighted = [fused.name for fused in fused_layers if fused.is_weighted]
    others = [fused.name for fused in fused_layers if fused.quantization and not fused.is_weighted]
    return resolve(recipe, weighted, others, *_ends(fused_layers, plain))


def _ends(fused_layers: tuple[FusedLayer, ...], plain: keras.Model) -> tuple[set[str], set[str]]:
    """The first layer with weights behind each input, the last one before each output."""
    behind: dict[str, set[str]] = {}
    before: dict[str, str | None] = {}
    first: set[str] = set()
    for fused in fused_layers:
        inputs = {name for source in fused.inputs for name in behind[source]}
        behind[fused.name] = inputs or {fused.name}
        if fused.is_weighted and inputs - {name for one in first for name in behind[one]}:
            first.add(fused.name)
    order = {fused.name: index for index, fused in enumerate(fused_layers)}
    for fused in fused_layers:
        found = [before[source] for source in fused.inputs]
        nearest = max((name for name in found if name), key=order.__getitem__, default=None)
        before[fused.name] = fused.name if fused.is_weighted else nearest
    layer_of = {fused.end: fused.name for fused in fused_layers}
    last = {before[layer_of[name]] for name in names_of(plain.outputs)}
    return first, {name for name in last if name is not None}


def _warn_of_decay(fused_layers: tuple[FusedLayer, ...], rules: Mapping[str, Rule]) -> None:
    """Say which kernels train without the weight decay of the float model."""
    spared = [
        fused.name
        for fused in fused_layers
        if fused.is_weighted
        and fused.layer.kernel.regularizer is not None
        and not rules[fused.name].weight_decay
        and has_few_bits(rules[fused.name])
    ]
    if spared:
        warnings.warn(
            f"the kernel regularizers of {', '.join(spared)} are left out: they pull weights of "
            "few bits across the borders of their levels; `weight_decay: true` in the recipe "
            "keeps them",
            stacklevel=3,
        )
