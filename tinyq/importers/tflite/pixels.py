"""Which pixel of an image a nearest-neighbour resize takes, in float32 as TFLite decides."""

from __future__ import annotations

import math

import numpy as np

from tinyq.importers.tflite.file_layer import FileLayer
from tinyq.importers.tflite.layer import round_away

MAX_SIDE = 1 << 14


def nearest_pixel(layer: FileLayer, index: int, have: int, want: int) -> int:
    """The pixel of ``have`` that place ``index`` of ``want`` shows, by the operator's options."""
    single = np.float32
    aligned = bool(layer.option("AlignCorners", False))
    centers = bool(layer.option("HalfPixelCenters", False))
    corners = aligned and want > 1
    scale = single(have - 1) / single(want - 1) if corners else single(have) / single(want)
    place = float((single(index) + single(0.5 if centers else 0.0)) * scale)
    chosen = round_away(place) if aligned else math.floor(place)
    return max(min(chosen, have - 1), 0)
