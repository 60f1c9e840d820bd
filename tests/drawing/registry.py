"""How a file of tests/operations says what it has: a draw, cases of its kernels, a formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Registry:
    """What the files have said, each name once.

    Attributes:
        steps: Steps of random graphs: whether one takes a type, how to add it.
        finishing: Cases of kernels that end in an epilogue, by ``Op.kernel``.
        plain: Cases of the other kernels.
        tables: What fills in constants that are no free choice, by ``Op.kernel``.
        formulas: The operation on one sample in nested lists, by class name.
        modules: Where each of them is, by (kind, name).
    """

    steps: list[tuple[Callable, Callable]] = field(default_factory=list)
    finishing: dict[str, Callable] = field(default_factory=dict)
    plain: dict[str, Callable] = field(default_factory=dict)
    tables: dict[str, Callable] = field(default_factory=dict)
    formulas: dict[str, Callable] = field(default_factory=dict)
    modules: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, kind: str, name: str, function: Callable) -> None:
        assert (kind, name) not in self.modules, f"two files have the {kind} of {name}"
        self.modules[kind, name] = function.__module__


REGISTRY = Registry()


def step(fits: Callable, weight: int = 1) -> Callable:
    """A step of random graphs: ``function(drawing, source)`` adds nodes behind ``source``.

    Args:
        fits: Whether the step takes a tensor of this type.
        weight: How often among the steps that do.
    """

    def register(function: Callable) -> Callable:
        REGISTRY.steps += [(fits, function)] * weight
        REGISTRY.modules["step", function.__module__] = function.__module__
        return function

    return register


def bench_case(kernel: str, *, finishing: bool = False) -> Callable:
    """Cases of a kernel: ``function(draw, kernel[, epilogue])`` gives operation and operands."""

    def register(function: Callable) -> Callable:
        REGISTRY.note("case", kernel, function)
        (REGISTRY.finishing if finishing else REGISTRY.plain)[kernel] = function
        return function

    return register


def bench_tables(*kernels: str) -> Callable:
    """Constants of a case that are no free choice: ``function(draw, op, codes)`` changes codes."""

    def register(function: Callable) -> Callable:
        for kernel in kernels:
            REGISTRY.note("tables", kernel, function)
            REGISTRY.tables[kernel] = function
        return function

    return register


def formula(*operations: str) -> Callable:
    """The formula a second time: ``function(operation, *operands)`` in nested lists of integers.

    Of an operation that accumulates it gives the accumulators.
    """

    def register(function: Callable) -> Callable:
        for name in operations:
            REGISTRY.note("formula", name, function)
            REGISTRY.formulas[name] = function
        return function

    return register
