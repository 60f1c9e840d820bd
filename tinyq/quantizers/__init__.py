"""Quantizers as parts that compose, and the methods made of them.

"Survey" is Rokh, Azarpeyvand, Khanteymoori: A Comprehensive Survey on Model Quantization for Deep
Neural Networks in Image Classification; its equations are meant as the tests correct them.

Level sets, scales, thresholds, rounding and gradient estimators are pure functions, each written
once; `METHODS` names the combinations that the literature proposes.
"""

from __future__ import annotations

from tinyq.quantizers.activations import ActivationQuantizer, Encoding
from tinyq.quantizers.methods import METHODS, Method, find_activations, find_method, find_weights
from tinyq.quantizers.registration import load_methods, register_activations, register_weights
from tinyq.quantizers.weights import WeightParts, WeightQuantizer

__all__ = [
    "METHODS",
    "ActivationQuantizer",
    "Encoding",
    "Method",
    "WeightParts",
    "WeightQuantizer",
    "find_activations",
    "find_method",
    "find_weights",
    "load_methods",
    "register_activations",
    "register_weights",
]
