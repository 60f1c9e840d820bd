"""Blocks: micro-kernels that compute all channels of a few pixels at a time.

The codes of a block's pixels are brought into a panel, and weights stream by, two channels at a
time. What a block is differs from core to core; the loops around it do not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tinyq.kernels.base import Part
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Epilogue
from tinyq.kernels.packing.record import Table


@dataclass(frozen=True, slots=True)
class Stream:
    """Constants of a layer for a block.

    Attributes:
        table: Pairs of channels, one after the other.
        pair_words: Words of a pair.
        epilogue: Integers for the text.
    """

    table: Table
    pair_words: int
    epilogue: Epilogue


@dataclass(frozen=True, slots=True)
class Outputs:
    """How a block lays its outputs.

    Attributes:
        stride: Bytes from pixel to pixel.
        nibbles: Whether two channels share a byte.
        odd: Whether the second channel of the last pair does not exist.
    """

    stride: int
    nibbles: bool
    odd: bool


def refuse_pairs(layer: LayerSpec) -> str:
    """Why the channels cannot be taken in pairs by their constants, empty where they can."""
    if layer.weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    if len(layer.weights) % 2 and layer.output.format.bits < 8:
        return "the number of output channels is odd"
    return ""


class Block(ABC):
    """Micro-kernels of a core.

    Attributes:
        pixels: Of a block.
        word_bytes: Bytes of panel for a word of codes of each pixel.
        word_cost: Instructions of two channels' products of that.
        collect_cost: Instructions of bringing it into the panel.
        finish_cost: Instructions of two channels' outputs.
        calls_epilogue: Whether sums are left to the epilogue's own function.
    """

    pixels: ClassVar[int]
    word_bytes: ClassVar[int]
    word_cost: ClassVar[float]
    collect_cost: ClassVar[float]
    finish_cost: ClassVar[int]
    calls_epilogue: ClassVar[bool] = False

    @abstractmethod
    def refuse(self, layer: LayerSpec) -> str:
        """Why the constants do not fit, empty where they do."""

    @abstractmethod
    def pack(self, layer: LayerSpec) -> Stream:
        """The constants of a layer that is not refused."""

    @abstractmethod
    def product(self, stream: Stream, words: int, outputs: Outputs) -> Part:
        """``(w, panel, y, end)``: outputs of a block, from a panel of words of codes."""

    @abstractmethod
    def collect(self, lines: int, words: int, row: int) -> Part:
        """``(x, ..., panel)``: the panel of windows of lines of words, rows of bytes apart."""

    @abstractmethod
    def gather(self, words: int) -> Part:
        """``(x, panel)``: the panel of neighbouring pixels of words."""

    @abstractmethod
    def copy(self, count: int, *, loose: bool) -> Part:
        """``(from, to)``: copies bytes to words; from words unless they lie ``loose``."""

    @abstractmethod
    def spread(self, words: int) -> Part:
        """``(from, to)``: makes bytes of words of nibbles, the low ones of a word first."""
