"""What a tensor of a file can be while the graph is made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from tinyq.graph import Shape
from tinyq.importers.onnx.arrangement import View
from tinyq.numerics.formats import find_format

if TYPE_CHECKING:
    from tinyq.importers.onnx.layer import Layer

Array = npt.NDArray[Any]
Single = np.float32
ALL_CODES = np.arange(-128, 128, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What codes of the graph mean, as a QuantizeLinear says it.

    Attributes:
        scale: Real value of one step, exactly a float32.
        zero_point: Code of real 0, in codes of the graph.
        lo: Smallest code.
        hi: Largest code.
        format: Format in the graph.
        shift: Codes of the file are codes of the graph plus this.
    """

    scale: float
    zero_point: int
    lo: int
    hi: int
    format: str
    shift: int

    def narrowed(self, low: float, high: float) -> Meaning:
        """With limits on the reals; the codes that are nearest, a half to the even one."""
        ends = []
        for value, code in ((low, self.lo), (high, self.hi)):
            if np.isfinite(value):
                step = np.rint(Single(value) / Single(self.scale)).item()
                code = int(min(max(step + self.zero_point, self.lo), self.hi))
            ends.append(code)
        return replace(self, lo=ends[0], hi=max(ends))


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """A constant."""

    array: Array

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return tuple(self.array.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A constant of integers with scales: what DequantizeLinear makes of weights.

    Attributes:
        codes: Integers as the file has them, int64.
        scales: float32, one, or one for each place of ``axis``.
        zeros: int64, likewise.
        axis: Of the scales.
        kind: Element type in the file.
    """

    codes: Array
    scales: npt.NDArray[np.float32]
    zeros: npt.NDArray[np.int64]
    axis: int
    kind: str

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return tuple(self.codes.shape)

    def real(self) -> npt.NDArray[np.float32]:
        """Values."""
        shape = [1] * self.codes.ndim
        if self.scales.size > 1:
            shape[self.axis] = self.scales.size
        steps = (self.codes - self.zeros.reshape(shape)).astype(np.float32)
        return np.asarray(steps * self.scales.reshape(shape), np.float32)

    def transposed(self, order: tuple[int, ...]) -> Stored:
        """Axes in another order."""
        axis = order.index(self.axis) if self.scales.size > 1 else self.axis
        return replace(self, codes=self.codes.transpose(order), axis=axis)


@dataclass(frozen=True, slots=True, eq=False)
class Open:
    """A float input of the file, before it is quantized.

    Attributes:
        view: Where its elements lie in the graph's input.
        name: That input.
        meaning: Of its codes.
    """

    view: View
    name: str
    meaning: Meaning

    @property
    def shape(self) -> Shape:
        """Its shape in the file."""
        return self.view.shape


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Integers that the graph computes.

    Attributes:
        name: Tensor of the graph.
        view: Where its elements lie there.
        meaning: What the codes mean; limits are those of the tensor.
    """

    name: str
    view: View
    meaning: Meaning

    @property
    def shape(self) -> Shape:
        """Its shape in the file."""
        return self.view.shape


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """Dequantized codes, or a function of each of them.

    Attributes:
        coded: The codes.
        scale: Real value of one step.
        zero_point: Code of real 0.
        values: float32 of the codes -128 .. 127 where it is a function of them; None where it is
            ``scale * (code - zero_point)``.
    """

    coded: Coded
    scale: float
    zero_point: int
    values: npt.NDArray[np.float32] | None = None

    @property
    def view(self) -> View:
        """Where the elements lie."""
        return self.coded.view

    @property
    def shape(self) -> Shape:
        """Its shape in the file."""
        return self.view.shape

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return self.coded.meaning.lo, self.coded.meaning.hi

    def viewed(self, view: View) -> Real:
        """The same elements elsewhere."""
        return replace(self, coded=replace(self.coded, view=view))

    def table(self) -> npt.NDArray[np.float32]:
        """Values of the codes -128 .. 127."""
        if self.values is not None:
            return self.values
        return Single(self.scale) * (ALL_CODES - self.zero_point).astype(np.float32)

    @property
    def means(self) -> tuple[float, int]:
        """Scale and zero point."""
        return self.scale, self.zero_point


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """Reals that become codes where the file quantizes them.

    Attributes:
        layer: The operator that computes them.
        view: Where the elements will lie in the tensor of the graph.
        low: Lower limit of the reals.
        high: Upper limit.
        sources: Tensors of the graph whose codes it is computed from.
    """

    layer: Layer
    view: View
    low: float = field(default=-np.inf, kw_only=True)
    high: float = field(default=np.inf, kw_only=True)
    sources: tuple[str, ...] = field(default=(), kw_only=True)

    is_sum: ClassVar[bool] = False

    @property
    def shape(self) -> Shape:
        """Its shape in the file."""
        return self.view.shape

    def viewed(self, view: View) -> Pending:
        """The same elements elsewhere."""
        return replace(self, view=view)

    def clipped(self, low: float, high: float) -> Pending:
        """With limits of its own."""
        return replace(self, low=max(self.low, low), high=min(max(high, low), self.high))

    def unfused(self) -> Pending:
        """The same where onnxruntime computes in floating point and quantizes the result."""
        return self

    def store(self, meaning: Meaning) -> str:
        """Add the nodes that compute the codes; returns the graph's tensor."""
        raise NotImplementedError


Value = Fixed | Stored | Open | Coded | Real | Pending


def plain_meaning(kind: str, scale: float, zero: int, limits: tuple[int, int] | None) -> Meaning:
    """What codes of a type of the file are in the graph.

    Unsigned codes that a Clip keeps within 2 or 4 bits are codes of 2 or 4 bits; others are signed.

    Args:
        kind: int8, uint8 or int16.
        scale: Real value of one step.
        zero: Zero point in the file.
        limits: Smallest and largest code in the file where a Clip narrows them.
    """
    ends = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}.get(kind)
    ends = ends or {"uint4": (0, 15), "uint2": (0, 3), "int4": (-8, 7), "int2": (-2, 1)}[kind]
    lo, hi = ends if limits is None else (max(ends[0], limits[0]), min(ends[1], limits[1]))
    for name in ("u2", "u4"):
        if kind.startswith("u") and zero == 0 and lo == 0 and hi <= find_format(name).hi:
            return Meaning(scale, 0, lo, hi, name, 0)
    shift = 128 if kind == "uint8" else 0
    form = "s16" if kind == "int16" else "s8"
    return Meaning(scale, zero - shift, lo - shift, hi - shift, form, shift)
