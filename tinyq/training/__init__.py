"""Training with few bits in Keras 3.

Importing this package registers the quantized layers with ``keras.saving``, so that models load.
"""

from __future__ import annotations

from typing import Any

import keras

from tinyq.errors import RecipeError
from tinyq.support.keras_backend import WANTED, refuse

if keras.backend.backend() != WANTED:
    raise refuse(keras.backend.backend())

from tinyq.training.advice import Finding, advise
from tinyq.training.calibrate import calibrate
from tinyq.training.flips import CodeFlipRate
from tinyq.training.oscillations import OscillationFreezing
from tinyq.training.phases import LossTerm, Phase
from tinyq.training.post_training import PostTraining, post_training
from tinyq.training.quantize import quantize
from tinyq.training.recipe import Recipe, Rule, read_recipe
from tinyq.training.reconstruction import Reconstruction
from tinyq.training.registry import find_classes
from tinyq.training.schedule import MethodSchedule, advance
from tinyq.training.settling import settle

__all__ = [
    "CodeFlipRate",
    "Finding",
    "LossTerm",
    "MethodSchedule",
    "OscillationFreezing",
    "Phase",
    "PostTraining",
    "Recipe",
    "RecipeError",
    "Reconstruction",
    "Rule",
    "advance",
    "advise",
    "calibrate",
    "post_training",
    "quantize",
    "read_recipe",
    "settle",
]
__all__ += sorted(find_classes())  # the quantized layers, one file each in tinyq.training.layers


def __getattr__(name: str) -> Any:
    """A quantized layer by its class name."""
    if name in find_classes():
        return find_classes()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
