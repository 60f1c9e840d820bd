"""Windows of convolutions and pools: padding in the ways that ONNX says it, one axis or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyq.graph import Shape
from tinyq.graph.ops.window import Window
from tinyq.importers.onnx.arrangement import View, channel_last
from tinyq.importers.onnx.layer import Layer

_LARGEST = 2**15 - 1


@dataclass(frozen=True, slots=True)
class Image:
    """An input (batch, channels, length or height and width) as the graph has it.

    Attributes:
        name: Tensor of the graph, (height, width, channels).
        rank: Of the file's tensor, 3 or 4.
    """

    name: str
    rank: int

    def view(self, shape: Shape) -> View:
        """Where the elements of a result (height, width, channels) lie, as the file sees it."""
        height, width, channels = shape
        spatial = (height,) if self.rank == 3 else (height, width)
        return View.of((1, channels, *spatial), channel_last(self.rank))


def image_of(layer: Layer, name: str, view: View) -> Image:
    """An image with channels last; a sequence has one column.

    Raises:
        ModelError: It is neither.
    """
    rank = len(view.shape)
    layer.require(
        rank in (3, 4) and view.shape[0] == 1,
        f"an input of shape {view.shape} is no image and no sequence",
        "use layers of one or two dimensions, and batch 1",
    )
    channels, spatial = view.shape[1], view.shape[2:]
    shape = (spatial[0], spatial[1] if rank == 4 else 1, channels)
    return Image(layer.arrange(name, view, channel_last(rank), shape), rank)


def window_of(layer: Layer, shape: Shape, size: Sequence[int], rank: int) -> Window:
    """The window of a convolution or a pool over an image (height, width, channels).

    Raises:
        ModelError: Its numbers make no sense.
    """
    axes = rank - 2
    steps, gaps = (numbers(layer, name, axes, 1) for name in ("strides", "dilations"))
    pads = numbers(layer, "pads", 2 * axes, 0)
    kernel = [int(each) for each in size]
    layer.require(
        len(kernel) == axes and min([*kernel, *steps, *gaps]) >= 1 and min(pads) >= 0,
        f"a window of {kernel}, strides {steps}, dilations {gaps}, padding {pads}",
    )
    layer.require(max([*kernel, *steps, *gaps, *pads]) <= _LARGEST, "a window is too large")
    before, after = pads[:axes], pads[axes:]
    mode = layer.attribute("auto_pad", "NOTSET")
    if mode.startswith("SAME"):
        for axis in range(axes):
            reach = (kernel[axis] - 1) * gaps[axis] + 1
            count = -(-shape[axis] // steps[axis])
            total = max((count - 1) * steps[axis] + reach - shape[axis], 0)
            small, large = total // 2, total - total // 2
            before[axis], after[axis] = (small, large) if mode == "SAME_UPPER" else (large, small)
    elif mode == "VALID":
        before, after = [0] * axes, [0] * axes
    if layer.attribute("ceil_mode", 0):
        for axis in range(axes):
            reach = (kernel[axis] - 1) * gaps[axis] + 1
            padded = shape[axis] + before[axis]
            after[axis] += _ceiling(padded, after[axis], reach, steps[axis])
    if axes == 1:
        kernel, steps, gaps = kernel + [1], steps + [1], gaps + [1]
        before, after = before + [0], after + [0]
    return Window(
        (kernel[0], kernel[1]),
        (steps[0], steps[1]),
        (gaps[0], gaps[1]),
        (before[0], after[0], before[1], after[1]),
    )


def _ceiling(padded: int, after: int, reach: int, step: int) -> int:
    """Padding behind for a last window that begins inside of what is padded before."""
    room = padded + after - reach
    count = -(-room // step) + 1
    if (count - 1) * step >= padded:
        count -= 1
    return max((count - 1) * step - room, 0)


def numbers(layer: Layer, name: str, count: int, default: int) -> list[int]:
    """An attribute of so many integers."""
    found = [int(it) for it in layer.attribute(name, (default,) * count)]
    layer.require(len(found) == count, f"{name} {found} has not {count} numbers")
    return found
