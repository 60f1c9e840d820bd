"""Errors that a user can act on: what is wrong, where, and what to do about it.

The command line prints a `TinyqError` as one message without a traceback. A subclass exists only
where a caller tells it apart from the others.
"""

from __future__ import annotations


class TinyqError(Exception):
    """Something is wrong that the user can put right.

    Args:
        message: What is wrong, one sentence without the place.
        where: The layer, tensor, file, line or port.
        remedy: What to do, as one instruction.
    """

    def __init__(
        self, message: str, *, where: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        """Return `where: message (remedy)` on one line."""
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.message}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the keywords, which `Exception` forgets (worker processes send errors)."""
        state = {"message": self.message, "where": self.where, "remedy": self.remedy}
        return self.__class__.__new__, (self.__class__, self.message), state

    def render(self) -> str:
        """Return the message as lines: what is wrong, then `where` and `remedy` if known."""
        lines = [f"error: {self.message}"]
        if self.where:
            lines.append(f"  where:  {self.where}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class ModelError(TinyqError):
    """A model file or a layer cannot be used."""


class DataError(TinyqError):
    """A data set has a wrong shape, type or content."""


class BoardError(TinyqError):
    """A board is unknown or its catalogue entry is wrong."""


class BudgetError(TinyqError):
    """A model does not fit into the flash or RAM of its board.

    `flash_excess` and `ram_excess` are the bytes that it is too large by, 0 where it fits.
    """

    flash_excess: int = 0
    ram_excess: int = 0


class ToolMissing(TinyqError):  # noqa: N818  (a missing tool is the name of the thing)
    """A compiler, emulator or other program is not installed."""


class LinkError(TinyqError):
    """The device does not answer, or its serial port cannot be used."""


class RecipeError(TinyqError):
    """A recipe cannot be used."""


class ToolError(TinyqError):
    """A compiler, linker or build tool has ended with an error; `output` is what it printed."""

    output: str = ""
