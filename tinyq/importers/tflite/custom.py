"""Options of custom operators: numbers by name, in a flexbuffer."""

from __future__ import annotations

import struct

from flatbuffers import flexbuffers

from tinyq.importers.tflite.file_layer import FileLayer

_MOST_OPTIONS = 64
_MOST_BYTES = 1 << 12
# What flexbuffers raises where bytes are none.
_FAULTS = (
    *(ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError),
    *(TypeError, ValueError, struct.error),
)


def find_numbers(layer: FileLayer) -> dict[str, int]:
    """Options that are integers or truth values, by name; none where the operator has no options.

    The map is read entry by entry, so that no nested value of a file is followed.

    Raises:
        ModelError: The options are damaged.
    """
    found: dict[str, int] = {}
    content = layer.operator.custom
    if not content:
        return found
    layer.require(len(content) <= _MOST_BYTES, f"options of {len(content):,} bytes")
    try:
        options = flexbuffers.GetRoot(bytearray(content)).AsMap
        layer.require(len(options) <= _MOST_OPTIONS, f"has {len(options):,} options")
        for key, value in zip(options.Keys, options.Values, strict=True):
            if value.IsInt or value.IsBool:
                found[key.AsKey] = int(value.AsInt) if value.IsInt else int(value.AsBool)
    except _FAULTS as error:
        layer.require(False, f"its options are damaged ({type(error).__name__})")
    return found


def read_numbers(layer: FileLayer, *names: str) -> list[int]:
    """The same of options that have to be there.

    Raises:
        ModelError: One is missing or no integer, or the options are damaged.
    """
    found = find_numbers(layer)
    for name in names:
        layer.require(name in found, f"its option {name} is no integer or missing")
    return [found[name] for name in names]
