"""Cells of recurrent layers: what a step makes of gates and states, with integers alone.

Gates before their function and the cell of an LSTM are Q3.12, what a function gives is Q0.15, and
the hidden state that weights multiply is Q0.7. Arrays are of any library whose integers have 64
bits: NumPy in the reference, Keras in training.

Twin: templates/kernels/generic/recurrence.c.j2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from tinyq.numerics.fixed_point import Int32s

POINTS = 513  # of a curve
WORD_BITS, CODE_BITS = 12, 7
"""Bits behind the point of gates and cells, and of the hidden state."""
_UNIT_BITS = 15  # of what functions give
# Values that lie on the border of two codes by their formula go up, however float64 rounds them.
_TIE = 2.0**-30
_LEAST, _MOST = -(2**15), 2**15 - 1

Product = Callable[[Any, int, int], Any]
"""``(hidden, first, last)``: recurrent products of gates first .. last - 1 as saturated Q3.12."""
Function = Callable[[Any], Any]
"""Of Q3.12, gives Q0.15."""


@dataclass(frozen=True, slots=True)
class Library:
    """Functions of arrays that a cell needs beside sums and products.

    Attributes:
        clip: ``(x, least, most)``.
        shift: ``(x, bits)``: floor of x over a power of two.
        round: ``(x, bits)``: nearest integer to it, a half up.
    """

    clip: Callable[[Any, int, int], Any]
    shift: Callable[[Any, int], Any]
    round: Callable[[Any, int], Any]


def make_library(clip: Callable[..., Any], right_shift: Callable[..., Any]) -> Library:
    """The library of integer arrays, of their own functions."""

    def round_half_up(x: Any, bits: int) -> Any:
        return right_shift(x + (1 << (bits - 1)), bits)

    return Library(clip, right_shift, round_half_up)


NUMPY = make_library(np.clip, np.right_shift)


@dataclass(frozen=True, slots=True)
class Step:
    """What a cell works with in one step.

    Attributes:
        library: Functions of arrays.
        functions: Of gates, and last the activation.
        units: Hidden values.
        product: Recurrent products.
    """

    library: Library
    functions: tuple[Function, ...]
    units: int
    product: Product

    def saturate(self, x: Any) -> Any:
        """Nearest int16."""
        return self.library.clip(x, _LEAST, _MOST)

    def part(self, x: Any, place: int) -> Any:
        """Values of one gate."""
        return x[..., place * self.units : (place + 1) * self.units]

    def gate(self, x: Any) -> Any:
        """A gate of Q3.12, Q0.15."""
        return self.functions[0](x)

    def update(self, x: Any) -> Any:
        """The activation of Q3.12, Q0.15."""
        return self.functions[-1](x)

    def hide(self, x: Any, bits: int) -> Any:
        """Codes of the hidden state of values with ``bits`` bits behind the point."""
        return self.library.clip(self.library.round(x, bits - CODE_BITS), -128, 127)


def follow_curve(library: Library, take: Callable[[Any, Any], Any], curve: Any) -> Function:
    """The function that a curve stands for.

        y = curve[i] + floor(((curve[i + 1] - curve[i]) * f + 64) / 128)
        with 128 * i + f = x + 2**15

    Args:
        library: Functions of arrays.
        take: ``(table, places)``.
        curve: As ``find_curve`` makes it, int64.

    Twin: tq_interpolate16 in templates/runtime/tq_twice.h.
    """

    def function(x: Any) -> Any:
        place = x + 2**15
        left = library.shift(place, 7)
        base = take(curve, left)
        slope = take(curve, left + 1) - base
        return base + library.shift(slope * (place - left * 128) + 64, 7)

    return function


Advance = Callable[[Step, Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of cell.

    A state is one row of words for each of ``states``; that of a cell without words of its own
    begins with hidden codes.

    Attributes:
        number: Its number in C.
        gates: Gates of a unit.
        curves: Functions of a unit.
        states: Rows of the state.
        advance: ``(step, gates, state)``: the new state; gates and states are tuples or arrays
            whose last axis is gates * units.
        hidden: ``(step, state)``: the hidden codes of a state.
        codes_first: Whether the first row of the state is hidden codes.
    """

    number: int
    gates: int
    curves: int
    states: int
    advance: Advance
    hidden: Callable[[Step, Any], Any]
    codes_first: bool = True

    def begin(self, rows: tuple[Any, ...]) -> tuple[Any, ...]:
        """A state of any int16: hidden codes are saturated."""
        return (np.clip(rows[0], -128, 127), *rows[1:]) if self.codes_first else rows


def advance_lstm(step: Step, gates: Any, state: Any) -> Any:
    """One step of an LSTM.

        u = clip16(gates + product(h))                                  i, f, z, o of Keras' order
        c = clip16(floor((f(u_f) * c + floor(f(u_i) * g(u_z) / 2**3) + 2**14) / 2**15))
        h = clip8(floor((f(u_o) * g(c) + 2**22) / 2**23))

    Reference: Hochreiter, Schmidhuber 1997, Long short-term memory, Neural Computation 9(8).
    """
    hidden, cell = state
    u = step.saturate(gates + step.product(hidden, 0, 4))
    opening, keeping, output = (step.gate(step.part(u, place)) for place in (0, 1, 3))
    added = step.library.shift(opening * step.update(step.part(u, 2)), _UNIT_BITS - WORD_BITS)
    cell = step.saturate(step.library.round(keeping * cell + added, _UNIT_BITS))
    return step.hide(output * step.update(cell), 2 * _UNIT_BITS), cell


def advance_gru(step: Step, gates: Any, state: Any) -> Any:
    """One step of a GRU that resets the recurrent product, as cuDNN and Keras do by default.

        u = clip16(gates + product(h)) of z and r,  p = product(h) of the update
        n = g(clip16(gates + floor((f(u_r) * p + 2**14) / 2**15)))
        s = floor((f(u_z) * s + (2**15 - f(u_z)) * n + 2**14) / 2**15),  h = clip8(s / 2**8)

    Reference: Cho et al. 2014, arXiv:1406.1078, version 1.
    """
    products = step.product(step.hide(state[0], _UNIT_BITS), 0, 3)
    both = gates[..., : 2 * step.units] + products[..., : 2 * step.units]
    u = step.saturate(both)
    reset = step.library.round(step.gate(step.part(u, 1)) * step.part(products, 2), _UNIT_BITS)
    return (_blend(step, u, step.part(gates, 2) + reset, state[0]),)


def advance_gru_before(step: Step, gates: Any, state: Any) -> Any:
    """One step of a GRU that resets the state before its product (``reset_after=False``).

        u = clip16(gates + product(h)) of z and r
        n = g(clip16(gates + product(clip8(floor((f(u_r) * s + 2**22) / 2**23)))))

    The rest is that of ``advance_gru``.

    Reference: Cho et al. 2014, arXiv:1406.1078, version 3.
    """
    products = step.product(step.hide(state[0], _UNIT_BITS), 0, 2)
    u = step.saturate(gates[..., : 2 * step.units] + products)
    reset = step.hide(step.gate(step.part(u, 1)) * state[0], 2 * _UNIT_BITS)
    return (_blend(step, u, step.part(gates, 2) + step.product(reset, 2, 3), state[0]),)


def _blend(step: Step, u: Any, update: Any, words: Any) -> Any:
    new = step.update(step.saturate(update))
    keeping = step.gate(step.part(u, 0))
    return step.library.round(keeping * words + (2**_UNIT_BITS - keeping) * new, _UNIT_BITS)


def advance_simple(step: Step, gates: Any, state: Any) -> Any:
    """One step of a plain recurrent layer.

        h = clip8(floor((g(clip16(gates + product(h))) + 2**7) / 2**8))

    Reference: Elman 1990, Finding structure in time, Cognitive Science 14(2).
    """
    return (step.hide(step.update(step.saturate(gates + step.product(state[0], 0, 1))), 15),)


def _show_codes(step: Step, state: Any) -> Any:
    del step
    return state[0]


def _hide_words(step: Step, state: Any) -> Any:
    return step.hide(state[0], _UNIT_BITS)


CELLS: Mapping[str, Cell] = MappingProxyType(
    {
        "simple": Cell(0, 1, 1, 1, advance_simple, _show_codes),
        "lstm": Cell(1, 4, 2, 2, advance_lstm, _show_codes),
        "gru": Cell(2, 3, 2, 1, advance_gru, _hide_words, codes_first=False),
        "gru_before": Cell(3, 3, 2, 1, advance_gru_before, _hide_words, codes_first=False),
    }
)


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "hard_sigmoid": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
        "hard_tanh": lambda x: np.clip(x, -1.0, 1.0),
        "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
        "softsign": lambda x: x / (1.0 + np.abs(x)),
        "sparse_sigmoid": lambda x: np.clip(x / 2.0 + 0.5, 0.0, 1.0),
        "tanh": np.tanh,
    }
)
"""Activations by their Keras names, all within -1 .. 1."""
GATES = ("hard_sigmoid", "sigmoid", "sparse_sigmoid")
"""Those within 0 .. 1."""


def find_curve(name: str) -> Int32s:
    """Points of an activation on [-8, 8] for ``follow_curve``.

        curve[i] = clip16(floor(function(i / 32 - 8) * 2**15 + 1/2 + 2**-30))

    Args:
        name: Key of ``FUNCTIONS``.

    Returns:
        int32 codes of s16, shape (513,).
    """
    places = np.arange(POINTS, dtype=np.float64) / 32.0 - 8.0
    points = np.floor(FUNCTIONS[name](places) * 2.0**_UNIT_BITS + (0.5 + _TIE))
    return np.asarray(np.clip(points, _LEAST, _MOST), np.int32)
