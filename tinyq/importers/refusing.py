"""What importers of operators have in common: how they refuse one."""

from __future__ import annotations

from typing import ClassVar

from tinyq.errors import ModelError


class Refusing:
    """An operator of a file, which its importer may refuse.

    Attributes:
        remedy: What helps where a refusal says nothing else.
    """

    remedy: ClassVar[str | None] = None

    def require(self, condition: bool, message: str, remedy: str | None = None) -> None:
        """Refuse the operator unless ``condition`` holds.

        Raises:
            ModelError: It does not.
        """
        if not condition:
            raise ModelError(message, remedy=remedy or self.remedy)
