"""Quantizers as parts that compose, and the methods made of them.

"Survey" is Rokh, Azarpeyvand, Khanteymoori: A Comprehensive Survey on Model Quantization for Deep
Neural Networks in Image Classification; its equations are meant as the tests correct them.

Level sets, steps, scales, rounding and gradient estimators are pure functions, each written once,
in ``parts``; the files of ``methods`` hold what the literature proposes, a family each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyq.quantizers import (
        activations,
        bases,
        centers,
        choices,
        combinations,
        distances,
        groups,
        mappings,
        mixtures,
        procedure,
        random_signs,
        relaxed,
        rotations,
        soft_steps,
        tables,
        thresholds,
        weights,
    )
    from tinyq.quantizers.activations import ActivationQuantizer
    from tinyq.quantizers.encoding import Encoding
    from tinyq.quantizers.finding import (
        METHODS,
        Preset,
        find_activations,
        find_method,
        find_weights,
    )
    from tinyq.quantizers.parts import (
        clusters,
        gradients,
        levels,
        penalties,
        preparation,
        rounding,
        scales,
        slopes,
        steps,
        updates,
    )
    from tinyq.quantizers.registration import load_methods, register_activations, register_weights
    from tinyq.quantizers.weights import WeightParts, WeightQuantizer

_MODULES = {
    **dict.fromkeys(
        (
            "activations",
            "bases",
            "centers",
            "choices",
            "combinations",
            "distances",
            "groups",
            "mappings",
            "mixtures",
            "procedure",
            "random_signs",
            "relaxed",
            "rotations",
            "soft_steps",
            "tables",
            "thresholds",
            "weights",
        ),
        "tinyq.quantizers",
    ),
    **dict.fromkeys(
        (
            "clusters",
            "gradients",
            "levels",
            "penalties",
            "preparation",
            "rounding",
            "scales",
            "slopes",
            "steps",
            "updates",
        ),
        "tinyq.quantizers.parts",
    ),
}
_NAMES = {
    "ActivationQuantizer": "activations",
    "Encoding": "encoding",
    "METHODS": "finding",
    "Preset": "finding",
    "find_activations": "finding",
    "find_method": "finding",
    "find_weights": "finding",
    "load_methods": "registration",
    "register_activations": "registration",
    "register_weights": "registration",
    "WeightParts": "weights",
    "WeightQuantizer": "weights",
}
__all__ = [
    "ActivationQuantizer",
    "Encoding",
    "METHODS",
    "Preset",
    "WeightParts",
    "WeightQuantizer",
    "activations",
    "bases",
    "centers",
    "choices",
    "clusters",
    "combinations",
    "distances",
    "find_activations",
    "find_method",
    "find_weights",
    "gradients",
    "groups",
    "levels",
    "load_methods",
    "mappings",
    "mixtures",
    "penalties",
    "preparation",
    "procedure",
    "random_signs",
    "register_activations",
    "register_weights",
    "relaxed",
    "rotations",
    "rounding",
    "scales",
    "slopes",
    "soft_steps",
    "steps",
    "tables",
    "thresholds",
    "updates",
    "weights",
]


def __getattr__(name: str) -> Any:
    """Load a module or a name of one on first use: the catalogue must be readable without Keras."""
    if name in _MODULES:
        return import_module(f"{_MODULES[name]}.{name}")
    if name in _NAMES:
        return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
