"""Train neural networks with few bits, turn them into plain C, measure them on the device."""

from __future__ import annotations

from typing import Any

from tinyq.support import keras_classes as _keras_classes

__version__ = "0.1.0"
_LAZY = {
    "quantize": "tinyq.training",
    "settle": "tinyq.training",
    "load_methods": "tinyq.quantizers",
    "register_activations": "tinyq.quantizers",
    "register_weights": "tinyq.quantizers",
}
__all__ = [
    "__version__",
    "load_methods",
    "quantize",
    "register_activations",
    "register_weights",
    "settle",
]


_keras_classes.install()


def __getattr__(name: str) -> Any:
    """Load a function on first use, so that `import tinyq` never loads Keras."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
