"""Options of custom operators: numbers by name, in a flexbuffer."""

from __future__ import annotations

from struct import error as struct_error
from typing import Any

from flatbuffers import flexbuffers

from tinyq.importers.tflite.layer import Layer

_MOST_OPTIONS = 64


def read_numbers(layer: Layer, *names: str) -> list[int]:
    """Options that are integers or truth values.

    The map is read entry by entry, so that no nested value of a file is followed.

    Raises:
        ModelError: One is missing or no integer, or the options are damaged.
    """
    found: dict[str, Any] = {}
    try:
        options = flexbuffers.GetRoot(bytearray(layer.operator.custom)).AsMap
        layer.require(len(options) <= _MOST_OPTIONS, f"has {len(options):,} options")
        for key, value in zip(options.Keys, options.Values, strict=True):
            if value.IsInt or value.IsBool:
                found[key.AsKey] = int(value.AsInt) if value.IsInt else int(value.AsBool)
    except (ValueError, IndexError, TypeError, OverflowError, struct_error, UnicodeDecodeError):
        layer.require(False, "its options are damaged")
    for name in names:
        layer.require(name in found, f"its option {name} is no integer or missing")
    return [found[name] for name in names]
