"""Train neural networks with few bits, turn them into plain C, measure them on the device.

The functions have the names and options of the commands. Results show themselves: as text when
printed, as tables in a notebook.

    quantized = tinyq.quantize(model, {"weights": "int4", "activations": "int8"})
    quantized.compile(...); quantized.fit(...)
    built = tinyq.build(quantized, "stm32", "out")
    tinyq.measure(built, (x_test, y_test), report="page")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyq.errors import TinyqError
from tinyq.support import keras_classes as _keras_classes

if TYPE_CHECKING:
    from tinyq.api.boards import boards
    from tinyq.api.build import build
    from tinyq.api.check import check
    from tinyq.api.compare import compare
    from tinyq.api.demo import demo
    from tinyq.api.diff import diff
    from tinyq.api.doctor import doctor
    from tinyq.api.export import export
    from tinyq.api.flash import flash
    from tinyq.api.inspect import inspect
    from tinyq.api.load import load
    from tinyq.api.measure import measure
    from tinyq.api.methods import methods
    from tinyq.api.profile import profile
    from tinyq.api.quantize import quantize
    from tinyq.api.search import search
    from tinyq.api.stream import stream
    from tinyq.api.summary import summary
    from tinyq.api.train import train
    from tinyq.quantizers import load_methods, register_activations, register_weights
    from tinyq.training import settle

__version__ = "0.1.0"
__all__ = [
    "TinyqError",
    "__version__",
    "boards",
    "build",
    "check",
    "compare",
    "demo",
    "diff",
    "doctor",
    "export",
    "flash",
    "inspect",
    "load",
    "load_methods",
    "measure",
    "methods",
    "profile",
    "quantize",
    "register_activations",
    "register_weights",
    "search",
    "settle",
    "stream",
    "summary",
    "train",
]
_QUANTIZERS = ("load_methods", "register_activations", "register_weights")
_LAZY = {
    **{name: f"tinyq.api.{name}" for name in __all__ if name not in globals()},
    **dict.fromkeys(_QUANTIZERS, "tinyq.quantizers"),
    "settle": "tinyq.training",
}


_keras_classes.install()


def __getattr__(name: str) -> Any:
    """Load a function on first use, so that `import tinyq` never loads Keras."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
