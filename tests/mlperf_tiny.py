"""The four MLPerf Tiny networks and their inputs, which are no part of the project.

They are read from ../shared/data or from the folder that TINYQ_DATA names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tinyq.graph import Graph, reference

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TINYQ_DATA", ROOT.parent / "shared/data")) / "mlperf_tiny"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the MLPerf Tiny models are not in {DATA} (set TINYQ_DATA)"
)


@dataclass(frozen=True)
class Network:
    """A model, its inputs, what it costs as it is, and how many inputs each rule gets right."""

    model: str
    inputs: str
    macs: int
    correct: dict[str, int]

    @property
    def path(self) -> Path:
        return DATA / f"models/{self.model}.tflite"

    def load(self, graph: Graph) -> tuple[np.ndarray, np.ndarray | None]:
        """All input codes, and their classes if there are labels."""
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


NETWORKS = {
    "ad": Network("ad01_int8", "ad_normal_windows.f32", 264_192, {}),
    "ic": Network(
        "pretrainedResnet_quant", "ic_inputs.npz", 12_501_632, {"tflite": 221, "half_up": 220}
    ),
    "kws": Network("kws_ref_model", "kws_inputs.npz", 2_656_768, {"tflite": 452, "half_up": 453}),
    "vww": Network("vww_96_int8", "vww_inputs.npz", 7_489_664, {"tflite": 220, "half_up": 220}),
}
