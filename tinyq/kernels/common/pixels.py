"""Convolution of one tap without padding: a block of neighbouring pixels, straight from x."""

from __future__ import annotations

from types import MappingProxyType

from tinyq.kernels.base import Bound, Part, Refusal
from tinyq.kernels.common.blocks import Block, Outputs
from tinyq.kernels.common.epilogue import estimate_epilogue, finish_pixels
from tinyq.kernels.common.windows import MOST_CHANNELS
from tinyq.kernels.geometry import WindowGeometry, divide_up, read_window
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.leads import lead_pixels


def bind_pixels(layer: LayerSpec, block: Block) -> Bound | Refusal:
    """A convolution of one tap by the micro-kernels of a core."""
    g = read_window(layer)
    if reason := _refuse(g, block) or block.refuse(layer):
        return Refusal(reason)
    stream = block.pack(layer)
    nibbles, words = layer.output.format.bits == 4, g.in_channels // 4
    pairs, panel = divide_up(g.out_channels, 2), words * block.word_bytes
    outputs = Outputs(g.out_channels // (2 if nibbles else 1), nibbles, g.out_channels % 2 == 1)
    parts: dict[str, Part] = {
        "gather": block.gather(words),
        "product": block.product(stream, words, outputs),
    }
    if block.calls_epilogue:
        parts["finish"] = finish_pixels(layer, block.pixels)
    return Bound(
        layer,
        int(_estimate(layer, g, block)),
        tables=(stream.table,),
        scratch_bytes=panel + (block.pixels * pairs * 8 if block.calls_epilogue else 0),
        # The pixels of a block are read before they are written; the last must not overlap others.
        in_place=() if g.out_pixels % block.pixels else (0,),
        leads=lead_pixels(layer, block.pixels),
        parts=MappingProxyType(parts),
        values=MappingProxyType(
            {
                "sums_to_scratch": block.calls_epilogue,
                "at_once": block.pixels,
                "pixels": g.out_pixels,
                "last": g.out_pixels - block.pixels,
                "stride": outputs.stride,
                "sums_at": panel // 4,
                "end": pairs * stream.pair_words,
                "y_format": layer.output.format.name,
            }
        ),
        calls_epilogue=block.calls_epilogue,
    )


def _refuse(g: WindowGeometry, block: Block) -> str:
    steps = g.kernel_height * g.kernel_width, g.stride_height * g.stride_width
    same = (g.out_width, g.out_height) == (g.in_width, g.in_height)
    if steps != (1, 1) or not same:
        return "the window is more than one pixel without padding"
    if g.in_channels % 4:
        return "the channels of a pixel fill no words"
    long = g.out_channels > MOST_CHANNELS and not block.calls_epilogue
    if g.in_channels > MOST_CHANNELS or long:
        return "pixels are too long for an immediate offset"
    if g.out_pixels < block.pixels:
        return "there are less pixels than a block has"
    return ""


def _estimate(layer: LayerSpec, g: WindowGeometry, block: Block) -> float:
    words = g.in_channels // 4
    sums_to_scratch = block.calls_epilogue
    each = estimate_epilogue(layer) * g.out_channels + 15 if sums_to_scratch else 0
    channels = divide_up(g.out_channels, 2) * (words * block.word_cost + block.finish_cost)
    block_cost = channels + words * block.collect_cost + 40
    return g.out_pixels * each + divide_up(g.out_pixels, block.pixels) * block_cost
