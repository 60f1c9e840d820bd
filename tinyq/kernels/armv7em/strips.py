"""Windows of single channels on Arm v7E-M: a channel's lines as int16, two taps of a line a word.

A *strip* is one channel of some lines with their padding, a halfword a code, so that SMLAD does two
neighbouring taps wherever they begin. A block is some neighbouring outputs of a line: the words of
a line of the window, up to three at a time, stay in registers while the codes of the block stream
by, and a word of codes serves every output that it belongs to. Where taps lie apart, the gaps are
weights of zero.

Weights lie in flash as fields of as few bits as hold them, a record for each output channel, and
are made int16 in RAM one channel after the other:

+------+--------+---------+
| bias | tail   | weights |
| 1    | tail*1 | words   |
+------+--------+---------+

The tail is the multiplier, or (multiplier, addend, shift) where the epilogue rounds twice, or
nothing where sums are left to the epilogue's own function.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.base import Part
from tinyq.kernels.geometry import WindowGeometry, divide_up, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    TWICE,
    Epilogue,
    fold_scaling,
    fold_scaling_twice,
)
from tinyq.kernels.packing.order import taps_by_channel
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import Int64s, Words, to_words

CHANNEL = Record("bias:1", "tail:tail*1", "weights:words")
MOST_OFFSET = 4095  # of a load or store
_SOURCE = "armv7em/strips.j2"
_MOST_BLOCK = 7  # outputs, a register each
_CHUNK = 3  # words of weights in registers
_MOST_UNROLLED = 96  # instructions
_BLOCK_COST, _LINE_COST, _CALL_COST = 12, 12, 26
_ORDER = (0, 2, 1, 3)  # of bytes, as SXTB16 takes them


@dataclass(frozen=True, slots=True, eq=False)
class StripWeights:
    """Constants of a layer.

    Attributes:
        table: Records.
        epilogue: Integers for the text.
        bits: Of a weight in flash.
        packed: Words of packed weights of a channel.
        words: Words of int16 weights of a channel.
        record: Words of a record.
    """

    table: Table
    epilogue: Epilogue
    bits: int
    packed: int
    words: int
    record: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Words of a line of a window that are in registers together.

    Attributes:
        registers: Of the weights.
        loads: Offset of each word of codes, and the (sum, weights) that it adds to.
    """

    registers: tuple[str, ...]
    loads: tuple[tuple[int, tuple[tuple[str, str], ...]], ...]

    @property
    def instructions(self) -> int:
        """How many it has."""
        return 1 + sum(1 + len(uses) for _, uses in self.loads)


@dataclass(frozen=True, slots=True)
class Lines:
    """How lines of outputs are made.

    Attributes:
        block: Outputs of a block.
        blocks: Of a line of outputs.
        chunks: Of a line of a window.
        heights: Lines of a window.
        step: Bytes from line to line of a window.
        flat: Whether the lines of a window follow one another in the text.
    """

    block: int
    blocks: int
    chunks: tuple[Chunk, ...]
    heights: int
    step: int
    flat: bool

    def estimate(self, finish: int) -> int:
        """Instructions of a line of outputs, ``finish`` of each output."""
        each = sum(chunk.instructions for chunk in self.chunks) + (0 if self.flat else 3)
        block = self.heights * each + self.block * (1 + finish) + _BLOCK_COST
        return self.blocks * block + _LINE_COST


def pair_words_of(g: WindowGeometry) -> int:
    """Words of a line of a window; gaps between its taps are zeros."""
    return divide_up((g.kernel_width - 1) * g.dilation_width + 1, 2)


def lay_lines(g: WindowGeometry, row: int, finish: int) -> Lines:
    """The best blocks for strips whose lines have ``row`` bytes."""
    step = row * g.dilation_height
    options = []
    for block in range(1, min(_MOST_BLOCK, g.out_width) + 1):
        chunks = _split(pair_words_of(g), block, g.stride_width)
        farthest = max(at for chunk in chunks for at, _ in chunk.loads)
        if farthest > MOST_OFFSET and block > 1:
            continue
        size = sum(chunk.instructions for chunk in chunks)
        near = (g.kernel_height - 1) * step + farthest <= MOST_OFFSET
        flat = g.kernel_height == 1 or (near and g.kernel_height * size <= _MOST_UNROLLED)
        blocks = divide_up(g.out_width, block)
        options.append(Lines(block, blocks, chunks, g.kernel_height, step, flat))
    return min(options, key=lambda it: (it.estimate(finish), it.block))


def _split(words: int, block: int, stride: int) -> tuple[Chunk, ...]:
    """Chunks of a line: each load serves all outputs of the block that its codes belong to."""
    chunks = []
    for first in range(0, words, _CHUNK):
        registers = ("r2", "r3", "r12")[: min(_CHUNK, words - first)]
        uses: dict[int, list[tuple[str, str]]] = {}
        for place, register in enumerate(registers):
            for output in range(block):
                at = 2 * output * stride + 4 * (first + place)
                uses.setdefault(at, []).append((f"r{4 + output}", register))
        loads = tuple((at, tuple(uses[at])) for at in sorted(uses))
        chunks.append(Chunk(registers, loads))
    return tuple(chunks)


def pack_strips(layer: LayerSpec, g: WindowGeometry, *, sums_to_scratch: bool) -> StripWeights:
    """Constants of a layer that is not refused."""
    assert layer.weights is not None
    flat = taps_by_channel(layer.weights)
    bias, tail, epilogue, power = _fold(layer, flat.sum(1), sums_to_scratch=sums_to_scratch)
    line = 2 * pair_words_of(g)
    lines = np.zeros((len(flat), g.kernel_height, line), np.int64)
    taps = flat.reshape(len(flat), g.kernel_height, g.kernel_width)
    lines[:, :, : (g.kernel_width - 1) * g.dilation_width + 1 : g.dilation_width] = taps
    fields = lines.reshape(len(flat), -1) << power
    bits = _find_bits(fields)
    packed = _pack_fields(fields, bits)
    sizes = {"tail": tail.shape[1], "words": packed.shape[1]}
    stream = CHANNEL.pack(sizes, bias=to_words(bias), tail=to_words(tail), weights=packed)
    comment = f"a channel: bias, scaling, weights of {bits} bits"
    table = Table("weights", stream, comment, "w")
    words = g.kernel_height * pair_words_of(g)
    return StripWeights(table, epilogue, bits, packed.shape[1], words, CHANNEL.count_words(**sizes))


def _fold(
    layer: LayerSpec, sums: Int64s, *, sums_to_scratch: bool
) -> tuple[Int64s, Int64s, Epilogue, int]:
    """Bias and tail of each channel, integers for the text, log2 of what weights grow by."""
    if sums_to_scratch:
        zero = -layer.geometry["x_zero"] * sums
        return zero, np.zeros((len(sums), 0), np.int64), Epilogue(), 0
    if layer.epilogue == TWICE:
        scaling, addend, shift = fold_scaling_twice(layer, sums)
        tail: Int64s = np.stack([scaling.multiplier, addend, shift], axis=1)
        return scaling.bias, tail, scaling.epilogue, scaling.power
    scaling = fold_scaling(layer, sums)
    return scaling.bias, scaling.multiplier[:, None], scaling.epilogue, scaling.power


def _find_bits(fields: Int64s) -> int:
    low, high = int(fields.min()), int(fields.max())
    return next(bits for bits in (2, 4, 8, 16) if -(1 << bits - 1) <= low and high < 1 << bits - 1)


def _pack_fields(fields: Int64s, bits: int) -> Words:
    """Words (channels, words); bytes in the order of SXTB16, other fields as they come."""
    each = 32 // bits
    padded = np.pad(fields, ((0, 0), (0, -fields.shape[1] % each)))
    groups = padded.reshape(len(fields), -1, each)
    if bits == 8:
        groups = groups[:, :, list(_ORDER)]
    shifted = (groups & ((1 << bits) - 1)) << np.arange(each) * bits
    return to_words(shifted.sum(2))


def expand_weights(weights: StripWeights) -> Part:
    """``(from, to)``: makes int16 of the weights of a channel."""
    bits = weights.bits
    values = {
        "words": weights.packed,
        "bits": bits,
        "each": 32 // bits,
        "mask": (1 << bits) - 1,
        "sign": 1 << bits - 1,
    }
    name = f"tq_expand_{weights.bits}_{weights.packed}"
    return Part(_SOURCE, "expand", name, MappingProxyType(values), shared=True)


def count_expanded(weights: StripWeights) -> int:
    """Words that `expand_weights` writes."""
    return round_up(weights.packed * 32 // weights.bits // 2, 2)


def spread_line(width: int, channels: int, bits: int, strip: int) -> Part:
    """``(from, to)``: four channels of a line as int16, to strips of ``strip`` bytes."""
    pixel = channels * bits // 8
    pairs, odd = divmod(width, 2)
    values = {
        "pairs": pairs,
        "odd": odd,
        "pixel": pixel,
        "wide": bits == 16,
        "strip": strip,
    }
    name = f"tq_spread_line_{bits}_{width}_{pixel}_{strip}"
    return Part(_SOURCE, "spread", name, MappingProxyType(values), shared=True)


def filter_lines(
    g: WindowGeometry, lines: Lines, weights: StripWeights, row: int, pixel: int
) -> Part:
    """``(strip, y, record, lines, weights)``: lines of outputs of one channel.

    Args:
        g: The layer.
        lines: How they are made.
        weights: Constants.
        row: Bytes of a line of a strip.
        pixel: Bytes from output to output; 0 for sums, which lie one after the other.
    """
    sums_to_scratch = pixel == 0
    each = pixel or 4
    last = g.out_width - (lines.blocks - 1) * lines.block
    values = {
        "lines": lines,
        "sums": [f"r{4 + index}" for index in range(lines.block)],
        "rows": [index * lines.step for index in range(lines.heights)] if lines.flat else [0],
        "sums_to_scratch": sums_to_scratch,
        "epilogue": weights.epilogue,
        "offsets": [index * each for index in range(lines.block)],
        "near": (lines.block - 1) * each <= MOST_OFFSET,
        "pixel": each,
        "words": weights.words,
        "full": (2 * lines.block * g.stride_width, lines.block * each),
        "short": (2 * last * g.stride_width, last * each),
        "ragged": last != lines.block and lines.blocks > 1,
        "row": (g.stride_height * row, g.out_width * each),
    }
    name = "_sums" if sums_to_scratch else "_filter"
    return Part(_SOURCE, "filter", name, MappingProxyType(values))


def estimate_call() -> int:
    """Instructions around the lines of a channel."""
    return _CALL_COST
