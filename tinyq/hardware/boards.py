"""The catalogue of boards: boards.yaml, validated."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, MinLen

from tinyq.errors import BoardError
from tinyq.hardware.clock_rules import list_broken
from tinyq.support.resources import BOARDS

if TYPE_CHECKING:
    import yaml

Keys = tuple[str, ...]

_SECTIONS = ("aliases", "families", "boards")
_LARGEST_BATCH = 4096  # of requests; more saves no time on the line


@dataclass(frozen=True, slots=True)
class Serial:
    """The serial line of a board.

    Args:
        baud: Line rate in bits per second.
        usb: Vendor and product id ("0483:374b") of the board's own USB bridge, None without one.
        interface: Which of the bridge's ports is the firmware's, from 0.
    """

    baud: Annotated[int, Gt(0)] = 115200
    usb: str | None = None
    interface: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What building for a board and talking to it needs to know.

    Args:
        name: Key in boards.yaml.
        title: Maker and model, for people.
        family: Family that the entry takes over, None without one.
        isa: Which kernels fit: generic, armv7m, armv7em ...
        port: Folder in firmware/ports with the board's registers.
        startup: Folder in firmware/ports with the start-up code of the core, None for a process.
        toolchain: Compiler family, see `tinyq.firmware.toolchains.TOOLCHAINS`, or what builds
            instead of tinyq: see `tinyq.firmware.toolchains.FOREIGN`.
        cflags: Compiler flags that choose the core.
        flash_origin: First address of the code memory.
        flash_bytes: Size of the code memory, 0 for no limit.
        ram_origin: First address of the data memory.
        ram_bytes: Size of the data memory in one piece, 0 for no limit.
        stack_bytes: Part of the data memory that is kept for the stack.
        clock_hz: Core clock that the port reaches, 0 where it is unknown.
        runner: What runs the firmware unless a command says otherwise.
        serial: The serial line.
        flasher: Program and arguments that write the firmware to the board.
        qemu_machine: Machine of QEMU that emulates the board, None without one.
        simavr_mcu: Chip of simavr that emulates the board, None without one.
        qemu_serial: Which of the machine's serial lines the firmware talks on, from 0.
        platformio: The board's id in PlatformIO, None where it has none.
        tested: What has run the board's port: an emulator of this very board or of its chip, or
            nothing yet ("no": written from the documents, compiled and linked only).
        defines: Macros for the port, such as the clock needs: see `tinyq.hardware.clock_rules`.
        source: Documents that the numbers come from.
    """

    name: str
    title: Annotated[str, MinLen(1)]
    family: str | None = None
    isa: Annotated[str, MinLen(1)]
    port: Annotated[str, MinLen(1)]
    startup: str | None = None
    toolchain: Annotated[str, MinLen(1)]
    cflags: tuple[str, ...] = ()
    flash_origin: Annotated[int, Ge(0)]
    flash_bytes: Annotated[int, Ge(0)]
    ram_origin: Annotated[int, Ge(0)]
    ram_bytes: Annotated[int, Ge(0)]
    stack_bytes: Annotated[int, Ge(0)]
    clock_hz: Annotated[int, Ge(0)]
    runner: Literal["serial", "qemu", "simavr", "host"]
    serial: Serial = field(default_factory=Serial)
    flasher: tuple[str, ...] = ()
    qemu_machine: str | None = None
    qemu_serial: Annotated[int, Ge(0)] = 0
    simavr_mcu: str | None = None
    platformio: str | None = None
    tested: Literal["emulator", "no"] = "no"
    defines: Mapping[str, int | str] = field(default_factory=dict)
    source: Annotated[str, MinLen(1)]

    @property
    def has_semihosting(self) -> bool:
        """Whether the port asks the emulator for bytes, in place of a UART."""
        return "TQ_SEMIHOSTING" in self.defines

    @property
    def line_bytes(self) -> int:
        """Bytes in which the port gathers what an emulator hands over without a UART."""
        return 1024 if self.has_semihosting else 0

    @property
    def batch_bytes(self) -> int:
        """Bytes of samples that a request may carry: a sixteenth of the RAM, at most 4,096."""
        return min(self.ram_bytes // 16, _LARGEST_BATCH) if self.ram_bytes else _LARGEST_BATCH


@dataclass(frozen=True, slots=True)
class _Document:
    """A YAML file as plain data, with the line of each key.

    Args:
        path: The file, for messages.
        data: Its content.
        lines: Path of keys -> line, from 1.
    """

    path: Path
    data: dict[str, Any]
    lines: Mapping[Keys, int]

    def error(self, message: str, keys: Keys, remedy: str | None = None) -> BoardError:
        """Return an error that names the line of the innermost key that the file has."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return BoardError(
            message, where=f"{self.path.name}:{self.lines.get(keys, 1)}", remedy=remedy
        )


@dataclass(frozen=True, slots=True)
class _Catalogue:
    boards: Mapping[str, Board]
    aliases: Mapping[str, str]


def load_boards(path: Path = BOARDS) -> Mapping[str, Board]:
    """Read and check a catalogue.

    Args:
        path: YAML file with the sections aliases, families and boards.

    Returns:
        Boards by name, in the order of the file, without the aliases.

    Raises:
        BoardError: The file is missing, is not YAML, or an entry is wrong; says file and line.
    """
    return _read_catalogue(path).boards


def load_aliases(path: Path = BOARDS) -> Mapping[str, str]:
    """Read the other names of boards.

    Args:
        path: YAML file with the sections aliases, families and boards.

    Returns:
        Board names by alias, in the order of the file.

    Raises:
        BoardError: As `load_boards`.
    """
    return _read_catalogue(path).aliases


def find_board(name: str, path: Path = BOARDS) -> Board:
    """Look up a board by its name or an alias.

    Args:
        name: Such as "nucleo-f411re" or "stm32"; letter case is not looked at.
        path: The catalogue.

    Returns:
        The board.

    Raises:
        BoardError: There is none of that name; proposes the nearest ones.
    """
    catalogue = _read_catalogue(path)
    wanted = name.strip().lower()
    board = catalogue.boards.get(catalogue.aliases.get(wanted, wanted))
    if board is None:
        raise BoardError(
            f"there is no board named {name!r}",
            where=path.name,
            remedy=_propose(wanted, [*catalogue.boards, *catalogue.aliases]),
        )
    return board


def _propose(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(names)}"


@cache
def _read_catalogue(path: Path) -> _Catalogue:
    document = _read_document(path)
    for section in document.data:
        if section not in _SECTIONS:
            raise document.error(f"there is no section {section!r}", (section,))
    boards = {name: _read_board(document, name) for name in _section(document, "boards")}
    aliases = _section(document, "aliases")
    for alias, name in aliases.items():
        if not isinstance(name, str) or name not in boards:
            raise document.error(f"alias {alias!r} names no board", ("aliases", alias))
    return _Catalogue(MappingProxyType(boards), MappingProxyType(aliases))


def _section(document: _Document, name: str) -> dict[str, Any]:
    section = document.data.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise document.error(f"{name} must be a mapping", (name,))
    return section


def _read_board(document: _Document, name: str) -> Board:
    """Merge an entry with its families, then check the whole."""
    from pydantic import TypeAdapter, ValidationError

    merged = {**_merge_families(document, ("boards", name)), "name": name}
    for key in set(merged) - set(Board.__dataclass_fields__):
        raise document.error(
            f"board {name!r} has an unknown field {key!r}",
            _origin(document, name, (key,)),
            _propose(key, list(Board.__dataclass_fields__)),
        )
    try:
        board: Board = TypeAdapter(Board).validate_python(merged)
    except ValidationError as error:
        fault = error.errors()[0]
        keys = tuple(str(part) for part in fault["loc"])
        raise document.error(
            f"board {name!r}, {'.'.join(keys)}: {fault['msg']}", _origin(document, name, keys)
        ) from error
    _check_clock(document, board)
    return board


def _check_clock(document: _Document, board: Board) -> None:
    for rule in list_broken(board.port, board.clock_hz, board.defines):
        raise document.error(
            f"board {board.name!r}, clock_hz {board.clock_hz}: {rule.reason} ({rule.source})",
            _origin(document, board.name, ("clock_hz",)),
            rule.remedy,
        )


def _merge_families(document: _Document, entry: Keys) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for keys in reversed(list(_lineage(document, entry))):
        for key, value in document.data[keys[0]][keys[1]].items():
            if isinstance(value, dict) and isinstance(merged.get(key), dict):
                merged[key] = {**merged[key], **value}
            else:
                merged[key] = value
    return merged


def _lineage(document: _Document, entry: Keys) -> Iterator[Keys]:
    """Yield an entry, its family, the family's family and so on."""
    families = _section(document, "families")
    seen: set[Keys] = set()
    while True:
        data = document.data[entry[0]][entry[1]]
        if not isinstance(data, dict):
            raise document.error(f"{entry[1]!r} must be a mapping of fields", entry)
        seen.add(entry)
        yield entry
        family = data.get("family")
        if family is None:
            return
        if not isinstance(family, str) or family not in families:
            raise document.error(
                f"there is no family {family!r}",
                (*entry, "family"),
                _propose(str(family), list(families)),
            )
        entry = ("families", family)
        if entry in seen:
            raise document.error(f"family {family!r} inherits from itself", (*entry, "family"))


def _origin(document: _Document, name: str, keys: Keys) -> Keys:
    """Return the path at which a field of a board stands: in its entry or in a family."""
    for entry in _lineage(document, ("boards", name)):
        for length in range(len(keys), 0, -1):
            if (*entry, *keys[:length]) in document.lines:
                return (*entry, *keys[:length])
    return ("boards", name)


def _read_document(path: Path) -> _Document:
    import yaml

    try:
        text = path.read_text("utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise BoardError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise BoardError("is not UTF-8 text", where=str(path)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BoardError(f"is not YAML: {error.problem}", where=f"{path.name}:{line}") from error
    if not isinstance(root, yaml.MappingNode):
        raise BoardError("holds no mapping", where=str(path))
    lines: dict[Keys, int] = {}
    for keys, line in _key_lines(root, ()):
        if keys in lines:
            raise BoardError(f"{keys[-1]!r} stands twice", where=f"{path.name}:{line}")
        lines[keys] = line
    return _Document(path, yaml.safe_load(text), MappingProxyType(lines))


def _key_lines(node: yaml.MappingNode, above: Keys) -> Iterator[tuple[Keys, int]]:
    for key, value in node.value:
        keys = (*above, str(key.value))
        yield keys, key.start_mark.line + 1
        if value.id == "mapping":
            yield from _key_lines(value, keys)
