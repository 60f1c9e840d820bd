"""Dense layer on Arm v7E-M, weights of 4 or 2 bits: several channels to a lane, as digits.

    halfword = sum over d of (w_d + half) << bits * d,  but w_d alone for the highest d

Four channels of 4 bits or eight of 2 bits share each word and its loads. Masked step by step, from
all digits down to the lowest, it gives the sums S_d of the digits up to d; S_d - S_(d-1) is
2^(bits * d) * (acc_d + half * sum x), exact modulo 2^32. What counts, without the sum of inputs,
must fit: |acc_d + bias_d| < 2^(31 - bits * d). Biases come each with those before it as S_d has
them; then a word for each pair of inputs; multipliers where the epilogue has them.

+------+---------+------------+
| bias | weights | multiplier |
| each | pairs   | tail       |
+------+---------+------------+

Inputs are int16 in the order 0 2 1 3 of each word, and padded to groups of eight. Per four channels
and two inputs 4 SMLAD and 3 masks, per eight channels 8 and 7, and the loads. Sizes are arguments,
and loops begin in the middle of their body, so that the layers of a program share them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinyq.kernels.armv7em.dense_lanes import describe_widening
from tinyq.kernels.armv7em.packed_blocks import describe_lift, name_range
from tinyq.kernels.base import INT8, Bound, Part, Refusal
from tinyq.kernels.geometry import DenseGeometry, divide_up, read_dense, round_up
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import (
    ONCE,
    RAW,
    Epilogue,
    fold_scaling,
    refuse_scaling,
    remove_zero,
    sum_reach,
)
from tinyq.kernels.packing.record import Record, Table
from tinyq.kernels.packing.words import pair_words, to_words
from tinyq.kernels.registry import kernel

BLOCK = Record("bias:each", "weights:pairs", "multiplier:tail")

_SOURCE = "armv7em/dense_digits.j2"
_LANE = 16  # bits
_ORDER = [0, 2, 1, 3]
_MOST_INPUTS = 16_000
# Instructions: of an input; of an input for a block of eight or four channels; of such a block's
# outputs; of a row.
_WIDEN_COST, _EIGHT_COST, _FOUR_COST = 1.8, 8.15, 3.86
_BLOCK_COST, _CHANNEL_COST, _ROW_COST = 30, 6, 60
# Bytes of the loop's body for each part of a row, parts, words of inputs of a part.
_FOUR_BODY, _EIGHT_BODY = (120, 4, 8), (128, 6, 4)
# What takes the highest digit off a word of eight, step by step.
_MASKS = (
    ("bic", "#0xC000C000"),
    ("bic", "#0xF000F000"),
    ("bic", "#0xFC00FC00"),
    ("uxtb16", ""),
    ("and", "#0x003F003F"),
    ("and", "#0x000F000F"),
    ("and", "#0x00030003"),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the kernel's memory and loops come to.

    Attributes:
        g: The layer.
        bits: Of a digit.
        raw: Whether sums are the outputs.
    """

    g: DenseGeometry
    bits: int
    raw: bool

    @property
    def each(self) -> int:
        """Channels of a block."""
        return _LANE // self.bits

    @property
    def places(self) -> int:
        """Inputs in whole groups."""
        return round_up(self.g.in_channels, 8)

    @property
    def blocks(self) -> int:
        """Blocks of channels."""
        return divide_up(self.g.out_channels, self.each)

    @property
    def output_bytes(self) -> int:
        """Bytes of an output."""
        return 4 if self.raw else 1

    @property
    def partial(self) -> bool:
        """Whether the last block lacks channels, so that a row is written beside y first."""
        return self.g.out_channels % self.each != 0

    @property
    def outputs_at(self) -> int:
        """Outputs' places before such a row in scratch."""
        return self.places * 2 // self.output_bytes

    @property
    def skip(self) -> int:
        """Bytes of the loop's body that the first round leaves out."""
        size, parts, inputs = _FOUR_BODY if self.bits == 4 else _EIGHT_BODY
        return -(self.places // inputs) % parts * size

    @property
    def half(self) -> int:
        """What is added to a code."""
        return 1 << (self.bits - 1)

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory."""
        outputs = self.blocks * self.each * self.output_bytes
        return self.places * 2 + (outputs if self.partial else 0)

    @property
    def cost(self) -> int:
        """Instructions."""
        each = _EIGHT_COST if self.each == 8 else _FOUR_COST
        finish = self.blocks * (_BLOCK_COST + _CHANNEL_COST * self.each)
        return int(
            self.g.rows * (self.places * (_WIDEN_COST + self.blocks * each) + finish + _ROW_COST)
        )


@dataclass(frozen=True, slots=True)
class Constants:
    """A layer's table, the integers of its text, and log2 of what accumulators lack."""

    table: Table
    epilogue: Epilogue
    lift: int


@kernel("dense", "s8", (INT8, "b1"), variant="digits")
def bind(layer: LayerSpec) -> Bound | Refusal:
    """Outputs of bytes, or raw sums."""
    g = read_dense(layer)
    if reason := _refuse(layer, g) or _refuse_constants(layer):
        return Refusal(reason)
    sizes = Sizes(g, find_bits(layer), layer.epilogue == RAW)
    constants = _pack(layer, sizes)
    return Bound(
        layer,
        sizes.cost,
        tables=(constants.table,),
        scratch_bytes=sizes.scratch,
        parts=MappingProxyType(
            {
                "job": Part(_SOURCE, "job", "tq_digits", shared=True),
                "widen": widen_inputs(g.in_channels),
                "product": multiply_digits(sizes.bits, constants),
            }
        ),
        values=MappingProxyType({"sizes": sizes, "epilogue": constants.epilogue}),
    )


def find_bits(layer: LayerSpec) -> int:
    """Bits of a digit that holds every code: 2 or 4, 0 if these do not."""
    weights = layer.weights
    assert weights is not None
    low, high = int(weights.min()), int(weights.max())
    fitting = (bits for bits in (2, 4) if -(1 << bits - 1) <= low and high < 1 << bits - 1)
    return next(fitting, 0)


def widen_inputs(count: int) -> Part:
    """``(x, wide)``: int16 of int8 codes, 0 2 1 3 of each word, and their sum.

    Zeros follow up to a group of eight.
    """
    values = describe_widening(count)
    return Part(_SOURCE, "widen", f"tq_widen_sum_{count}", MappingProxyType(values), shared=True)


def multiply_digits(bits: int, constants: Constants) -> Part:
    """``(w, x, y, job)``: outputs of all blocks of channels from widened inputs.

    The job: bytes of x, bytes of the body to leave out at first, blocks, addend, shift,
    half * sum x. Frame: 0 x, 4 y, 8 end of x, 12 entry, 16 addend, 20 shift, 24 blocks, 28 sum.
    """
    each, epilogue = _LANE // bits, constants.epilogue
    values = {
        "four": bits == 4,
        "words": [(word, f"r{6 + k}") for k, word in enumerate(("r10", "r11", "r12", "lr"))],
        "masks": [(f"r{8 - k}", op, mask) for k, (op, mask) in enumerate(_MASKS)],
        "differences": [(f"r{2 + d}", f"r{1 + d}") for d in range(each - 1, 0, -1)],
        "sums": [(f"r{2 + d}", f", lsl #{bits * d}" if d else "") for d in range(each - 1)],
        "shifts": [(f"r{2 + d}", bits * d) for d in range(1, each)],
        "last": 1 + each,
        "pairs": [(f"r{2 + c}", f"r{3 + c}") for c in range(0, each, 2)],
        "epilogue": epilogue,
        "lift": describe_lift(constants.lift),
    }
    tag = "raw" if epilogue.raw else name_range(epilogue, constants.lift)
    name = f"tq_digits_{bits}_{tag}"
    return Part(_SOURCE, "multiply", name, MappingProxyType(values), shared=True)


def _refuse(layer: LayerSpec, g: DenseGeometry) -> str:
    if layer.epilogue == ONCE and layer.output.format.bits != 8:
        return "outputs are no bytes"
    if layer.epilogue not in (ONCE, RAW):
        return f"the epilogue is {layer.epilogue}"
    return "rows are too long" if g.in_channels > _MOST_INPUTS else ""


def _refuse_constants(layer: LayerSpec) -> str:
    weights = layer.weights
    if weights is None or "bias" not in layer.constants:
        return "the constants are no constants"
    bits = find_bits(layer)
    if not bits:
        return "codes need more than four bits"
    reach = sum_reach(layer, weights.astype(np.int64))
    place = np.arange(len(reach)) % (_LANE // bits)
    if (reach << bits * place).max() >= 2**31:
        return "accumulators run out of their digits"
    return "" if layer.epilogue == RAW else refuse_scaling(layer, reach)


def _pack(layer: LayerSpec, sizes: Sizes) -> Constants:
    assert layer.weights is not None
    bits, each, rows = sizes.bits, sizes.each, layer.weights.astype(np.int64)
    padding = ((0, -len(rows) % each), (0, -rows.shape[1] % 8))
    offsets = np.full(each, sizes.half)
    offsets[-1] = 0
    digits = np.pad(rows, padding).reshape(-1, each, sizes.places)
    lanes = ((digits + offsets[:, None]) << (bits * np.arange(each))[:, None]).sum(1)
    ordered = lanes.reshape(len(lanes), -1, 4)[:, :, _ORDER].reshape(len(lanes), -1)
    body = pair_words(ordered[:, 0::2], ordered[:, 1::2])
    bias = np.pad(remove_zero(layer, rows.sum(1)), padding[0])
    sums = (bias.reshape(-1, each) << bits * np.arange(each)).cumsum(1)
    multiplier, epilogue, lift = np.zeros(0, np.int64), Epilogue(), 0
    if not sizes.raw:
        scaling = fold_scaling(layer, rows.sum(1))
        multiplier = np.pad(scaling.multiplier, padding[0])
        epilogue, lift = scaling.epilogue, scaling.power
    stream = BLOCK.pack(
        {"each": each, "pairs": body.shape[1], "tail": 0 if sizes.raw else each},
        bias=to_words(sums),
        weights=body,
        multiplier=to_words(multiplier),
    )
    comment = f"{each} channels: biases, weights of {bits} bits, multipliers"
    return Constants(Table("weights", stream, comment, "w"), epilogue, lift)
