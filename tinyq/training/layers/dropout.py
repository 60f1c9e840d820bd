"""Layers that act in training alone, and those that do nothing."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.registry import lowers, rewrites
from tinyq.training.rewriting import Application, Rewriting
from tinyq.training.tracing import Step


@lowers(
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout"),
    *("GaussianNoise", "ActivityRegularization", "Identity", "RandomBrightness", "RandomContrast"),
    *("RandomColorDegeneration", "RandomColorJitter", "RandomElasticTransform"),
    *("RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue"),
    *("RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation"),
    *("RandomSaturation", "RandomSharpness", "RandomTranslation", "RandomZoom"),
    preserves=True,
)
def lower_nothing(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """Layers that do nothing in inference."""
    del lowering, step
    return inputs[0]


@rewrites("ops.Copy", "ops.StopGradient", "ops.Cast")
def rewrite_identity(rewriting: Rewriting, use: Application) -> Any:
    """A layer that does nothing."""
    if getattr(use.layer, "dtype", "float32") != "float32":
        raise use.refuse(f"casts to {use.layer.dtype}", "leave the cast out")
    return rewriting.add(keras.layers.Identity(name=use.name), *use.inputs)
