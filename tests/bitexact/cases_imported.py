"""Random cases for the kernels of imported models."""

from __future__ import annotations

import numpy as np

from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.numerics.fixed_point import interpolation_table, sigmoid_table, softmax_exponentials
from tinyq.numerics.formats import find_format


def _twice(draw):
    """A mantissa and an exponent that keep 8-bit differences within int32."""
    return int(draw.rng.integers(2**30, 2**31)), draw.integer(-12, 3)


def _rows(draw):
    return draw.size(3), draw.channels()


def _multiply(draw, kernel, output):
    shape = _rows(draw)
    x, y = kernel.formats
    op = OPERATIONS["Multiply"](output, draw.zero_point(x), draw.zero_point(y))
    return op, [(shape, x), (shape, y)]


def _tflite_add(draw, kernel, output):
    shape = _rows(draw)
    pairs = [(int(draw.rng.integers(2**30, 2**31)), draw.integer(-8, -1)) for _ in range(2)]
    sign = int(draw.rng.choice([-1, 1]))
    x, y = kernel.formats
    zeros = draw.zero_point(x), draw.zero_point(y)
    bits = draw.integer(15, 20) if x == "s8" else 15
    op = OPERATIONS["TfliteAdd"](output, *pairs[0], *pairs[1], sign, bits, *zeros)
    return op, [(shape, x), (shape, y)]


def _transpose(draw, kernel, output):
    size = draw.integer(1, 4), draw.integer(1, 4)
    stride = draw.integer(1, 3), draw.integer(1, 3)
    pads = tuple(draw.integer(0, size[axis // 2] - 1) for axis in range(4))
    window = Window(size, stride, (1, 1), pads)
    least = [max(1, size[0] - pads[0] - pads[1]), max(1, size[1] - pads[2] - pads[3])]
    target = (least[0] + draw.size(6) - 1, least[1] + draw.size(6) - 1)
    x, w = kernel.formats
    channels, out_channels = draw.channels(), draw.channels()
    image = (*window.output_size((*target, 1)), channels)
    op = OPERATIONS["TransposeConv2D"](output, window, target, draw.zero_point(x))
    return op, [(image, x), ((out_channels, *size, channels), w)]


def _matrices(draw, kernel, output):
    groups, depth = draw.size(3), draw.channels()
    x, y = kernel.formats
    op = OPERATIONS["MatrixMultiply"](output, draw.zero_point(x), draw.zero_point(y))
    return op, [
        ((groups, draw.size(4), depth), x),
        ((groups, draw.size(5), depth), y),
    ]


def _svdf(draw, kernel, output):
    units, rank, inputs = draw.size(5), draw.integer(1, 3), draw.channels()
    op = OPERATIONS["Svdf"](
        output, rank, int(draw.rng.integers(2**30, 2**31)), draw.integer(-9, 1), draw.integer(-9, 9)
    )
    shapes = (draw.size(2), inputs), (units * rank, inputs), (units * rank,)
    return op, list(zip(shapes, ("s8", "s8", "s16"), strict=True))


def _lstm(draw, kernel):
    steps, inputs, cells = draw.size(5), draw.channels(), draw.size(9)
    scales = [
        tuple(
            int(draw.rng.integers(2**30, 2**31)) if place % 2 == 0 else draw.integer(-8, 1)
            for place in range(8)
        )
        for _ in range(2)
    ]
    hidden = int(draw.rng.integers(2**30, 2**31)), draw.integer(-24, -20)
    clip = draw.integer(0, 1) * draw.integer(1, 32767)
    zeros = draw.zero_point("s8"), draw.zero_point("s8")
    op = OPERATIONS["TfliteLstm"](
        *scales, hidden, draw.integer(0, 6), clip, *zeros, 0.5, draw.zero_point("s8")
    )
    shapes = (steps, inputs), (4, cells, inputs), (4, cells, cells), (4, cells)
    return op, list(zip(shapes, ("s8", "s8", "s8", "s32"), strict=True))


def _lookup(draw, kernel):
    shape = _rows(draw)
    return OPERATIONS["Lookup"](0.5, draw.zero_point("s8")), [(shape, "s8"), ((256,), "s8")]


def _strided_copy(draw, kernel):
    (x,) = kernel.formats
    shape = tuple(draw.size(4) for _ in range(draw.integer(1, 4)))
    order = [int(axis) for axis in draw.rng.permutation(len(shape))]
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    target, steps, start = [], [], 0
    for axis in order:
        step = int(draw.rng.choice([-2, -1, 0, 1, 2]))
        count = draw.size(4) if step == 0 else draw.integer(1, -(-shape[axis] // abs(step)))
        reach = abs(step) * (count - 1)
        begin = draw.integer(0, shape[axis] - 1 - reach)
        start += strides[axis] * (begin + (reach if step < 0 else 0))
        target.append(count)
        steps.append(step * strides[axis])
    return OPERATIONS["StridedCopy"](tuple(target), tuple(steps), start), [(shape, x)]


def _average(draw, kernel):
    window, size = draw.window()
    window = Window(window.size, window.stride, (1, 1), window.padding)
    (x,) = kernel.formats
    limits = find_format(x)
    low = draw.integer(limits.lo, 0)
    op = OPERATIONS["TfliteAveragePool2D"](window, low, draw.integer(low, limits.hi))
    return op, [((*size, draw.channels()), x)]


def _softmax(draw, kernel):
    return OPERATIONS["TfliteSoftmax"](), [(_rows(draw), "s8"), ((256,), "s32")]


def _wide_softmax(draw, kernel):
    op = OPERATIONS["TfliteWideSoftmax"](int(draw.rng.integers(2**30, 2**31)), draw.integer(-9, 9))
    return op, [(_rows(draw), "s16"), ((513,), "s16"), ((513,), "s16")]


def _sigmoid(draw, kernel):
    op = OPERATIONS["TfliteSigmoid"](
        draw.integer(1, 2**15 - 1), draw.integer(0, 16), draw.integer(0, 1)
    )
    return op, [(_rows(draw), "s16"), ((256,), "u16")]


def _log_softmax(draw, kernel):
    scale = float(draw.rng.choice([0.01, 0.05, 0.3, 2.0]))
    _, multiplier, exponent, least = softmax_exponentials(scale, 1.0)
    fraction = 2.0 ** (31 - exponent) / multiplier
    reverse = int(fraction * 2**31), 0
    while reverse[0] < 2**30:
        reverse = reverse[0] * 2, reverse[1] - 1
    op = OPERATIONS["TfliteLogSoftmax"](multiplier, exponent, *reverse, least)
    return op, [(_rows(draw), "s8"), ((256,), "s32")]


def _pick(draw, kernel):
    shape = draw.size(4), draw.size(4), draw.channels()
    return OPERATIONS["PickPixels"](), [
        (shape, kernel.formats[0]),
        ((draw.size(6),), "u16"),
        ((draw.size(6),), "u16"),
    ]


def _interpolate(draw, kernel):
    shape = draw.size(4), draw.size(4), draw.channels()
    return OPERATIONS["Interpolate"](), [
        (shape, kernel.formats[0]),
        ((draw.size(6), 3), "s16"),
        ((draw.size(6), 3), "s16"),
    ]


def _prelu(name):
    def make(draw, kernel):
        if name == "TflitePrelu":
            pairs = [_twice(draw), _twice(draw)]
        else:
            pairs = [
                (int(draw.rng.integers(-(2**31), 2**31)), draw.integer(20, 45)) for _ in range(2)
            ]
        x, a = kernel.formats
        zeros = [draw.zero_point(each) for each in (a, x, x)]
        shape = _rows(draw)
        op = OPERATIONS[name](*pairs[0], *pairs[1], *zeros, 0.5, x)
        return op, [(shape, x), (shape[-1:], a)]

    return make


def tables_of(draw, op, codes):
    """Constants that are no free choice: tables of exponentials, of pixels, of weights."""
    if op.kernel in ("tflitesoftmax", "tflitelogsoftmax"):
        scale = float(draw.rng.choice([1e-4, 0.05, 0.3, 2.0]))
        codes[1] = softmax_exponentials(scale, 1.0)[0]
    elif op.kernel == "tflitewidesoftmax":
        codes[1] = interpolation_table(np.exp, -10.0, 0.0)
        codes[2] = interpolation_table(lambda x: np.float32(1) / (np.float32(1) + x), 0.0, 1.0)
    elif op.kernel == "tflitesigmoid":
        codes[1] = sigmoid_table()
    elif op.kernel == "matmul" and op.output.accumulator == "int32_t":
        codes[:] = [one >> 4 if np.abs(one).max() > 128 else one for one in codes]
    elif op.kernel == "svdf":
        codes[2] >>= 2  # three products of 15 and 13 bits stay within int32
    elif op.kernel in ("pickpixels", "interpolate"):
        sides = codes[0].shape[:2]
        for index, side in enumerate(sides, 1):
            codes[index] = draw.rng.integers(0, side, codes[index].shape).astype(np.int32)
            if op.kernel == "interpolate":
                codes[index][:, 2] = draw.rng.integers(0, 1025, len(codes[index]))


IMPORTED_STAGED = {
    "matmul": _matrices,
    "multiply": _multiply,
    "svdf": _svdf,
    "tfliteadd": _tflite_add,
    "transposeconv2d": _transpose,
}
IMPORTED_PLAIN = {
    "interpolate": _interpolate,
    "lookup": _lookup,
    "pickpixels": _pick,
    "prelu": _prelu("Prelu"),
    "stridedcopy": _strided_copy,
    "tfliteaveragepool2d": _average,
    "tflitelogsoftmax": _log_softmax,
    "tflitelstm": _lstm,
    "tfliteprelu": _prelu("TflitePrelu"),
    "tflitesigmoid": _sigmoid,
    "tflitesoftmax": _softmax,
    "tflitewidesoftmax": _wide_softmax,
}
