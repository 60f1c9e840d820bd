"""What people read: tables made once, shown as text on a terminal and as HTML in a notebook."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import rich.console

WIDTH = 100  # columns of text where no terminal says how many there are


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title.

    Attributes:
        title: What the rows are.
        columns: Heads of the columns.
        rows: As many cells each as there are columns.
        right: Heads of the columns that are aligned to the right.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()

    def render(self, width: int = WIDTH) -> str:
        """The table as lines of at most ``width`` characters; the first column is not broken."""
        from rich.console import Console

        written = io.StringIO()
        console = Console(file=written, width=width, highlight=False, color_system=None)
        console.print(self.to_rich())
        return "\n".join(line.rstrip() for line in written.getvalue().splitlines())

    def to_rich(self) -> rich.console.Group:
        """Title and table for a console of rich."""
        from rich.console import Group
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=None, pad_edge=False)
        for index, column in enumerate(self.columns):
            justify: Literal["left", "right"] = "right" if column in self.right else "left"
            table.add_column(column, justify=justify, no_wrap=index == 0, overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return Group(Text(self.title, style="italic"), table)

    def to_html(self) -> str:
        """The table as an HTML element without external parts."""
        heads = "".join(self._cell("th", head, head) for head in self.columns)
        rows = "".join(
            "<tr>"
            + "".join(
                self._cell("td", head, cell) for head, cell in zip(self.columns, row, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        caption = f'<caption style="text-align:left">{escape(self.title)}</caption>'
        return f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"

    def _cell(self, tag: str, head: str, text: str) -> str:
        side = "right" if head in self.right else "left"
        return f'<{tag} style="text-align:{side}">{escape(text)}</{tag}>'


Part = Table | str


class Shown:
    """A result that people read: subclasses say its parts, text and HTML follow.

    A dataclass that inherits this leaves its own ``repr`` out: ``@dataclass(repr=False, ...)``.
    """

    __slots__ = ()

    def parts(self) -> Sequence[Part]:
        """Tables and lines, in the order in which they are read."""
        raise NotImplementedError

    @property
    def ok(self) -> bool:
        """Whether what was checked is as it should be."""
        return True

    def __repr__(self) -> str:
        return "\n".join(part if isinstance(part, str) else part.render() for part in self.parts())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return "".join(
            f"<pre>{escape(part)}</pre>" if isinstance(part, str) else part.to_html()
            for part in self.parts()
        )
