"""What operations on signals ask of their operands."""

from __future__ import annotations

from tinyq.errors import ModelError
from tinyq.graph import Operand, Shape, TensorType
from tinyq.graph.proofs import require_constant, require_values
from tinyq.numerics.formats import Codes, find_format


def require_format(tensor: TensorType, name: str, what: str) -> TensorType:
    """Check that rows of a signal have a format.

    Raises:
        ModelError: They have another.
    """
    if tensor.format.name != name or not tensor.shape:
        raise ModelError(f"{what} is {tensor}, expected rows of {name}")
    return tensor


def require_shape(tensor: TensorType, name: str, shape: Shape, what: str) -> None:
    """Check that a tensor has a format and a shape.

    Raises:
        ModelError: It has not.
    """
    if tensor.format.name != name or tensor.shape != shape:
        raise ModelError(f"{what} is {tensor}, expected {TensorType(shape, find_format(name))}")


def require_table(operand: Operand, what: str, lo: int, hi: int) -> Codes:
    """The codes of a constant, all of them in a range.

    Raises:
        ModelError: It is computed, or a code lies outside.
    """
    codes = require_constant(operand, what)
    require_values(codes, what, (lo, hi))
    return codes


def require_span(operand: Operand, what: str, lo: int, hi: int) -> None:
    """Check that all codes of a computed operand are in a range.

    Raises:
        ModelError: One can lie outside.
    """
    require_values([operand.lo, operand.hi], what, (lo, hi))
