"""Models of one operator that moves codes, resizes an image or changes the scale."""

from __future__ import annotations

from tests.bitexact.tflite_files import Case, plain


def resize(method, size, corners=False, centers=False):
    name = {"nearest": "ResizeNearestNeighbor", "bilinear": "ResizeBilinear"}[method]
    return plain(
        lambda tf, x: getattr(tf.raw_ops, name)(
            images=x, size=list(size), align_corners=corners, half_pixel_centers=centers
        )
    )


MOVES = {
    "concat channels": Case(
        "CONCATENATION", (1, 4, 5, 3), plain(lambda tf, x: tf.concat([x, tf.nn.relu(x), x], -1))
    ),
    "concat rows": Case(
        "CONCATENATION", (1, 4, 5, 3), plain(lambda tf, x: tf.concat([tf.nn.relu6(x), x], 1))
    ),
    "pack": Case("PACK", (1, 4, 3), plain(lambda tf, x: tf.stack([x, tf.nn.relu(x)], 2))),
    "unpack": Case(
        "UNPACK",
        (1, 3, 4, 5),
        # Every part is used: of a part that nobody reads the converter knows no range, and it then
        # leaves the operator in floating point in some runs and not in others.
        plain(lambda tf, x: (lambda parts: parts[2] + parts[0] * parts[1])(tf.unstack(x, axis=1))),
    ),
    "split": Case(
        "SPLIT",
        (1, 4, 6),
        plain(lambda tf, x: (lambda parts: parts[1] - parts[0])(tf.split(x, 2, axis=2))),
    ),
    "split sizes": Case(
        "SPLIT_V",
        (1, 7, 3),
        plain(lambda tf, x: tf.concat(tf.split(x, [2, 4, 1], axis=1)[::-1], 1)),
    ),
    "pad": Case(
        "PAD", (1, 5, 4, 3), plain(lambda tf, x: tf.pad(x, [[0, 0], [1, 2], [0, 3], [0, 0]]))
    ),
    "pad channels": Case(
        "PAD", (1, 5, 4, 3), plain(lambda tf, x: tf.pad(x, [[0, 0], [1, 0], [0, 0], [2, 1]]))
    ),
    "pad vector": Case("PAD", (1, 5), plain(lambda tf, x: tf.pad(x, [[0, 0], [3, 4]]))),
    "pad value": Case(
        "PADV2",
        (1, 5, 4, 3),
        plain(lambda tf, x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-0.4)),
    ),
    "reshape": Case("RESHAPE", (1, 6, 4), plain(lambda tf, x: tf.reshape(x, [1, 3, 8]))),
    "reshape rows": Case(
        "RESHAPE",
        (1, 6, 4),
        plain(lambda tf, x: tf.nn.relu(tf.reshape(x, [6, 4]))),
    ),
    "transpose": Case(
        "TRANSPOSE", (1, 4, 5, 3), plain(lambda tf, x: tf.transpose(x, [0, 3, 1, 2]))
    ),
    "transpose batch": Case(
        "TRANSPOSE", (1, 4, 5), plain(lambda tf, x: tf.transpose(x, [2, 0, 1]))
    ),
    "slice": Case(
        "SLICE", (1, 6, 5, 4), plain(lambda tf, x: tf.slice(x, [0, 1, 0, 2], [1, 3, -1, 2]))
    ),
    "strided slice ellipsis": Case("STRIDED_SLICE", (1, 9, 5, 4), plain(lambda tf, x: x[..., 1:3])),
    "strided slice new axis": Case(
        "STRIDED_SLICE", (1, 9, 5), plain(lambda tf, x: x[:, tf.newaxis, 2:8:2, 1:])
    ),
    "strided slice": Case("STRIDED_SLICE", (1, 9, 5, 4), plain(lambda tf, x: x[:, 1:8:3, ::-2])),
    "strided slice shrink": Case(
        "STRIDED_SLICE", (1, 9, 5, 4), plain(lambda tf, x: x[:, -2, :, 1:])
    ),
    "squeeze": Case("RESHAPE", (1, 4, 1, 3), plain(lambda tf, x: tf.squeeze(x, [2]))),
    "expand_dims": Case(
        "RESHAPE", (1, 4, 3), plain(lambda tf, x: tf.raw_ops.ExpandDims(input=x, axis=2))
    ),
    "nearest": Case("RESIZE_NEAREST_NEIGHBOR", (1, 5, 4, 3), resize("nearest", (10, 7))),
    "nearest corners": Case(
        "RESIZE_NEAREST_NEIGHBOR", (1, 5, 4, 3), resize("nearest", (9, 7), corners=True)
    ),
    "nearest centers": Case(
        "RESIZE_NEAREST_NEIGHBOR", (1, 5, 4, 3), resize("nearest", (3, 8), centers=True)
    ),
    "bilinear": Case("RESIZE_BILINEAR", (1, 5, 4, 3), resize("bilinear", (10, 7))),
    "bilinear corners": Case(
        "RESIZE_BILINEAR", (1, 5, 4, 3), resize("bilinear", (9, 7), corners=True)
    ),
    "bilinear centers": Case(
        "RESIZE_BILINEAR", (1, 5, 4, 3), resize("bilinear", (12, 3), centers=True)
    ),
    "requantize": Case(
        "QUANTIZE", (1, 4, 5, 3), plain(lambda tf, x: tf.concat([x, tf.nn.sigmoid(x)], 1))
    ),
}
