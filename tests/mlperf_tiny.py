"""The four MLPerf Tiny networks and their inputs, which are no part of the project.

They are read from ../shared/data or from the folder that TINYQ_DATA names. A small network of the
project's own, of the same operators, stands beside them, so that nothing is left out without them.
"""

from __future__ import annotations

import atexit
import functools
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyq.graph import Graph, reference

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TINYQ_DATA", ROOT.parent / "shared/data")) / "mlperf_tiny"
_NEEDS_DATA = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the MLPerf Tiny models are not in {DATA} (set TINYQ_DATA)"
)
OWN = "own"
_SHAPE, _SAMPLES = (1, 12, 10, 3), 160


@dataclass(frozen=True)
class Network:
    """A model, its inputs, what it costs as it is, and how many inputs each rule gets right."""

    model: str
    inputs: str
    macs: int
    correct: dict[str, int]

    @property
    def path(self) -> Path:
        return _write_own() if self.model == OWN else DATA / f"models/{self.model}.tflite"

    def load(self, graph: Graph) -> tuple[np.ndarray, np.ndarray | None]:
        """All input codes, and their classes if there are labels."""
        if self.model == OWN:
            codes = np.random.default_rng(3).integers(
                -128, 128, (_SAMPLES, *graph.input.type.shape)
            )
            return codes.astype(np.int32), None
        return load_inputs(DATA / self.inputs, graph)


def load_inputs(path: Path, graph: Graph) -> tuple[np.ndarray, np.ndarray | None]:
    """Input codes and, if there are labels, the classes."""
    if path.suffix == ".f32":
        values = np.fromfile(path, "<f4")
        windows = np.lib.stride_tricks.sliding_window_view(values, 640)[::128]
        return reference.quantize_input(windows, graph.input.type), None
    with np.load(path) as archive:
        x, y = archive["x"], archive["y"]
    codes = x.astype(np.int32) - (128 if x.dtype == np.uint8 else 0)
    return codes.reshape(-1, *graph.input.type.shape), y.astype(np.int64)


@functools.cache
def _write_own() -> Path:
    """A file of the converter: what keyword spotting and image recognition are made of."""
    from tests.bitexact.tflite_files import Case, convert

    folder = tempfile.TemporaryDirectory(prefix="tinyq-own-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "own.tflite"
    rng = np.random.default_rng(1)
    path.write_bytes(convert(Case("CONV_2D", _SHAPE, _build_own), rng))
    return path


def _build_own(tf: Any, rng: np.random.Generator) -> Callable[[Any], Any]:
    def draw(*shape: int) -> Any:
        spread = np.sqrt(2 / np.prod(shape[:-1] if len(shape) != 4 or shape[3] > 1 else shape[:2]))
        return tf.constant((rng.normal(size=shape) * spread).astype(np.float32))

    first, single = draw(3, 3, 3, 8), draw(3, 3, 8, 1)
    point, again, last = draw(1, 1, 8, 16), draw(3, 3, 16, 16), draw(16, 6)

    def network(x: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(x, first, 2, "SAME") + 0.1)
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, single, [1, 1, 1, 1], "SAME") - 0.1)
        x = tf.nn.relu(tf.nn.conv2d(x, point, 1, "VALID"))
        x = tf.nn.relu(x + tf.nn.conv2d(x, again, 1, "SAME"))
        x = tf.nn.avg_pool2d(x, [6, 5], 1, "VALID")
        return tf.nn.softmax(tf.reshape(x, [1, 16]) @ last)

    return network


NETWORKS = {
    OWN: Network(OWN, "", 81_696, {}),
    "ad": Network("ad01_int8", "ad_normal_windows.f32", 264_192, {}),
    "ic": Network(
        "pretrainedResnet_quant", "ic_inputs.npz", 12_501_632, {"tflite": 221, "half_up": 220}
    ),
    "kws": Network("kws_ref_model", "kws_inputs.npz", 2_656_768, {"tflite": 452, "half_up": 453}),
    "vww": Network("vww_96_int8", "vww_inputs.npz", 7_489_664, {"tflite": 220, "half_up": 220}),
}
# For the parametrization of tests.
NAMES = [pytest.param(name, marks=[] if name == OWN else _NEEDS_DATA) for name in NETWORKS]
