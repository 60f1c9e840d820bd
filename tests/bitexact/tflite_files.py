"""Files of TensorFlow's converter for the tests, and how they are held against LiteRT."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bitexact.litert import run_litert
from tinyq.graph import Graph, reference
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.reader import read_model

SAMPLES = 24


@dataclass(frozen=True)
class Case:
    """One model: ``build(tf, rng)`` gives a function of one tensor of ``shape``."""

    operator: str
    shape: tuple[int, ...]
    build: Callable[[Any, np.random.Generator], Callable[[Any], Any]]
    spread: float = 1.0


def normal(rng, *shape, scale=0.5):
    return (rng.normal(size=shape) * scale).astype(np.float32)


def plain(function):
    """A function of (tf, x) as a builder."""
    return lambda tf, rng: lambda x: function(tf, x)


def randomly(function):
    """A function of (tf, rng, x) as a builder."""
    return lambda tf, rng: lambda x: function(tf, rng, x)


def convert(
    case: Case,
    rng: np.random.Generator,
    bits: int = 8,
    per_channel: bool = True,
    allow_floats: bool = False,
) -> bytes:
    """The case as a .tflite file with int8 or int16 activations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        function = tf.function(case.build(tf, rng)).get_concrete_function(
            tf.TensorSpec(case.shape, tf.float32)
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel = not per_channel
        converter.representative_dataset = lambda: (
            [normal(rng, *case.shape, scale=case.spread)] for _ in range(8)
        )
        sets = tf.lite.OpsSet
        wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8 if bits == 8 else wide]
        converter.inference_input_type = tf.int8 if bits == 8 else tf.int16
        converter.inference_output_type = converter.inference_input_type
        content = converter.convert()
    if not allow_floats:
        require_integers(content)
    return content


def require_integers(content: bytes) -> None:
    """Fail where the converter left an operator in floating point or computes what nobody reads.

    Of an output that nobody reads it knows no range, and then some runs are quantized and others
    are not.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        model = read_model(path)
    read = {index for operator in model.operators for index in operator.inputs} | {*model.outputs}
    for operator in model.operators:
        places = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
        floats = [str(model.tensors[i]) for i in places if model.tensors[i].type == "FLOAT32"]
        assert not floats, f"the converter left {operator} in floating point: {floats}"
        unread = [str(model.tensors[i]) for i in operator.outputs if i not in read]
        assert not unread, f"nobody reads {unread} of {operator}: change the case"


def rewrite(content: bytes, change: Callable[[Any, Any], None]) -> bytes:
    """The file after ``change(schema, model)``."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    change(schema, model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def compare(content: bytes, operator: str, tmp_path: Path, rng: np.random.Generator) -> Graph:
    """Check that the file has the operator and that both rules compute what they should."""
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert operator in {entry.name for entry in read_model(path).operators}
    graph = import_tflite(path, "tflite")
    limits = graph.input.type.format
    codes = rng.integers(limits.lo, limits.hi + 1, (SAMPLES, *graph.input.type.shape))
    codes[0], codes[1] = limits.lo, limits.hi
    expected = run_litert(content, codes)
    found = reference.run(graph, codes)
    mismatches = int((found != expected.reshape(found.shape)).sum())
    assert mismatches == 0, f"{mismatches} of {found.size} codes differ"
    single = reference.run(import_tflite(path, "half_up"), codes)
    assert np.abs(single - found).max() <= 2, np.abs(single - found).max()
    return graph
