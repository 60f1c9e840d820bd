"""What is done to master weights after each step of the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from tinyq.quantizers.parts.levels import sign

Update = Callable[[Any, Any, Any], Any]
_WHOLLY = 1e8


def clip_to_unit(weights: Any, quantized: Any, setting: Any) -> Any:
    """Keep master weights where the estimator lets gradients pass.

        w' = clip(w, -1, 1)

    Reference: Courbariaux et al. 2015, arXiv:1511.00363.
    """
    del quantized, setting
    return ops.clip(weights, -1.0, 1.0)


def blend(share: float) -> Update:
    """Move master weights a little towards their quantized values.

        w' = (1 - share) * w + share * w_q

    Args:
        share: Between 0 and 1.

    Reference: Yin et al. 2019, arXiv:1808.05240, with both terms after the step.
    """

    def update(weights: Any, quantized: Any, setting: Any) -> Any:
        del setting
        return (1.0 - share) * weights + share * quantized

    return update


def shrink_to_signs(weights: Any, quantized: Any, setting: Any) -> Any:
    """Proximal step of the distance from the nearest sign.

        w' = s + sign(w - s) * max(|w - s| - setting, 0),  s = sign(w)

    Args:
        weights: Master weights.
        quantized: Not used: the levels are -1 and +1.
        setting: Strength, grows in the course of training.

    Reference: Bai et al. 2019, arXiv:1810.00861.
    """
    del quantized
    nearest = sign(weights)
    offset = weights - nearest
    return nearest + sign(offset) * ops.maximum(ops.abs(offset) - setting, 0.0)


def draw_to_levels(weights: Any, quantized: Any, setting: Any) -> Any:
    """Proximal step of the squared distance from the nearest levels.

        w' = (w + setting * w_q) / (1 + setting), and w_q from a setting of 1e8 on

    Args:
        weights: Master weights.
        quantized: Their levels.
        setting: Strength, grows in the course of training.

    Reference: Bai et al. 2019, arXiv:1810.00861, with the operator of the authors' code for ternary
        weights.
    """
    rest = ops.where(setting < _WHOLLY, 1.0 / (1.0 + setting), 0.0)
    return quantized + rest * (weights - quantized)


def clamp_to_quantile(weights: Any, quantized: Any, setting: Any) -> Any:
    """Bring the outermost weights back, whose signs would never change again.

        w' = clip(w, -q, q),  q = -mean |w| ln(2 (1 - setting)), a quantile of a Laplace
        distribution

    Args:
        weights: Master weights.
        quantized: Not used.
        setting: Share of the weights below q, more than 1/2.

    Reference: Xu et al. 2021, arXiv:2103.12369, eq. 10 to 14.
    """
    del quantized
    reach = -ops.mean(ops.abs(weights)) * ops.log(2.0 * (1.0 - setting))
    return ops.clip(weights, -reach, reach)


def grow_between(first: float, last: float) -> Callable[[float], float]:
    """Setting that goes from one number to another.

    setting = first + progress * (last - first)
    """
    return lambda progress: first + progress * (last - first)


def grow_linearly(largest: float) -> Callable[[float], float]:
    """Setting that grows from 0.

    setting = progress * largest
    """
    return lambda progress: progress * largest


def snap_at_the_end(schedule: Callable[[float], float]) -> Callable[[float], float]:
    """Strength that holds all weights on their levels in the last fifth of the training.

        setting = schedule(progress / 0.8) before, then more than any distance

    What is not quantized, such as BatchNormalization, goes on training.

    Args:
        schedule: Strength before.

    Reference: Bai et al. 2019, arXiv:1810.00861, section 4: hard quantization before the last part.
    """
    return lambda progress: schedule(progress / 0.8) if progress < 0.8 else 1e9


def grow_by_powers(first: float, last: float) -> Callable[[float], float]:
    """Setting that grows by the same factor every epoch.

    setting = first * (last / first)**progress
    """
    return lambda progress: first * (last / first) ** progress


def grow_cubically(largest: float) -> Callable[[float], float]:
    """Setting that grows fast at first and rests at the end.

        setting = largest * (1 - (1 - progress)**3)

    Args:
        largest: Setting at the end.

    Reference: Zhu and Gupta 2017, arXiv:1710.01878.
    """
    return lambda progress: largest * (1.0 - (1.0 - progress) ** 3)


def stay(setting: float) -> Callable[[float], float]:
    """Setting that never changes.

    setting = constant
    """
    return lambda progress: setting


def freeze_in_steps(*shares: float) -> Callable[[float], float]:
    """Share of the weights that are frozen: a stairway over the training.

        share = shares[floor(progress * count)]

    Args:
        shares: Ascending, 0 .. 1, each for an equal part of the training.

    Reference: Zhou et al. 2017, arXiv:1702.03044: half of what is left each time, and smaller parts
        for fewer bits.
    """
    return lambda progress: shares[min(int(progress * len(shares)), len(shares) - 1)]


BY_HALVES = freeze_in_steps(0.0, 0.5, 0.75, 0.875, 1.0)
BY_SMALLER_PARTS = freeze_in_steps(0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.0)
