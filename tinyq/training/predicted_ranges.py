"""Ranges of activations by what they do to the network's answers."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from tinyq.quantizers.activations import RangeQuantizer
from tinyq.training.forward import Arrays

_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_BATCH = 64


def fit_ranges(
    model: keras.Model,
    quantizers: Mapping[str, RangeQuantizer],
    values: Arrays,
    wanted: np.ndarray,
) -> None:
    """Narrow each range, one after the other, where that brings the answers nearer to the wanted.

        min over r of d(f, f_q(r)),  r in shares of the range so far
        d = KL(softmax f, softmax f_q), or the mean squared difference of one output

    Args:
        model: Quantized model, which computes with the deployed integers.
        quantizers: Its ranges by name, from input to output, whole as the data show them.
        values: Inputs, one array for each of the model's.
        wanted: Answers of the float model.

    Reference: Liu et al. 2023, arXiv:2212.07048, eq. 5, by the scale of one activation at a time.
    """
    best = _measure(model, values, wanted)
    for quantizer in quantizers.values():
        low, high = (float(end.numpy()) for end in (quantizer.low, quantizer.high))
        chosen = 1.0
        for share in _SHARES[1:]:
            _set(quantizer, share * low, share * high)
            error = _measure(model, values, wanted)
            if error < best:
                best, chosen = error, share
        _set(quantizer, chosen * low, chosen * high)


def _set(quantizer: RangeQuantizer, low: float, high: float) -> None:
    quantizer.low.assign(low)
    quantizer.high.assign(high)


def _measure(model: keras.Model, values: Arrays, wanted: np.ndarray) -> float:
    """How far the answers are from the wanted."""
    inputs = values[0] if len(values) == 1 else list(values)
    found = model.predict(inputs, batch_size=_BATCH, verbose=0)
    answers = np.asarray(found, np.float64).reshape(len(wanted), -1)
    if answers.shape[1] == 1:
        return float(np.mean(np.square(answers - wanted)))
    own, other = (_log_softmax(rows) for rows in (answers, wanted.astype(np.float64)))
    return float(np.mean(np.sum(np.exp(other) * (other - own), axis=1)))


def _log_softmax(rows: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, of logits or of what are probabilities already."""
    if bool((rows >= 0).all()) and bool((abs(rows.sum(axis=1) - 1.0) < 2.0**-4).all()):
        return np.asarray(np.log(np.maximum(rows, 2.0**-9)))
    shifted = rows - rows.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
