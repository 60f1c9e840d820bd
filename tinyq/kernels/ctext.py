"""C text: identifiers, comments, tables of numbers, and lines broken as clang-format does."""

from __future__ import annotations

import re
import string
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tinyq.graph import Tensor
from tinyq.numerics.formats import Format

COLUMNS = 100
# Characters that stand for themselves in a string; a digraph or trigraph needs a question mark.
_QUOTABLE = frozenset(string.ascii_letters + string.digits + " _-+.,:;()/")
_SHOWN = 16  # codes of a row that a comment decodes


def fill(head: str, items: Sequence[str], tail: str = "", margin: int = 0) -> str:
    """``head(items)tail`` on as few lines as possible, broken after commas.

    Args:
        head: Text before the parenthesis.
        items: Arguments or parameters.
        tail: Text after the parenthesis.
        margin: Column at which the caller puts the first line; later lines are indented by it.
    """
    opened = f"{' ' * margin}{head}("
    closing = f"){tail}"
    column = len(opened)
    pieces = [f"{item}," for item in items[:-1]] + [f"{items[-1]}{closing}"]
    lines = [opened]
    if column + max(map(len, pieces)) > COLUMNS:
        column = margin + 4
        lines.append(" " * column)
    fresh = True
    for piece in pieces:
        space = "" if fresh else " "
        if not fresh and len(lines[-1]) + len(space) + len(piece) > COLUMNS:
            lines.append(" " * column + piece)
        else:
            lines[-1] += space + piece
        fresh = False
    return "\n".join(lines)[margin:]


def plain(text: str) -> str:
    """Text that may stand in a C comment: ASCII, and nothing that opens or ends a comment."""
    ascii_text = text.encode("ascii", "backslashreplace").decode()
    printable = re.sub(r"[^ -~]", " ", ascii_text)
    return printable.replace("*/", "* /").replace("/*", "/ *")


def quote(text: str) -> str:
    """A C string literal of any text, as UTF-8."""
    octets = text.encode()
    return '"' + "".join(chr(it) if chr(it) in _QUOTABLE else f"\\{it:03o}" for it in octets) + '"'


def comment(text: str, margin: int = 0) -> str:
    """A comment of one line, or of more where one would be too long."""
    lines = textwrap.wrap(
        plain(text),
        COLUMNS - margin - 6,
        break_long_words=False,
        break_on_hyphens=False,
        subsequent_indent="  ",
    )
    return "/* " + f"\n{' ' * margin} * ".join(lines) + " */"


def identify(prefix: str, names: Iterable[str], kept: Iterable[str] = ()) -> dict[str, str]:
    """A C identifier for each name, all different: ``prefix_name`` with odd characters as ``_``.

    Args:
        prefix: Before each name.
        names: What is to be named.
        kept: Identifiers that are taken.
    """
    taken: dict[str, str] = {}
    reserved = frozenset(kept)
    for name in names:
        stem = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")
        candidate, count = f"{prefix}_{stem}", 1
        while candidate in taken.values() or candidate in reserved:
            count += 1
            candidate = f"{prefix}_{stem}_{count}"
        taken[name] = candidate
    return taken


def write_table(tensor: Tensor) -> str:
    """The packed words of a constant as the lines inside its initializer."""
    number_format = tensor.type.format
    assert tensor.codes is not None
    packed = number_format.pack(tensor.codes).reshape(-1)
    return _wrap(_write_word(word, number_format) for word in _words(packed, number_format))


def list_parameters(number_format: Format, name: str) -> list[str]:
    """C parameters for a packed operand: its row, then what its format brings along."""
    table = {"levels": ["const int8_t *levels"], "basis": ["const int8_t *basis"]}
    table["scales"] = ["const int8_t *scales", "int32_t group"]
    return [f"const {number_format.c_type} *{name}", *table.get(number_format.table, [])]


def write_values(values: Iterable[int]) -> str:
    """Integers as the lines inside an initializer."""
    return _wrap(map(str, values))


def write_words(words: npt.NDArray[np.uint32]) -> str:
    """Words as the lines inside an initializer."""
    return _wrap(f"0x{int(word):08x}" for word in words)


def quote_assembly(text: str) -> str:
    """Lines of assembly as the string that ``__asm__`` takes."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(f'        "{line}\\n"' for line in lines if line)


def write_fields(fields: Iterable[tuple[str, str, str]]) -> str:
    """Fields (C type, name, value) as the lines inside a struct's initializer."""
    return _wrap(f".{name.partition('[')[0]} = {value}" for _, name, value in fields)


def write_digest(digest: str) -> str:
    """The bytes of a hexadecimal digest as the lines inside an initializer in a struct."""
    return _wrap((f"0x{value:02x}" for value in bytes.fromhex(digest)), margin=8)


def decode_first_row(tensor: Tensor) -> str:
    """The first codes of a constant, for people."""
    assert tensor.codes is not None
    row = np.atleast_1d(tensor.codes).reshape(-1, (tensor.type.shape or (1,))[-1])[0]
    shown = " ".join(str(int(code)) for code in row[:_SHOWN])
    return shown + (" ..." if row.size > _SHOWN else "")


def _words(packed: np.ndarray, number_format: Format) -> Iterable[int]:
    kind = "i" if number_format.c_type.startswith("int") else "u"
    words = packed.view(np.dtype(f"<{kind}{number_format.word_bytes}"))
    return (int(word) for word in words)


def _write_word(word: int, number_format: Format) -> str:
    if number_format.codes_per_word > 1:
        return f"0x{word:0{2 * number_format.word_bytes}x}"
    return str(word)


def _wrap(items: Iterable[str], margin: int = 4) -> str:
    indent = " " * margin
    # A comma ends each item, so that a line may be broken at any space between two items.
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 1 > COLUMNS:
            lines.append(line.rstrip())
            line = indent
        line += f"{item}, "
    lines.append(line.rstrip())
    return "\n".join(lines)
