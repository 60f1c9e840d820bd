"""Accumulators that wait for the scale of their codes: weights, products, pools, rescalings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.graph import Op
from tinyq.graph.epilogues import Epilogue, Raw, Requantize, RequantizeTwice
from tinyq.graph.offset_epilogue import RequantizeOffset, RequantizeSingle
from tinyq.importers.onnx.fitting import (
    Int64s,
    find_steps,
    fit_plain,
    nearest_line,
    single_factors,
)
from tinyq.importers.onnx.layer import ONNX, TFLITE
from tinyq.importers.onnx.values import Meaning, Pending, Single
from tinyq.numerics.fixed_point import quantize_multiplier
from tinyq.numerics.offsets import requantize_offset
from tinyq.numerics.rounding import INT32_MAX, fold_affine

Floats = npt.NDArray[np.float64]
Scales = Callable[[np.float32], npt.NDArray[np.float32]]
Formula = Callable[[Int64s, Meaning], Int64s]
_MOST_CODES = 256  # whose steps are looked for
_LEAST_UNIT = 2.0**-60


@dataclass(frozen=True, slots=True, eq=False)
class Sum(Pending):
    """Reals that are accumulators times a unit of each channel, plus an offset.

        real = (acc + biases) * units + offsets

    Attributes:
        make: The operation with a given epilogue.
        operands: Tensors of the graph that it reads, before the epilogue's constants.
        units: Real value of an accumulator unit, shape (channels,).
        least: Smallest accumulator of each channel, without its bias.
        most: Largest one.
        biases: In accumulator units, exact.
        offsets: Reals beside.
        beside: Reals that ``biases`` have been rounded from, if they have.
        scales: What onnxruntime multiplies accumulators by, in float32, for a scale of the codes;
            None where it computes reals, whose last bits depend on the machine.
        inside: Whether it adds the zero point before it rounds.
        moved: What its codes are more than those of the graph there.
        formula: onnxruntime's codes of accumulators where they are none of these; it is given the
            meaning of the codes too.
    """

    make: Callable[[Epilogue], Op]
    operands: tuple[str, ...]
    units: Floats
    least: Int64s
    most: Int64s
    biases: Int64s = field(kw_only=True)
    offsets: Floats = field(kw_only=True)
    beside: Floats | None = field(default=None, kw_only=True)
    scales: Scales | None = field(default=None, kw_only=True)
    inside: bool = field(default=False, kw_only=True)
    moved: int = field(default=128, kw_only=True)
    formula: Formula | None = field(default=None, kw_only=True)

    is_sum: ClassVar[bool] = True

    @property
    def is_limited(self) -> bool:
        """Whether a clip has been applied."""
        return bool(np.isfinite(self.low) or np.isfinite(self.high))

    def unfused(self) -> Sum:
        """The same where onnxruntime computes in floating point and quantizes the result."""
        return replace(self, scales=None, inside=False)

    def exactly(self) -> Sum:
        """With the biases that were rounded as reals again: what is not quantized has those."""
        if self.beside is None:
            return self
        offsets = self.offsets + self.beside
        nothing = np.zeros_like(self.biases)
        return replace(self, biases=nothing, offsets=offsets, beside=None, scales=None)

    def changed(self, factor: npt.ArrayLike, addend: npt.ArrayLike) -> Sum:
        """``real * factor + addend``, of each channel, with positive factors."""
        factors = np.broadcast_to(np.asarray(factor, np.float64), self.units.shape)
        real = self.exactly()
        return replace(
            real,
            units=real.units * factors,
            offsets=real.offsets * factors + np.asarray(addend, np.float64),
            scales=None,
            formula=None,
        )

    def store(self, meaning: Meaning) -> str:
        """Add the operation with the epilogue that the rounding rule asks for."""
        narrow = meaning.narrowed(self.low, self.high)
        reach = np.maximum(np.abs(self.least), np.abs(self.most)) + np.abs(self.biases)
        self.layer.require(int(reach.max()) <= INT32_MAX, "an accumulator can leave int32")
        choose = {ONNX: self._round_even, TFLITE: self._round_twice}
        output, constants = choose.get(self.layer.rounding, self._round_up)(narrow)
        return self._add(output, constants)

    def raw(self, scale: float | None = None) -> tuple[str, Floats, Floats]:
        """Add the operation with accumulators as output; their units, and their offsets."""
        self.layer.require(
            int((np.maximum(-self.least, self.most) + np.abs(self.biases)).max()) <= INT32_MAX,
            "an accumulator can leave int32",
        )
        real = self.exactly()
        return real._add(Raw(scale), (real.biases,)), real.units, real.offsets

    def _add(self, output: Epilogue, constants: tuple[npt.ArrayLike, ...]) -> str:
        names = [
            self.layer.number(name, codes, "s32")
            for name, codes in zip(output.names, constants, strict=True)
        ]
        return self.layer.apply(self.make(output), *self.operands, *names)

    def _gains(self, meaning: Meaning) -> Floats:
        """Output codes per unit of the accumulator."""
        gains = self.units / meaning.scale
        good = bool(np.isfinite(gains).all()) and bool((gains >= 0.0).all())
        self.layer.require(good and bool((gains < 2.0**29).all()), "the ratio of two scales is odd")
        return np.asarray(gains)

    def _round_up(self, meaning: Meaning) -> tuple[Epilogue, tuple[npt.ArrayLike, ...]]:
        gains = self._gains(meaning)
        folded = fold_affine(gains, self.biases * gains + self.offsets / meaning.scale)
        reach = np.maximum(np.abs(self.least), np.abs(self.most)) + np.abs(folded.bias.astype("i8"))
        self.layer.require(int(reach.max()) <= INT32_MAX, "an accumulator can leave int32")
        return Requantize(*_fields(meaning)), (folded.bias, folded.multiplier, folded.shift)

    def _round_twice(self, meaning: Meaning) -> tuple[Epilogue, tuple[npt.ArrayLike, ...]]:
        gains = self._gains(meaning)
        self.layer.require(
            meaning.format in ("s8", "s16"),
            f"codes of format {meaning.format} are not of TFLite",
            "import with rounding half_up or onnx",
        )
        pairs = [quantize_multiplier(float(gain)) for gain in gains]
        rest = np.floor(self.offsets / np.maximum(self.units, _LEAST_UNIT) + 0.5)
        biases = self.biases + rest.astype(np.int64)
        reach = np.maximum(np.abs(self.least), np.abs(self.most)) + np.abs(biases)
        self.layer.require(int(reach.max()) <= INT32_MAX, "an accumulator can leave int32")
        mantissas, powers = zip(*pairs, strict=True)
        self.layer.require(max(powers) <= 30, "a scale ratio is too large")
        return RequantizeTwice(*_fields(meaning)), (biases, mantissas, powers)

    def _round_even(self, meaning: Meaning) -> tuple[Epilogue, tuple[npt.ArrayLike, ...]]:
        """Integers equal to onnxruntime's float32, proven at every step between two codes."""
        gains = self._gains(meaning)
        scale = Single(meaning.scale)
        factors = None if self.scales is None else self.scales(scale).astype(np.float32)
        if factors is not None:
            gains = np.broadcast_to(factors, self.units.shape).astype(np.float64)
        offsets = self.offsets / meaning.scale
        if meaning.hi - meaning.lo >= _MOST_CODES:
            return self._without_proof(meaning, gains, offsets)
        formula = self.formula
        steps = find_steps(
            (lambda acc: self.rounded(acc, scale, factors, meaning.zero_point))
            if formula is None
            else (lambda acc: formula(acc, meaning)),
            (meaning.lo, meaning.hi),
            self.least,
            self.most,
        )
        if not self.offsets.any():
            plain = fit_plain(steps, gains, self.biases, meaning.zero_point)
            if plain is not None:
                return Requantize(*_fields(meaning)), plain
        if formula is None and factors is not None:
            pair = single_factors(np.broadcast_to(factors, self.units.shape))
            self.layer.require(pair is not None, "the ratio of two scales is odd")
            assert pair is not None
            output = RequantizeSingle(*_fields(meaning), int(self.inside), self.moved)
            return output, (self.biases, *pair)
        line = nearest_line(gains, offsets, self.biases, meaning.zero_point, self._parity(meaning))
        rows = tuple(row[:, None] for row in line)
        good = formula is None or steps.agree(lambda acc: requantize_offset(acc, *rows)).all()
        self.layer.require(
            bool(good), "no integers add as float32 does", "import with rounding half_up"
        )
        return RequantizeOffset(*_fields(meaning)), line

    def _without_proof(
        self, meaning: Meaning, gains: Floats, offsets: Floats
    ) -> tuple[Epilogue, tuple[npt.ArrayLike, ...]]:
        """Of 16-bit codes: the nearest integers, a half to even."""
        line = nearest_line(gains, offsets, self.biases, meaning.zero_point, self._parity(meaning))
        return RequantizeOffset(*_fields(meaning)), line

    def _parity(self, meaning: Meaning) -> int:
        """Where a half goes: to even before the zero point, or with it inside."""
        return 1 if self.inside or self.formula or meaning.zero_point % 2 == 0 else 2

    def rounded(
        self,
        acc: Int64s,
        scale: np.float32,
        factors: npt.NDArray[np.float32] | None,
        zero: int,
    ) -> Int64s:
        """Codes as onnxruntime computes them, before saturation; acc (channels, n)."""
        biased = acc + self.biases[:, None]
        with np.errstate(over="ignore"):
            if factors is not None:
                columns = np.broadcast_to(factors, self.units.shape)[:, None]
                value = biased.astype(np.float32) * columns
            else:
                gains = (self.units / float(scale))[:, None]
                value = biased * gains + (self.offsets / float(scale))[:, None]
            value = np.clip(value, -(2.0**30), 2.0**30).astype(value.dtype)
            if self.inside:
                inner = value.dtype.type(zero + self.moved)
                return np.rint(value + inner).astype(np.int64) - self.moved
            return np.asarray(np.rint(value).astype(np.int64) + zero)


def _fields(meaning: Meaning) -> tuple[str, float, int, int, int]:
    return meaning.format, meaning.scale, meaning.zero_point, meaning.lo, meaning.hi


def span_of(lo: int, hi: int, zero: int) -> tuple[int, int]:
    """Smallest and largest code without the zero point, 0 included, which padding adds."""
    return min(lo - zero, 0), max(hi - zero, 0)


def reach_of(
    weights: npt.NDArray[np.int64], span: tuple[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Smallest and largest sum of products for each row of weights."""
    rows = weights.reshape(weights.shape[0], -1)
    ends = rows * span[0], rows * span[1]
    least = np.minimum(np.minimum(*ends), 0).sum(axis=1)
    most = np.maximum(np.maximum(*ends), 0).sum(axis=1)
    if max(-int(least.min()), int(most.max())) > INT32_MAX:
        raise ModelError("an accumulator can leave int32")
    return least, most
