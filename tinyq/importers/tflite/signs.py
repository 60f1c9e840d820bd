"""Words of signs, as Larq Compute Engine stores weights: bit 1 of channel c % 32 means -1."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinyq.importers.tflite.file_layer import FileLayer

WORD = 32


def count_words(channels: int) -> int:
    """Words that hold the signs of so many channels."""
    return -(-channels // WORD)


def read_signs(layer: FileLayer, position: int, depth: int) -> npt.NDArray[np.int8]:
    """Weights (out_channels, height, width, in_channels of a group), -1 and +1.

    Args:
        layer: The operator.
        position: Input with the words, (out_channels, height, width, words of a group).
        depth: Channels of the data; more than the words hold are those of several groups.

    Raises:
        ModelError: The input is no constant of words, or does not fit.
    """
    tensor = layer.source(position)
    layer.require(
        tensor.type == "INT32" and len(tensor.shape) == 4 and tensor.data is not None,
        f"weights {tensor} are no constant words of signs",
    )
    words, all_words = tensor.shape[3], count_words(depth)
    groups = all_words // max(words, 1)
    layer.require(
        words * groups == all_words
        and groups >= 1
        and depth % groups == 0
        and (groups == 1 or (depth // groups) % WORD == 0)
        and tensor.shape[0] % groups == 0,
        f"weights {tensor} do not fit {depth} channels",
    )
    packed = np.frombuffer(tensor.data or b"", np.uint8)
    layer.require(packed.size == 4 * math.prod(tensor.shape), f"{tensor} has {packed.size} bytes")
    rows = packed.reshape(*tensor.shape[:3], 4 * words)
    bits = np.unpackbits(rows, axis=-1, bitorder="little")[..., : depth // groups]
    return (1 - 2 * bits.astype(np.int8)).astype(np.int8)
