"""How an operator of another tool's file becomes operations, declared beside an operation.

    @imports("tflite", "L2_NORMALIZATION")
    def import_l2_normalization(operator: ForeignOperator) -> None: ...

An importer looks operators up here and calls what it finds with its own view of one operator, a
`ForeignOperator`. So an operation that one operator stands for is one file, its import included;
what needs more of a tool than this view lies with the importer of that tool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy.typing as npt

from tinyq.errors import TinyqError
from tinyq.graph.graph import Op
from tinyq.graph.tensors import TensorType

Importer = Callable[[Any], None]

_FOUND: dict[tuple[str, str], Importer] = {}


class ForeignOperator(Protocol):
    """One operator of a file: its tensors by position, its options, the graph under way."""

    def option(self, name: str, default: Any) -> Any:
        """An option of the operator, or ``default`` where the file has none."""

    def require(self, condition: bool, message: str, remedy: str | None = None) -> None:
        """Raise a ModelError with the message unless the condition holds."""

    def source(self, position: int = 0) -> Any:
        """Tensor of the file that is an input; its text is what a message calls it."""

    def result(self, position: int = 0) -> Any:
        """Tensor of the file that is an output."""

    def type_of(self, tensor: Any, *formats: str) -> TensorType:
        """Type in the graph of a quantized tensor in one of ``formats``, or s8."""

    def activation(self, position: int = 0) -> str:
        """Name in the graph of an input that is data."""

    def broadcast(self) -> tuple[str, str]:
        """Names in the graph of both inputs under the output's shape."""

    def number(self, suffix: str, codes: npt.ArrayLike, number_format: str) -> str:
        """Add a constant; its name in the graph."""

    def apply(self, operation: Op, *inputs: str, suffix: str = "") -> str:
        """Add a node; the name of its output."""

    def finish(self, name: str, position: int = 0) -> None:
        """Say which tensor of the graph an output is."""


def imports(tool: str, *names: str) -> Callable[[Importer], Importer]:
    """Register a function that adds the nodes of an operator.

    Args:
        tool: Kind of file, such as ``tflite``.
        names: What its operators are called there.

    Raises:
        TinyqError: Another function has the name.
    """

    def register(function: Importer) -> Importer:
        for name in names:
            known = _FOUND.setdefault((tool, name), function)
            if known is not function:
                raise TinyqError(
                    f"two functions import {name} of {tool}",
                    where=f"{known.__module__}, {function.__module__}",
                    remedy="keep one of them",
                )
        return function

    return register


def list_importers(tool: str) -> dict[str, Importer]:
    """What is registered for a tool so far, by name of the operator."""
    return {name: function for (kind, name), function in _FOUND.items() if kind == tool}
