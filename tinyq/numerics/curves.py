"""Tables of functions of 16-bit codes, made as TFLite makes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinyq.numerics.fixed_point import round_away


def curve_table(
    function: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    x_scale: float,
    y_scale: float,
) -> npt.NDArray[np.int32]:
    """A function of all 16-bit codes for `tinyq.graph.ops.curve`, made in float32 as TFLite does.

    Args:
        function: Of reals; each value is rounded to float32.
        x_scale: Real value of one input code.
        y_scale: Real value of one output code.

    Returns:
        int32 codes of s16, shape (513,).
    """
    single = np.float32
    least, most = single(x_scale) * single(-(2**15)), single(x_scale) * single(2**15 - 1)
    span = single(y_scale) * single(2**15 - 1) - single(y_scale) * single(-(2**15))
    step, unit = (most - least) / single(512), single(65536) / span

    def scaled(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        values: npt.NDArray[np.float32] = function(x.astype(np.float64)).astype(single) * unit
        return values

    index = np.arange(512, dtype=single)
    with np.errstate(all="ignore"):
        value, after = scaled(least + index * step), scaled(least + (index + single(1)) * step)
        middle = round_away(scaled(least + index * step + step / single(2)))
        chord = round_away((after + round_away(value)) / single(2))
        excess = round_away((chord - middle) / single(2))
        last = round_away(scaled(np.asarray([most], single)))
    table = np.concatenate([round_away(value) - excess, last])
    return np.asarray(np.clip(np.nan_to_num(table), -(2**15), 2**15 - 1), np.int32)
