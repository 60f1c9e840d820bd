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
        model: Functional or Sequential float model with one input and one output.
        recipe: Methods per layer, as a dict, a YAML file's path, or a ``Recipe``.

    Returns:
        A functional model; the float model is left as it is.

    Raises:
        ModelError: A layer is not supported, or a weight is not finite.
        RecipeError: The recipe is wrong.
    """
    checked = read_recipe(recipe)
    plain = rewrite(model)
    require_finite(model)
    fused_layers = find_fused_layers(plain.model)
    rules = _resolve(fused_layers, checked)
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
    return assemble(fused_layers, rules, checked, model.name).model


def quantize_fused_layers(
    fused_layers: tuple[FusedLayer, ...], recipe: Recipe | Mapping[str, Any], name: str
) -> Assembled:
    """The quantized model of fused layers, and which layer each became.

    Raises:
        ModelError: A layer is not supported.
        RecipeError: The recipe is wrong.
    """
    checked = read_recipe(recipe)
    return assemble(fused_layers, _resolve(fused_layers, checked), checked, name)


def _resolve(fused_layers: tuple[FusedLayer, ...], recipe: Recipe) -> dict[str, Rule]:
    weighted = [fused.name for fused in fused_layers if fused.is_weighted]
    others = [fused.name for fused in fused_layers if fused.quantization and not fused.is_weighted]
    return resolve(recipe, weighted, others)


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
