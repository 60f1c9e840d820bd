"""Windows of convolutions and pools from an operator's options."""

from __future__ import annotations

from tinyq.graph import Shape
from tinyq.graph.ops.window import Window, same_padding
from tinyq.importers.tflite.layer import Layer

EXPLICIT_PADDING = "ExplicitPadding"  # option: top, bottom, left, right, whatever "Padding" says
_SAME, _VALID = 0, 1
MAX_TAPS = 1 << 34  # taps times outputs of one window operator


def window_of(layer: Layer, shape: Shape, size: tuple[int, ...]) -> Window:
    """The window of an operator with stride, dilation and padding options.

    Raises:
        ModelError: The input is no image, or an option makes no sense.
    """
    stride = (layer.option("StrideH", 1), layer.option("StrideW", 1))
    dilation = (layer.option("DilationHFactor", 1), layer.option("DilationWFactor", 1))
    border = layer.option(EXPLICIT_PADDING, None)
    height, width = size
    plain = Window((height, width), stride, dilation)
    return make_window(layer, shape, plain, layer.option("Padding", _SAME), border)


def make_window(
    layer: Layer,
    shape: Shape,
    plain: Window,
    padding: int,
    border: tuple[int, int, int, int] | None = None,
) -> Window:
    """A window with its padding over an image; the padding is the schema's, or a border.

    Raises:
        ModelError: The input is no image, or an argument makes no sense.
    """
    layer.require(
        len(shape) == 3,
        f"the input {shape} is no image of one sample",
        "convert the model with a batch of 1",
    )
    size, stride, dilation = plain.size, plain.stride, plain.dilation
    layer.require(
        padding in (_SAME, _VALID) and min(*size, *stride, *dilation) >= 1,
        f"window {size}, stride {stride}, dilation {dilation}, padding {padding} make no sense",
    )
    height, width = size
    reach = max((height - 1) * dilation[0], (width - 1) * dilation[1]) + max(*stride)
    layer.require(reach < 1 << 16, f"a window of {size} with dilation {dilation} is too large")
    if border is None and padding == _SAME:
        border = same_padding(shape, (height, width), stride, dilation)
    window = Window((height, width), stride, dilation, border or (0, 0, 0, 0))
    rows, columns = window.output_size(shape)
    taps = rows * columns * height * width * shape[2]
    layer.require(taps < MAX_TAPS, f"a window of {size} over {shape} is too large")
    return window
