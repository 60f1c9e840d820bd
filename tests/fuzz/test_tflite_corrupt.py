"""Damaged .tflite files: an error that names the file, or a valid graph; never anything else.

``TINYQ_FUZZ_FILES`` sets how many files are tried. A file that fails is kept in build/fuzz/.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.bitexact.test_tflite_networks import NETWORKS, SHAPE, from_keras, sequences
from tests.bitexact.test_tflite_ops import CASES
from tests.bitexact.test_tflite_recurrent import write_lstm, write_svdf
from tests.bitexact.test_tflite_unsigned import as_unsigned
from tests.bitexact.tflite_files import Case, convert, rewrite
from tests.peak_memory import measure_growth
from tinyq.errors import ModelError
from tinyq.graph import Graph, reference
from tinyq.graph.passes import simplify
from tinyq.importers.tflite import import_tflite
from tinyq.importers.tflite.survey import survey_tflite

FILES = int(os.environ.get("TINYQ_FUZZ_FILES", 600))
KEPT = Path(__file__).parents[2] / "build" / "fuzz"
MOST_SECONDS = 5.0
MOST_BYTES = 1 << 30
ORIGINALS = (
    *("conv 3x3", "depthwise multiplier", "dense relu", "average pool", "mean", "add broadcast"),
    *("mul", "concat channels", "unpack", "split sizes", "pad channels", "transpose", "slice"),
    *("strided slice shrink", "softmax", "log softmax", "tanh", "prelu", "hard swish"),
    *("argmax rows", "matmul", "transposed conv", "nearest corners", "bilinear centers"),
)
WIDE_ORIGINALS = ("conv 3x3", "dense", "leaky relu", "matmul left", "softmax", "tanh")
MORE = ("functions", "moves", "reductions", "choices", "normalizations", "sums")
WORDS = (0, 1, 2, 4, 7, 127, 255, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4)


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    from tensorflow.lite.python import schema_py_generated as schema

    rng = np.random.default_rng(0)
    recurrent = [write_lstm(schema, rng, 4, 5, 6), write_svdf(schema, rng, 6, 4, 2, 3)]
    wide = [convert(CASES[name], rng, 16) for name in WIDE_ORIGINALS]
    networks = [
        convert(Case("", SHAPE, NETWORKS[name][0]), rng, allow_floats=True) for name in MORE
    ]
    unsigned = rewrite(convert(CASES["conv 3x3"], rng, per_channel=False), as_unsigned(60))
    several = [*recurrent, *wide, *networks, unsigned, open_batch(rng)]
    return [*several, *(convert(CASES[name], rng) for name in ORIGINALS)]


def open_batch(rng: np.random.Generator) -> bytes:
    import keras

    shape, layers = sequences(keras.layers)
    return from_keras(keras.Sequential([keras.Input(shape), *layers]), shape, rng)


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """A copy with one kind of damage."""
    data = bytearray(content)
    kind = int(rng.integers(6))
    if kind == 0:  # cut off
        return bytes(data[: int(rng.integers(len(data)))])
    if kind == 1:  # flipped bits
        for _ in range(int(rng.integers(1, 9))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif kind == 2:  # a word with another, often telling, value
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(len(data) // 4)) * 4
            data[place : place + 4] = int(rng.choice(WORDS)).to_bytes(4, "little")
    elif kind == 3:  # random bytes
        place = int(rng.integers(len(data)))
        count = int(rng.integers(1, 33))
        data[place : place + count] = rng.bytes(min(count, len(data) - place))
    elif kind == 4:  # a part left out
        place = int(rng.integers(8, len(data)))
        del data[place : place + int(rng.integers(1, 65))]
    else:  # a part copied over another
        source, target = (int(rng.integers(8, len(data))) for _ in range(2))
        count = int(rng.integers(1, 65))
        data[target : target + count] = data[source : source + count]
    return bytes(data)


def use(graph: Graph) -> None:
    """A graph that came out is valid: it verifies, simplifies and runs, or an operand overflows."""
    graph.verify()
    macs = sum(graph.macs(node) for node in graph.nodes)
    elements = sum(int(np.prod(t.type.shape, dtype=np.int64)) for t in graph.tensors.values())
    if macs > 10**6 or elements > 10**5:
        return
    rng = np.random.default_rng(0)
    lo, hi = graph.input.type.format.lo, graph.input.type.format.hi
    codes = rng.integers(max(lo, -(2**15)), min(hi, 2**15 - 1) + 1, (2, *graph.input.type.shape))
    try:
        expected = reference.run(graph, codes)
        assert (reference.run(simplify(graph), codes) == expected).all()
    except ModelError as error:
        assert "leaves int32" in str(error) or "leaves 46 bits" in str(error)


def test_damaged_files(originals, tmp_path, seed):
    refused = accepted = 0
    path = tmp_path / "damaged.tflite"
    for index in range(FILES):
        rng = np.random.default_rng((seed, index))
        content = damage(originals[index % len(originals)], rng)
        path.write_bytes(content)
        rule = ("tflite", "half_up")[index // len(originals) % 2]
        start = time.monotonic()
        try:
            graph = import_tflite(path, rule)
            use(graph)
            accepted += 1
        except ModelError as error:
            assert "damaged" in (error.where or ""), f"no place in {error!r}"
            refused += 1
        except BaseException:
            KEPT.mkdir(parents=True, exist_ok=True)
            (KEPT / f"damaged_{seed}_{index}.tflite").write_bytes(content)
            raise
        assert time.monotonic() - start < MOST_SECONDS, f"file {index} took too long"
    assert min(refused, accepted) > FILES // 20, (refused, accepted)


def test_memory_stays_bounded(originals, tmp_path):
    """No damaged file may grow this process by more than a gigabyte."""
    path = tmp_path / "damaged.tflite"

    def import_damaged() -> None:
        for index in range(FILES):
            rng = np.random.default_rng((1, index))
            path.write_bytes(damage(originals[index % len(originals)], rng))
            with suppress(ModelError):
                import_tflite(path)

    assert measure_growth(import_damaged) < MOST_BYTES


def test_damaged_files_of_floats(tmp_path, seed):
    """What is rebuilt in Keras: a model, or an error that names the file."""
    from tests.bitexact.test_tflite_floats import convert_floats
    from tinyq.importers.tflite.rebuilding import rebuild_keras

    rng = np.random.default_rng(0)
    names = ("conv 3x3", "dense rows", "split sizes", "mul gate", "transposed conv", "prelu")
    originals = [convert_floats(CASES[name], rng) for name in names]
    path = tmp_path / "damaged.tflite"
    accepted = 0
    for index in range(FILES // 6):
        rng = np.random.default_rng((seed, 3, index))
        path.write_bytes(damage(originals[index % len(originals)], rng))
        try:
            rebuild_keras(path)
            accepted += 1
        except ModelError as error:
            assert "damaged" in (error.where or ""), f"no place in {error!r}"
    assert FILES // 60 < accepted < FILES // 6


def test_all_refusals_of_damaged_files(originals, tmp_path, seed):
    """The survey finds at least one where the import finds one, and none elsewhere."""
    path = tmp_path / "damaged.tflite"
    for index in range(FILES // 3):
        rng = np.random.default_rng((seed, 2, index))
        path.write_bytes(damage(originals[index % len(originals)], rng))
        graph, refusals = survey_tflite(path)
        assert (graph is None) == bool(refusals)
        assert all("damaged" in (error.where or "") for error in refusals)


def test_no_file(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        import_tflite(tmp_path / "nothing.tflite")


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(100), b"\x00" * 4 + b"TFL3" + bytes(50)])
def test_no_model(content, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        import_tflite(path)
