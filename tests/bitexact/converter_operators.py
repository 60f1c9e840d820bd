"""Every operator that TensorFlow's converter writes with int8 or int16, as small functions.

    python -m tests.bitexact.converter_operators [--bits 8,16] [--names REGEX] [--page PAGE.md]

converts each, imports it under ``--rounding tflite`` and holds it against LiteRT, byte for byte.
What the converter leaves in floating point or refuses is said so. Names are those of the function;
which operators the file holds is read from it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 24
EXACT, FLOAT, REFUSED, DIFFERS, CONVERTER = "exact", "float", "refused", "differs", "converter"
# Operators around the one that is tried.
_BORDER = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Outcome:
    """What became of one function.

    Attributes:
        name: Of the function.
        bits: Of activations.
        operators: That the file holds.
        state: ``exact``, ``differs``, ``refused`` (by tinyq), ``float`` (the converter left it in
            floating point) or ``converter`` (which refuses it).
        reason: Why not, one line.
    """

    name: str
    bits: int
    operators: tuple[str, ...]
    state: str
    reason: str = ""


def functions(tf: Any) -> dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]]:
    """Shape of the input, and the function, by name."""
    rng = np.random.default_rng(5)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    raw, nn = tf.raw_ops, tf.nn
    image, row = (1, 6, 8, 4), (1, 24)
    weights = {
        name: normal(*shape)
        for name, shape in {
            "conv": (3, 3, 4, 6),
            "depth": (3, 3, 4, 2),
            "dense": (24, 7),
            "up": (3, 3, 5, 4),
            "group": (3, 3, 2, 6),
            "like": image,
            "channel": (4,),
            "slopes": (1, 1, 4),
        }.items()
    }
    w = {name: tf.constant(value) for name, value in weights.items()}
    positive = lambda x: tf.abs(x) + 0.1  # noqa: E731
    return {
        "abs": (image, tf.abs),
        "add": (image, lambda x: x + nn.relu(x)),
        "add constant": (image, lambda x: x + w["channel"]),
        "add_n": (image, lambda x: tf.add_n([x, nn.relu(x), nn.relu6(x)])),
        "all": (image, lambda x: tf.cast(tf.reduce_all(x > 0.0, [1, 2]), tf.float32)),
        "any": (image, lambda x: tf.cast(tf.reduce_any(x > 0.9, [1, 2]), tf.float32)),
        "argmax": (image, lambda x: tf.argmax(x, -1, tf.int32)),
        "argmin": (image, lambda x: tf.argmin(x, -1, tf.int32)),
        "average pool": (image, lambda x: nn.avg_pool2d(x, 2, 2, "SAME")),
        "batch matmul": (image, lambda x: tf.matmul(x, nn.relu(x), transpose_b=True)),
        "batch to space": (
            (4, 3, 4, 2),
            lambda x: raw.BatchToSpaceND(input=x, block_shape=[2, 2], crops=[[0, 1], [0, 0]]),
        ),
        "broadcast to": ((1, 1, 8, 4), lambda x: tf.broadcast_to(x, image)),
        "cast": (image, lambda x: tf.cast(x > 0.0, tf.float32)),
        "ceil": (image, tf.math.ceil),
        "clip": (image, lambda x: tf.clip_by_value(x, -0.5, 0.7)),
        "concat": (image, lambda x: tf.concat([x, nn.relu(x)], 1)),
        "conv": (image, lambda x: nn.conv2d(x, w["conv"], 1, "SAME")),
        "conv stride": (image, lambda x: nn.relu6(nn.conv2d(x, w["conv"], 2, "VALID"))),
        "conv dilated": (image, lambda x: nn.conv2d(x, w["conv"], 1, "SAME", dilations=2)),
        "conv grouped": (image, lambda x: nn.conv2d(x, w["group"], 1, "SAME")),
        "conv transposed": (
            image,
            lambda x: nn.conv2d_transpose(x, w["up"], [1, 12, 16, 5], 2, "SAME"),
        ),
        "cos": (image, tf.cos),
        "cumsum": (image, lambda x: tf.cumsum(x, 1)),
        "depth to space": (image, lambda x: nn.depth_to_space(x, 2)),
        "depthwise": (image, lambda x: nn.depthwise_conv2d(x, w["depth"], [1, 1, 1, 1], "SAME")),
        "div": (image, lambda x: x / positive(nn.relu(x))),
        "div constant": (image, lambda x: x / 3.0),
        "elu": (image, nn.elu),
        "equal": (image, lambda x: tf.cast(tf.equal(nn.relu(x), nn.relu6(x)), tf.float32)),
        "exp": (image, tf.exp),
        "expand dims": (image, lambda x: raw.ExpandDims(input=x, axis=2)),
        "floor": (image, tf.floor),
        "floor div": (image, lambda x: x // 0.3),
        "floor mod": (image, lambda x: tf.math.floormod(x, 0.7)),
        "fully connected": (row, lambda x: tf.matmul(x, w["dense"])),
        "gather": (image, lambda x: tf.gather(x, [3, 0, 2, 2], axis=2)),
        "gather nd": (image, lambda x: tf.gather_nd(x, [[0, 1, 2], [0, 5, 7]])),
        "gelu": (image, lambda x: nn.gelu(x, approximate=False)),
        "gelu approximate": (image, lambda x: nn.gelu(x, approximate=True)),
        "global max": (image, lambda x: tf.reduce_max(x, [1, 2])),
        "greater": (image, lambda x: tf.cast(x > nn.relu(x) * 0.5, tf.float32)),
        "greater equal": (image, lambda x: tf.cast(x >= 0.1, tf.float32)),
        "hard sigmoid": (image, lambda x: nn.relu6(x + 3.0) / 6.0),
        "hard swish": (image, lambda x: x * nn.relu6(x + 3.0) / 6.0),
        "l2 normalization": (row, lambda x: nn.l2_normalize(x, -1)),
        "layer normalization": (
            row,
            lambda x: (
                (x - tf.reduce_mean(x, -1, True))
                * tf.math.rsqrt(
                    tf.reduce_mean(tf.square(x - tf.reduce_mean(x, -1, True)), -1, True) + 0.01
                )
            ),
        ),
        "leaky relu": (image, lambda x: nn.leaky_relu(x, 0.2)),
        "less": (image, lambda x: tf.cast(x < 0.2, tf.float32)),
        "less equal": (image, lambda x: tf.cast(x <= nn.relu(x), tf.float32)),
        "log": (image, lambda x: tf.math.log(positive(x))),
        "log softmax": (row, nn.log_softmax),
        "logical and": (image, lambda x: tf.cast((x > 0.1) & (x < 0.6), tf.float32)),
        "logical or": (image, lambda x: tf.cast((x > 0.4) | (x < 0.1), tf.float32)),
        "logical not": (image, lambda x: tf.cast(~(x > 0.4), tf.float32)),
        "logistic": (image, nn.sigmoid),
        "max pool": (image, lambda x: nn.max_pool2d(x, 2, 2, "SAME")),
        "maximum": (image, lambda x: tf.maximum(x, nn.relu(x) * 0.5)),
        "maximum constant": (image, lambda x: tf.maximum(x, 0.2)),
        "mean": (image, lambda x: tf.reduce_mean(x, [1, 2])),
        "mean last": (image, lambda x: tf.reduce_mean(x, -1, True)),
        "minimum": (image, lambda x: tf.minimum(x, nn.relu(x) * 0.5)),
        "mirror pad": (image, lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT")),
        "mirror pad symmetric": (
            image,
            lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], "SYMMETRIC"),
        ),
        "mul": (image, lambda x: x * nn.relu(x)),
        "mul constant": (image, lambda x: x * w["channel"]),
        "neg": (image, tf.negative),
        "not equal": (image, lambda x: tf.cast(tf.not_equal(x, nn.relu(x)), tf.float32)),
        "pack": (image, lambda x: tf.stack([x, nn.relu(x)], 1)),
        "pad": (image, lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]])),
        "pad value": (
            image,
            lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], constant_values=0.3),
        ),
        "pow": (image, lambda x: tf.pow(positive(x), 1.5)),
        "prelu": (image, lambda x: nn.relu(x) - w["slopes"] * nn.relu(-x)),
        "reduce max": (image, lambda x: tf.reduce_max(x, -1)),
        "reduce min": (image, lambda x: tf.reduce_min(x, [1, 2])),
        "reduce prod": (image, lambda x: tf.reduce_prod(x, [1, 2])),
        "relu": (image, nn.relu),
        "relu6": (image, nn.relu6),
        "relu n1 to 1": (image, lambda x: tf.maximum(-1.0, tf.minimum(x, 1.0))),
        "relu 0 to 1": (image, lambda x: tf.maximum(0.0, tf.minimum(x, 1.0))),
        "reshape": (image, lambda x: nn.relu(tf.reshape(x, [1, 48, 4]))),
        "resize bilinear": (
            image,
            lambda x: raw.ResizeBilinear(images=x, size=[9, 11], half_pixel_centers=True),
        ),
        "resize nearest": (image, lambda x: raw.ResizeNearestNeighbor(images=x, size=[9, 11])),
        "reverse": (image, lambda x: tf.reverse(x, [2])),
        "round": (image, lambda x: tf.round(2.3 * x)),
        "rsqrt": (image, lambda x: tf.math.rsqrt(positive(x))),
        "select": (image, lambda x: tf.where(x > 0.1, nn.relu6(x), x)),
        "sign": (image, tf.sign),
        "sin": (image, tf.sin),
        "slice": (image, lambda x: tf.slice(x, [0, 1, 2, 0], [1, 3, -1, 2])),
        "softmax": (row, nn.softmax),
        "softplus": (image, nn.softplus),
        "space to batch": (
            image,
            lambda x: raw.SpaceToBatchND(input=x, block_shape=[2, 2], paddings=[[0, 0], [2, 0]]),
        ),
        "space to depth": (image, lambda x: nn.space_to_depth(x, 2)),
        "split": (image, lambda x: (lambda p: p[0] - p[1])(tf.split(x, 2, 2))),
        "split sizes": (image, lambda x: tf.concat(tf.split(x, [1, 3, 4], 2)[::-1], 2)),
        "sqrt": (image, lambda x: tf.sqrt(positive(x))),
        "square": (image, tf.square),
        "squared difference": (image, lambda x: tf.math.squared_difference(x, nn.relu(x) * 0.5)),
        "squeeze": ((1, 6, 1, 4), lambda x: nn.relu(tf.squeeze(x, [2]))),
        "strided slice": (image, lambda x: x[:, 1:6:2, ::-1, 1:]),
        "sub": (image, lambda x: nn.sigmoid(x) - x),
        "sum": (image, lambda x: tf.reduce_sum(x, [1, 2])),
        "swish": (image, nn.silu),
        "tanh": (image, tf.tanh),
        "tile": (image, lambda x: tf.tile(x, [1, 2, 1, 3])),
        "top k": (row, lambda x: tf.math.top_k(x, 5)[0]),
        "transpose": (image, lambda x: tf.transpose(x, [0, 3, 1, 2])),
        "unpack": (image, lambda x: (lambda p: p[0] + p[1] * p[2])(tf.unstack(x[:, :3], axis=1))),
        "zeros like": (image, lambda x: x + tf.zeros_like(x)),
    }


def convert(tf: Any, name: str, bits: int) -> bytes:
    """The file of a function; what the converter prints is lost."""
    shape, function = functions(tf)[name]
    rng = np.random.default_rng(3)
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.normal(0, 1, shape).astype(np.float32)] for _ in range(8)
    )
    sets = tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    integer = sets.TFLITE_BUILTINS_INT8 if bits == 8 else wide
    converter.target_spec.supported_ops = [integer, sets.TFLITE_BUILTINS]
    converter.inference_input_type = tf.int8 if bits == 8 else tf.int16
    converter.inference_output_type = converter.inference_input_type
    with contextlib.redirect_stderr(io.StringIO()):
        return bytes(converter.convert())


def try_function(tf: Any, name: str, bits: int, folder: Path) -> Outcome:
    """Convert, import, compare."""
    from tests.bitexact.litert import run_litert
    from tinyq.errors import TinyqError
    from tinyq.graph import reference
    from tinyq.importers.tflite import import_tflite
    from tinyq.importers.tflite.reader import read_model

    try:
        content = convert(tf, name, bits)
    except Exception as error:  # the converter raises what it likes
        return Outcome(name, bits, (), CONVERTER, _last_line(error))
    path = folder / "model.tflite"
    path.write_bytes(content)
    model = read_model(path)
    inner = [operator for operator in model.operators if operator.name not in _BORDER]
    found = tuple(dict.fromkeys(operator.name for operator in inner))
    floats = any(
        model.tensors[index].type == "FLOAT32"
        for one in inner
        for index in (*one.inputs, *one.outputs)
        if index >= 0
    )
    try:
        graph = import_tflite(path, "tflite")
    except TinyqError as error:
        return Outcome(name, bits, found, FLOAT if floats else REFUSED, error.message)
    rng, limits = np.random.default_rng(7), graph.input.type.format
    codes = rng.integers(limits.lo, limits.hi + 1, (SAMPLES, *graph.input.type.shape))
    codes[0], codes[1] = limits.lo, limits.hi
    try:
        expected = run_litert(content, codes)
    except (ValueError, RuntimeError) as error:
        return Outcome(name, bits, found, CONVERTER, f"LiteRT: {_last_line(error)}")
    codes = reference.run(graph, codes)
    if expected.dtype == np.float32:
        from tinyq.graph.reference import dequantize

        same = dequantize(codes, graph.output.type).reshape(expected.shape) == expected
    else:
        same = codes.reshape(expected.shape) == expected
    differing = int((~same).sum())
    return Outcome(
        name, bits, found, DIFFERS if differing else EXACT, f"{differing} codes" * (differing > 0)
    )


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:160]


def try_all(bits: list[int], pattern: str = "") -> Iterator[Outcome]:
    """Outcomes of all functions whose name matches."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        for width in bits:
            for name in functions(tf):
                if re.search(pattern, name):
                    yield try_function(tf, name, width, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", default="8,16")
    parser.add_argument("--names", default="", help="try names that match this expression")
    parser.add_argument("--page", type=Path, help="write the table to this file, too")
    options = parser.parse_args()
    rows = []
    for outcome in try_all([int(bits) for bits in options.bits.split(",")], options.names):
        cells = (
            outcome.name,
            outcome.bits,
            " ".join(outcome.operators),
            outcome.state,
            outcome.reason,
        )
        rows.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
        print(rows[-1], flush=True)
    if options.page:
        head = ["# What TensorFlow's converter writes, and what tinyq makes of it", ""]
        head += ["    python -m tests.bitexact.converter_operators --page PAGE.md", ""]
        head += ["| function | bits | operators of the file | outcome | |", "|---|--:|---|---|---|"]
        options.page.write_text("\n".join([*head, *rows]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
