"""Errors that a user can act on: what is wrong, where, and what to do about it.

The command line prints a `TinyqError` as one message without a traceback. A subclass exists only
where a caller tells it apart from the others, by its class here or by its code with ``--json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

CODES: Mapping[str, str] = MappingProxyType(
    {
        "request": "what was asked for does not exist or does not go together",
        "usage": "a word of the command line is unknown, missing or of the wrong kind",
        "model": "a model file or a layer cannot be used",
        "data": "a data set has a wrong shape, type or content",
        "board": "a board is unknown or its catalogue entry is wrong",
        "budget": "a model does not fit into the flash or RAM of its board",
        "tool_missing": "a compiler, emulator or other program is not installed",
        "tool": "a compiler, linker or build tool has ended with an error",
        "link": "the device does not answer, or its serial port cannot be used",
        "backend": "Keras does not load, or runs on a backend that does not compute exactly",
        "recipe": "a recipe cannot be used",
        "yaml": "a text is no YAML, or not of the plain kind",
        "file": "a file or folder cannot be read or written",
        "memory": "there is not enough memory",
        "interrupted": "the user has interrupted the command",
        "internal": "a fault of tinyq itself",
    }
)
"""Every code that `--json` may print for an error, and what it means. Codes stay as they are."""


class TinyqWarning(UserWarning):
    """Something is done, and the user should know what it means.

    Python's filters make it an error: ``warnings.simplefilter("error", TinyqWarning)``.
    """


class UnfinishedWarning(TinyqWarning):
    """The method of a model's `layers` has not come to the end of its procedure."""

    def __init__(self, message: str, layers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.layers = layers


class TinyqError(Exception):
    """Something is wrong that the user can put right.

    Args:
        message: What is wrong, one sentence without the place.
        where: The layer, tensor, file, line or port.
        remedy: What to do, as one instruction.
    """

    code: ClassVar[str] = "request"

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

    def to_json(self) -> dict[str, str | None]:
        """Plain data; the code is one of `CODES`."""
        return {
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "remedy": self.remedy,
        }

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

    code = "model"


class DataError(TinyqError):
    """A data set has a wrong shape, type or content."""

    code = "data"


class BoardError(TinyqError):
    """A board is unknown or its catalogue entry is wrong."""

    code = "board"


class BudgetError(TinyqError):
    """A model does not fit into the flash or RAM of its board.

    `flash_excess` and `ram_excess` are the bytes that it is too large by, 0 where it fits.
    """

    code = "budget"
    flash_excess: int = 0
    ram_excess: int = 0


class ToolMissing(TinyqError):  # noqa: N818  (a missing tool is the name of the thing)
    """A compiler, emulator or other program is not installed."""

    code = "tool_missing"


class LinkError(TinyqError):
    """The device does not answer, or its serial port cannot be used."""

    code = "link"


class RecipeError(TinyqError):
    """A recipe cannot be used."""

    code = "recipe"


class BackendError(TinyqError, ImportError):
    """Keras does not load with the backend it is set to; an `ImportError` for who imports it."""

    code = "backend"


class YamlError(TinyqError):
    """A text is no YAML, or not of the plain kind; `line` counts from 1, None where unknown."""

    code = "yaml"
    line: int | None = None


class ToolError(TinyqError):
    """A compiler, linker or build tool has ended with an error; `output` is what it printed."""

    code = "tool"
    output: str = ""


class FileError(TinyqError):
    """A file or folder cannot be read or written: permissions, a full disk, a wrong kind."""

    code = "file"


class MemoryShortage(TinyqError):  # noqa: N818  (as ToolMissing)
    """What was asked for needs more memory than there is."""

    code = "memory"


class InternalError(TinyqError):
    """A fault of tinyq itself, for the message about it; nothing raises it."""

    code = "internal"


def explain_system_error(
    error: OSError | MemoryError, where: str | Path | None = None
) -> TinyqError:
    """The error of a user's machine, not of tinyq: what the system says, and of which file.

    Args:
        error: What was raised.
        where: The file, where the error does not name it or names a temporary one.
    """
    if isinstance(error, MemoryError):
        return MemoryShortage(
            "there is not enough memory",
            where=None if where is None else str(where),
            remedy="use a smaller file, fewer samples (--samples), or a machine with more memory",
        )
    place = where if where is not None else error.filename
    return FileError(
        f"cannot be used: {error.strerror or error}",
        where=None if place is None else str(place),
        remedy="check that the place exists, may be written, and has space left",
    )
