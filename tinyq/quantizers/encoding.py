"""What the codes of activations mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from tinyq.numerics.formats import Format
from tinyq.quantizers.parts.levels import sign
from tinyq.quantizers.parts.rounding import round_half_up
from tinyq.quantizers.parts.stairs import climb, count_reached


@dataclass(frozen=True, slots=True)
class Encoding:
    """What codes mean at this moment of training.

        real = scale * (code - zero_point)

    Attributes:
        format: Number format of the codes.
        scale: float32 tensor without axes.
        zero_point: float32 tensor without axes, an integer.
        bound: Largest code, where it is less than that of the format.
        levels: Codes in use, ascending, where they are not all at the same distance.
        borders: Where each level but the first begins, in parts of the scale; a tensor where they
            are trained.
        floor: Smallest code, where it is more than that of the format.
    """

    format: Format
    scale: Any
    zero_point: Any
    bound: int | None = None
    levels: tuple[int, ...] = ()
    borders: Any = ()
    floor: int | None = None

    @property
    def highest(self) -> int:
        """Largest code."""
        return self.format.hi if self.bound is None else self.bound

    @property
    def lowest(self) -> int:
        """Smallest code."""
        return self.format.lo if self.floor is None else self.floor

    def centered(self, values: Any) -> Any:
        """Codes minus the zero point, float32 integers, of values that lie on the grid."""
        return ops.round(values / self.scale)

    def codes(self, values: Any) -> Any:
        """Codes of any real values, saturated.

        Twin: tinyq.graph.reference.quantize_input
        """
        if self.format.step == 2:
            return sign(values)
        if self.levels:
            if not isinstance(self.borders, tuple):
                return count_reached(values / self.scale, self.borders) + float(self.levels[0])
            heights = tuple(level - self.levels[0] for level in self.levels[1:])
            return climb(values / self.scale, self.borders, heights) + float(self.levels[0])
        codes = round_half_up(values / self.scale) + self.zero_point
        return ops.clip(codes, self.lowest, self.highest)

    def real(self, codes: Any) -> Any:
        """Real values of codes, float32."""
        centered = ops.cast(codes, "float32") - self.zero_point
        return centered * self.scale
