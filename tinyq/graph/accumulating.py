"""Operations that accumulate in int32 or int64, and leave the rest to an epilogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyq.errors import ModelError
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.graph import Op
from tinyq.graph.proofs import Bounds, require_constant
from tinyq.graph.tensors import Operand, Shape, Span, TensorType
from tinyq.numerics.formats import Codes, find_format


@dataclass(frozen=True, slots=True)
class Accumulating(Op):
    """An operation that accumulates and ends in an epilogue.

        y = output.finish(accumulate(operands), constants of the epilogue)

    The inputs of a node are the operands, then the epilogue's constants in the order of ``names``.
    """

    output: Epilogue

    operands: ClassVar[int]

    def accumulate(self, *codes: Codes) -> Codes:
        """Accumulators from the operands, in the integers that ``output.check_range`` gives."""
        raise NotImplementedError

    def accumulator_shape(self, *types: TensorType) -> Shape:
        """Shape of the accumulators; the last axis is the channels."""
        raise NotImplementedError

    def infer(self, *types: TensorType) -> TensorType:
        """Type of the output."""
        expected = self.operands + len(self.output.names)
        if len(types) != expected:
            raise ModelError(f"{self.kernel} takes {expected} inputs, {len(types)} are given")
        shape = self.accumulator_shape(*types[: self.operands])
        named = zip(self.output.names, self.output.constant_shapes(shape[-1]), strict=True)
        for (name, wanted), constant in zip(named, types[self.operands :], strict=True):
            if constant.shape != wanted or constant.format.name != "s32":
                needed = TensorType(wanted, find_format("s32"))
                raise ModelError(f"{name} is {constant}, {self.kernel} needs {needed}")
        return self.output.type(shape)

    def sums(self, *operands: Operand) -> Bounds:
        """What the accumulators can be for any input, per output channel or for all together.

        Raises:
            ModelError: An integer on the way to them can leave its range.
        """
        raise NotImplementedError

    def prove(self, *operands: Operand) -> Span:
        """Check the sums and the epilogue's constants."""
        named = zip(self.output.names, operands[self.operands :], strict=True)
        constants = [require_constant(operand, name) for name, operand in named]
        channels = operands[-1].type.shape[-1]
        sums = self.sums(*operands[: self.operands])
        shape = np.broadcast_shapes(sums.low.shape, (channels,))
        whole = Bounds(np.broadcast_to(sums.low, shape), np.broadcast_to(sums.high, shape))
        return self.output.prove(whole, *constants)

    def run(self, *codes: Codes) -> Codes:
        """Codes of the output."""
        acc = self.accumulate(*codes[: self.operands])
        return self.output.finish(acc, *codes[self.operands :])


def require_zero(x: TensorType, zero: int) -> None:
    """Check a zero point: within the format, and 0 for binary, which has none.

    Raises:
        ModelError: It is not.
    """
    if not x.format.lo <= zero <= x.format.hi or (x.format.step == 2 and zero != 0):
        raise ModelError(f"{zero} cannot be the zero point of {x}")


def require_axis(w: TensorType, axis: int) -> None:
    """Check that the table of the weights' format, if it has one, is for their output channels.

    Raises:
        ModelError: It is for another axis.
    """
    counted = w.format.coding.channel_axis
    if counted not in (None, axis):
        raise ModelError(
            f"the {w.format.table} of {w} are for axis {counted}, "
            f"this layer's output channels are axis {axis}"
        )


def require_one_shape(x: TensorType, y: TensorType, verb: str) -> Shape:
    """The shape of two operands that are taken value by value.

    Raises:
        ModelError: They have two.
    """
    if x.shape != y.shape:
        raise ModelError(f"cannot {verb} {x} and {y}: the shapes differ")
    return x.shape
