"""What a layer that another tool quantized stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np


@dataclass(frozen=True, slots=True)
class Origin:
    """The float layer that a quantized one stands for.

    Attributes:
        layer: Float layer of the same name.
        weights: Its weights.
        rule: Methods of its weights and its input.
        grid: Method of the activations that it hands on, or None where they are real numbers.
        parts: Rules of other layers by name, where the float layer is rewritten into several; the
            one that reads the input comes first.
    """

    layer: keras.Layer
    weights: list[np.ndarray]
    rule: Mapping[str, str] = field(default_factory=dict)
    grid: str | None = None
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
