"""Training with few bits in Keras 3.

Importing this package registers the quantized layers with ``keras.saving``, so that models load.
"""

from __future__ import annotations

import keras

from tinyq.errors import RecipeError, TinyqError

if keras.backend.backend() != "tensorflow":
    raise TinyqError(
        f"Keras runs on the {keras.backend.backend()!r} backend, which lacks 64-bit arithmetic",
        remedy="set KERAS_BACKEND=tensorflow in the environment",
    )

from tinyq.training.advice import Finding, advise
from tinyq.training.calibrate import calibrate
from tinyq.training.elementwise import (
    Argmax,
    QuantizedActivation,
    QuantizedAdd,
    QuantizedConcatenate,
    QuantizedInput,
    QuantizedSoftmax,
)
from tinyq.training.flips import CodeFlipRate
from tinyq.training.pooling import (
    QuantizedAveragePooling1D,
    QuantizedAveragePooling2D,
    QuantizedGlobalAveragePooling,
)
from tinyq.training.post_training import PostTraining, post_training
from tinyq.training.prelu import QuantizedPReLU
from tinyq.training.quantize import quantize
from tinyq.training.recipe import Recipe, Rule, read_recipe
from tinyq.training.schedule import MethodSchedule
from tinyq.training.weighted import (
    QuantizedConv1D,
    QuantizedConv2D,
    QuantizedDense,
    QuantizedDepthwiseConv2D,
)

__all__ = [
    "Argmax",
    "CodeFlipRate",
    "Finding",
    "MethodSchedule",
    "PostTraining",
    "QuantizedActivation",
    "QuantizedAdd",
    "QuantizedAveragePooling1D",
    "QuantizedAveragePooling2D",
    "QuantizedConcatenate",
    "QuantizedConv1D",
    "QuantizedConv2D",
    "QuantizedDense",
    "QuantizedDepthwiseConv2D",
    "QuantizedGlobalAveragePooling",
    "QuantizedInput",
    "QuantizedPReLU",
    "QuantizedSoftmax",
    "Recipe",
    "RecipeError",
    "Rule",
    "advise",
    "calibrate",
    "post_training",
    "quantize",
    "read_recipe",
]
