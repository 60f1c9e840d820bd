"""Bytes of machine code of bound kernels by part, estimated from their texts."""

from __future__ import annotations

from dataclasses import dataclass

from tinyq.kernels.base import Bound
from tinyq.kernels.estimates import estimate_code
from tinyq.kernels.text import write_epilogue, write_kernel


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is known so far; parts that several kernels share are written and measured once.

    Attributes:
        known: Bytes of parts by their names.
    """

    known: dict[str, int]

    def split(self, bound: Bound) -> dict[str, int]:
        """Bytes of a kernel's own text, and of the parts that it shares with others."""
        return self._split_text(bound) | self._split_epilogue(bound)

    def _split_text(self, bound: Bound) -> dict[str, int]:
        function = bound.function
        if bound.shared:
            if function not in self.known:
                text = write_kernel(bound, function, lambda _: False)
                self.known[function] = estimate_code(text)
            return {function: self.known[function]}
        asked: list[str] = []

        def refuse(name: str) -> bool:
            asked.append(name)
            return False

        own = write_kernel(bound, function, refuse)
        alone = estimate_code(own)
        for name in asked:
            if name not in self.known:
                text = write_kernel(bound, function, name.__eq__)
                self.known[name] = estimate_code(text) - alone
        # Layers with the same text share it, so the text itself is the name of the part.
        return {own: alone, **{name: self.known[name] for name in asked}}

    def _split_epilogue(self, bound: Bound) -> dict[str, int]:
        if bound.finisher is None:
            return {}
        name = bound.finisher.name
        if name not in self.known:
            self.known[name] = estimate_code(write_epilogue(bound.finisher))
        return {name: self.known[name]}
