"""Cross-layer equalization: scales that move from one layer's outputs to the next one's inputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinyq.training.patterns import FusedLayer

_LEAST, _MOST = 1e-2, 1e2
_DEPTHWISE = ("DepthwiseConv2D", "DepthwiseConv1D")
# Fused layers between two layers with weights that leave the channels innermost.
_KEEP_CHANNELS = (
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "Identity", "Flatten"),
    *("MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    *("ZeroPadding1D", "ZeroPadding2D"),
)


def equalize(fused_layers: tuple[FusedLayer, ...]) -> int:
    """Scale channels between neighbouring layers with weights so that their ranges agree.

        s_i = sqrt(r_i * q_i) / q_i,   W_1[i] /= s_i,  b_1[i] /= s_i,  W_2[:, i] *= s_i

    with r_i the largest folded weight of output channel i, q_i that of input channel i of the next
    layer. A ReLU and layers that move values commute with positive factors, so the float model
    computes the same function; a ReLU6 does not and is left alone.

    Args:
        fused_layers: Of a float model, whose weights are changed in place.

    Returns:
        How many pairs of layers were scaled.

    Reference: Nagel et al. 2019, arXiv:1906.04721, eq. 11.
    """
    pairs = _pairs(fused_layers)
    for first, second in pairs:
        _scale(first, second)
    return len(pairs)


def _pairs(fused_layers: tuple[FusedLayer, ...]) -> list[tuple[FusedLayer, FusedLayer]]:
    found = []
    for first in fused_layers:
        if not _takes_scales(first) or first.activation == "relu6" or first.is_output:
            continue
        if first.batch_norm is not None and not first.batch_norm.scale:
            continue  # nothing in the layer can take the factor up
        second = _only_reader(fused_layers, first)
        while second is not None and second.is_preserving and second.kind in _KEEP_CHANNELS:
            second = None if second.is_output else _only_reader(fused_layers, second)
        if second is not None and _takes_scales(second):
            found.append((first, second))
    return found


def _takes_scales(fused: FusedLayer) -> bool:
    how = fused.quantization
    return how is not None and how.equalizes and getattr(fused.layer, "groups", 1) == 1


def _only_reader(fused_layers: tuple[FusedLayer, ...], fused: FusedLayer) -> FusedLayer | None:
    readers = [reader for reader in fused_layers if fused.name in reader.inputs]
    return readers[0] if len(readers) == 1 else None


def _scale(first: FusedLayer, second: FusedLayer) -> None:
    outgoing = _outgoing(first)
    kernel = _array(second.layer.kernel)
    if second.kind in _DEPTHWISE:
        incoming = np.abs(kernel).max(axis=(*range(kernel.ndim - 2), kernel.ndim - 1))
    else:
        # After Flatten the channel is the innermost part of the input's index.
        grouped = np.abs(kernel).reshape(-1, kernel.shape[-2], kernel.shape[-1]).max(axis=(0, 2))
        incoming = grouped.reshape(-1, len(outgoing)).max(axis=0)
    usable = (outgoing > 0) & (incoming > 0)
    ratio = np.where(usable, outgoing / np.where(usable, incoming, 1.0), 1.0)
    factor = np.clip(np.sqrt(ratio), _LEAST, _MOST)
    _divide_outputs(first, factor)
    repeats = kernel.shape[-2] // len(factor)
    second.layer.kernel.assign(kernel * np.tile(factor, repeats)[:, None])


def _outgoing(fused: FusedLayer) -> np.ndarray:
    """Largest weight of each output channel, BatchNorm folded in."""
    kernel = np.abs(_array(fused.layer.kernel))
    if fused.kind in _DEPTHWISE:
        kernel = kernel.reshape(*kernel.shape[:-2], -1)
    largest = kernel.max(axis=tuple(range(kernel.ndim - 1)))
    norm = fused.batch_norm
    if norm is not None:
        gamma = _array(norm.gamma) if norm.scale else 1.0
        largest = largest * np.abs(gamma) / np.sqrt(_array(norm.moving_variance) + norm.epsilon)
    return largest


def _divide_outputs(fused: FusedLayer, factor: np.ndarray) -> None:
    norm, layer = fused.batch_norm, fused.layer
    if norm is not None:
        norm.gamma.assign(_array(norm.gamma) / factor)
        if norm.center:
            norm.beta.assign(_array(norm.beta) / factor)
        return
    kernel = _array(layer.kernel)
    spread = factor.reshape(kernel.shape[-2:]) if fused.kind in _DEPTHWISE else factor
    layer.kernel.assign(kernel / spread)
    if layer.use_bias:
        layer.bias.assign(_array(layer.bias) / factor)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
