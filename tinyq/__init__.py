"""Train neural networks with few bits, turn them into plain C, measure them on the device."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "quantize"]


def __getattr__(name: str) -> Any:
    """Load `tinyq.quantize` on first use, so that `import tinyq` never loads Keras."""
    if name == "quantize":
        from importlib import import_module

        return import_module("tinyq.training").quantize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "quantize"])
