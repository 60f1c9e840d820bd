"""Rounding: from real numbers to integers."""

from __future__ import annotations

from typing import Any

from keras import ops


def round_half_up(values: Any) -> Any:
    """Nearest integer, half rounds up.

        y = floor(x + 1/2)

    Args:
        values: Real tensor of any shape.

    Returns:
        Integers in the dtype of ``values``.
    """
    return ops.floor(values + 0.5)


def draw_sign(values: Any, noise: Any) -> Any:
    """A random sign whose mean is the clipped value.

        y = +1 with probability clip((x + 1) / 2, 0, 1), else -1

    Args:
        values: Real tensor of any shape.
        noise: Uniform in 0 .. 1, shape of ``values``.

    Reference: survey eq. 8 and 9; Courbariaux et al. 2015, arXiv:1511.00363.
    """
    one = ops.ones_like(values)
    return ops.where(noise < ops.clip((values + 1.0) * 0.5, 0.0, 1.0), one, -one)


def draw_ternary(values: Any, noise: Any) -> Any:
    """Randomly the sign or zero, so that the mean is the clipped value.

        y = sign(x) with probability min(|x|, 1), else 0

    Args:
        values: Real tensor of any shape.
        noise: Uniform in 0 .. 1, shape of ``values``.

    Reference: survey eq. 10; Lin et al. 2015, arXiv:1510.03009.
    """
    return ops.sign(values) * ops.cast(noise < ops.abs(values), values.dtype)


def draw_nearest(values: Any, noise: Any) -> Any:
    """One of the two next integers, so that the mean is the value.

        y = floor(x + noise)

    Args:
        values: Real tensor of any shape.
        noise: Uniform in 0 .. 1, shape of ``values``.

    Reference: Gupta et al. 2015, arXiv:1502.02551.
    """
    return ops.floor(values + noise)
