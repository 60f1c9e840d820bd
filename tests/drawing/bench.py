"""What cases of kernels are drawn from: sizes around words, extremes, epilogues."""

from __future__ import annotations

import numpy as np

from tests.drawing.graphs import draw_codes
from tinyq.graph import Op
from tinyq.graph.epilogues import (
    Epilogue,
    Raw,
    Requantize,
    RequantizeTwice,
    RequantizeWide,
    RoundEven,
    Steps,
    Threshold,
)
from tinyq.graph.offset_epilogue import RequantizeOffset, RequantizeSingle
from tinyq.graph.ops.window import Window
from tinyq.kernels.epilogues import EpilogueFunction
from tinyq.numerics.formats import Format, find_format
from tinyq.numerics.offsets import split_words

# One code, a word of each format less one, whole, and plus one.
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33)
_WIDE = 1 << 20  # s32 inputs stay inside, so that no accumulator leaves int32

Operands = tuple[Op, list[tuple[tuple[int, ...], str]]]


class Draw:
    """Draws what a case needs from one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def channels(self) -> int:
        return int(self.rng.choice(CHANNELS))

    def size(self, most: int) -> int:
        """A number of rows, from 1 on."""
        return self.integer(1, most)

    def codes(self, shape: tuple[int, ...], number_format: Format) -> np.ndarray:
        if number_format.levels or number_format.values:
            return draw_codes(self.rng, number_format, shape)
        if number_format.step == 2:
            return self.rng.integers(0, 2, shape).astype(np.int32) * 2 - 1
        low, high = max(number_format.lo, -_WIDE), min(number_format.hi, _WIDE)
        codes = self.rng.integers(low, high + 1, shape)
        # The extreme codes are where a sign or a shift goes wrong.
        extreme = self.rng.choice([low, high], shape)
        return np.where(self.rng.random(shape) < 0.2, extreme, codes).astype(np.int32)

    def zero_point(self, name: str) -> int:
        number_format = find_format(name)
        if number_format.step == 2 or number_format.bits >= 16:
            return 0
        return self.integer(number_format.lo, number_format.hi)

    def window(self, padded: bool = True) -> tuple[Window, tuple[int, int]]:
        """A window, and an image that it fits when padded."""
        size = (self.integer(1, 4), self.integer(1, 4))
        stride, dilation = (
            (self.integer(1, 3), self.integer(1, 3)),
            (self.integer(1, 2), self.integer(1, 2)),
        )
        pads = [self.integer(0, size[axis // 2] - 1) if padded else 0 for axis in range(4)]
        window = Window(size, stride, dilation, (pads[0], pads[1], pads[2], pads[3]))
        height, width = window.extent()
        least = (max(1, height - pads[0] - pads[1]), max(1, width - pads[2] - pads[3]))
        return window, (least[0] + self.integer(0, 4), least[1] + self.integer(0, 4))

    def epilogue(self, epilogue: EpilogueFunction) -> Epilogue:
        scaling = {
            "requantize": Requantize,
            "roundeven": RoundEven,
            "requantizetwice": RequantizeTwice,
            "requantizewide": RequantizeWide,
            "requantizeoffset": RequantizeOffset,
            "requantizesingle": RequantizeSingle,
        }
        if epilogue.epilogue in scaling:
            output = find_format(epilogue.format)
            low = self.integer(output.lo, 0) if self.rng.random() < 0.3 else output.lo
            high = self.integer(low, output.hi) if self.rng.random() < 0.3 else output.hi
            zero_point = self.integer(low, high)
            if epilogue.epilogue == "requantizesingle":
                inside = self.integer(0, 1), int(self.rng.choice([0, 128]))
                return RequantizeSingle(epilogue.format, 0.5, zero_point, low, high, *inside)
            return scaling[epilogue.epilogue](epilogue.format, 0.5, zero_point, low, high)
        if epilogue.epilogue == "steps":
            output = find_format(epilogue.format)
            levels = self.rng.integers(output.lo, output.hi + 1, self.integer(2, 16))
            return Steps(
                epilogue.format,
                0.5,
                self.zero_point(epilogue.format),
                tuple(sorted(levels.tolist())),
            )
        return {"threshold": Threshold, "raw": Raw}[epilogue.epilogue]()

    def tables(self, output: Epilogue, acc: np.ndarray) -> list[np.ndarray]:
        """Constants of an epilogue that spread these accumulators over the output's codes."""
        channels = acc.shape[-1]
        reach = int(np.abs(acc).max(initial=0)) + 1
        if isinstance(output, Threshold):
            threshold = self.rng.integers(-reach, reach + 1, channels)
            threshold = np.where(self.rng.random(channels) < 0.1, -(2**31), threshold)
            return [threshold, self.rng.integers(0, 2, channels)]
        if isinstance(output, Steps):
            shape, _ = output.constant_shapes(channels)
            threshold = self.rng.integers(-reach, reach + 1, shape)
            edges = self.rng.choice((-(2**31), 2**31 - 1), shape)
            threshold = np.where(self.rng.random(shape) < 0.1, edges, threshold)
            return [threshold, self.rng.integers(0, 2, channels)]
        if isinstance(output, RequantizeWide):
            return self._wide_tables(channels, reach)
        if isinstance(output, RequantizeOffset):
            return self._offset_tables(channels, reach)
        room = min(reach, 2**31 - reach)  # with the bias they stay within int32
        bias = self.rng.integers(-room, room + 1, channels)
        if isinstance(output, Raw):
            return [bias]
        if isinstance(output, RequantizeTwice):
            exponent = self.integer(2, 9) - reach.bit_length()
            exponents = np.full(channels, min(max(exponent, -31), 30))
            exponents = np.where(self.rng.random(channels) < 0.1, -31, exponents)
            return [bias, self.rng.integers(0, 2**31, channels), exponents]
        if isinstance(output, RequantizeSingle):
            shift = min(max(24 + reach.bit_length() - self.integer(2, 9), 0), 46)
            multiplier = self.rng.integers(0, 2**24, channels)
            multiplier = np.where(self.rng.random(channels) < 0.5, 3 << 18, multiplier)
            return [bias, multiplier, np.full(channels, shift)]
        multiplier = self.rng.integers(-(2**31) + 1, 2**31, channels)
        multiplier = np.where(self.rng.random(channels) < 0.1, -(2**31), multiplier)
        shift = np.full(channels, min(max(31 + reach.bit_length() - self.integer(2, 9), 1), 62))
        shift = np.where(self.rng.random(channels) < 0.1, self.integer(1, 62), shift)
        if isinstance(output, RoundEven):  # powers of two, so that halves occur
            multiplier = np.where(self.rng.random(channels) < 0.7, 2**20, multiplier)
            shift = np.where(multiplier == 2**20, self.integer(21, 23), shift)
            return [bias, multiplier, shift, self.rng.integers(0, 2, channels)]
        return [bias, multiplier, shift]

    def _offset_tables(self, channels: int, reach: int) -> list[np.ndarray]:
        shift = np.full(channels, min(max(31 + reach.bit_length() - self.integer(2, 9), 1), 62))
        shift = np.where(self.rng.random(channels) < 0.1, self.integer(1, 62), shift)
        multiplier = self.rng.integers(0, 2**31, channels)
        whole = self.rng.random(channels) < 0.5  # powers of two, so that halves occur
        multiplier = np.where(whole, 2**20, multiplier)
        shift = np.where(whole, self.integer(21, 23), shift)
        codes = self.rng.integers(-128, 128, channels) << np.minimum(shift, 53)
        fine = np.where(whole, np.left_shift(1, shift - 1), self.rng.integers(0, 2**31, channels))
        high, low = split_words(np.clip(codes + fine, -(2**61), 2**61))
        return [multiplier, high, low, shift, self.rng.integers(0, 3, channels)]

    def _wide_tables(self, channels: int, reach: int) -> list[np.ndarray]:
        bias = self.rng.integers(-reach, reach + 1, channels)
        far = self.rng.integers(-(2**44), 2**44, channels)
        bias = np.where(self.rng.random(channels) < 0.1, far, bias)
        low = ((bias + 2**31) & (2**32 - 1)) - 2**31
        shift = np.full(channels, min(max(31 + reach.bit_length() - self.integer(2, 17), 17), 62))
        shift = np.where(self.rng.random(channels) < 0.1, self.integer(17, 62), shift)
        upper = self.rng.integers(0, 2**31, channels)
        lower = self.rng.integers(-(2**31), 2**31, channels)
        return [low, (bias - low) >> 32, upper, lower, shift]


def draw_rows(draw):
    return draw.size(3), draw.channels()


def draw_mantissa(draw):
    """A mantissa and an exponent that keep 8-bit differences within int32."""
    return int(draw.rng.integers(2**30, 2**31)), draw.integer(-12, 3)
