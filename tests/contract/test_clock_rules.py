"""Clock, voltage and wait states of boards: what boards.yaml refuses, the port refuses as well."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tinyq.errors import BoardError
from tinyq.hardware.boards import Board, find_board, load_boards
from tinyq.hardware.clock_rules import MHZ, RULES, list_broken
from tinyq.support.resources import BOARDS, FIRMWARE

PORTS = FIRMWARE / "ports"
# One board of each chip whose clock a port sets, and the source with its checks.
CHECKED = {
    "nucleo-f072rb": "stm32v2/clock_f0.c",
    "nucleo-f103rb": "stm32v1/chip_f1.h",
    "nucleo-f411re": "stm32v1/chip_f4.h",
    "nucleo-f746zg": "stm32v2/clock_f7.c",
    "nucleo-g474re": "stm32v2/clock_g4_l4_wb.c",
    "nucleo-h743zi": "stm32v2/clock_h7.c",
    "nucleo-l476rg": "stm32v2/clock_g4_l4_wb.c",
    "nucleo-u575zi-q": "stm32v2/clock_u5.c",
    "nucleo-wb55rg": "stm32v2/clock_g4_l4_wb.c",
    "microbit-v2": "nrf/port.c",
    "nrf5340-dk": "nrf53/port.c",
    "pico": "rp2040/port.c",
}
_SETTINGS = {
    "TQ_VOS": (0, 1, 2, 3, 4),
    "TQ_OVERDRIVE": (0, 1),
    "TQ_BOOST": (0, 1),
    "TQ_WAIT_STATES": (0, 1, 2, 3, 4, 5, 15, 16),
}


@pytest.mark.parametrize("board", load_boards().values(), ids=lambda board: board.name)
def test_every_board_keeps_the_rules(board):
    assert not list(list_broken(board.port, board.clock_hz, board.defines))


def test_every_rule_has_a_manual_and_a_port():
    names = {name for board in load_boards().values() for name in (board.port, *board.defines)}
    for rule in RULES:
        assert rule.chips in names
        assert re.search(r"\bRM\d{4}\b|\bPS\b|Reference Manual|\bDS\b", rule.source)


def test_every_chip_whose_clock_is_set_has_a_rule():
    """A family of the STM32, or a port that sets TQ_CLOCK_HZ, and is not named here."""
    macros = {rule.chips for rule in RULES}
    boards = load_boards().values()
    stm32 = {name for board in boards for name in board.defines if name.startswith("TQ_STM32_")}
    clocked = {
        path.parent.name for path in PORTS.rglob("*.[ch]") if "TQ_CLOCK_HZ" in path.read_text()
    }
    fixed = {"avr", "cmsdk", "host", "virt", "stm32v1", "stm32v2", "riscv", "cortexm", "arduino"}
    assert stm32 <= macros, "write rules for this chip in tinyq/hardware/clock_rules.py"
    assert clocked - fixed <= macros, "write rules for this port in tinyq/hardware/clock_rules.py"
    assert {rule.chips for rule in RULES} == {_find_chips(find_board(name)) for name in CHECKED}


def _find_chips(board: Board) -> str:
    stm32 = [name for name in board.defines if name.startswith("TQ_STM32_")]
    return stm32[0] if stm32 else board.port


def _list_settings(board: Board):
    """Clocks around every bound, with every value of the macros that matter."""
    chips = _find_chips(board)
    rules = [rule for rule in RULES if rule.chips == chips]
    bounds = {round(edge) for rule in rules for edge in (rule.above_mhz, rule.up_to_mhz)}
    clocks = {mhz + step for mhz in bounds for step in (-4, 0, 4) if 0 < mhz + step < 1000}
    macros = sorted({rule.macro for rule in rules} - {""})
    for clock in sorted(clocks):
        for values in itertools.product(*(_SETTINGS[macro] for macro in macros)):
            yield clock, dict(zip(macros, values, strict=True))


def _read_checks(path: Path) -> str:
    """The preprocessor's lines of a port before its first register, all branches closed."""
    text = path.read_text("utf-8")
    lines = text[: text.index("TQ_REGISTER")].splitlines()[:-1]
    kept = [line for line in lines if re.match(r"#(?!include)", line)]
    opened = sum(line.startswith("#if") - line.startswith("#endif") for line in kept)
    return "\n".join([*kept, *["#endif"] * opened])


def _write_probe(checks: str, place: int, defines: dict) -> str:
    """The checks of one setting, whose errors name ``place``."""
    if "TQ_PLL_N" in defines:
        defines = {**defines, "TQ_PLL_M": 8, "TQ_PLL_N": defines["TQ_CLOCK_HZ"] // MHZ}
    forgotten = [f"#undef {name}" for name in re.findall(r"#define (\w+)", checks)]
    forgotten += [f"#undef {name}" for name in re.findall(r"#ifndef (\w+)", checks)]
    lines = [f"#undef {name}\n#define {name} {value}" for name, value in defines.items()]
    return "\n".join([*forgotten, *lines, f'#line 1 "probe{place}"', checks])


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("name", CHECKED)
def test_the_port_refuses_what_the_catalogue_refuses(name, tmp_path):
    board, checks = find_board(name), _read_checks(PORTS / CHECKED[name])
    probes, wanted = [], set()
    for place, (clock, settings) in enumerate(_list_settings(board)):
        defines = {**board.defines, **settings}
        if list(list_broken(board.port, clock * MHZ, defines)):
            wanted.add(place)
        probes.append(_write_probe(checks, place, {**defines, "TQ_CLOCK_HZ": clock * MHZ}))
    path = tmp_path / "probes.c"
    path.write_text("\n".join(probes), "utf-8")
    done = subprocess.run(["gcc", "-E", "-P", path], capture_output=True, text=True, check=False)
    errors = re.findall(r"^(\w+):.*\berror: (#error)?", done.stderr, re.MULTILINE)
    assert all(said for _, said in errors), done.stderr[:2000]
    assert {int(where.removeprefix("probe")) for where, _ in errors} == wanted
    assert 0 < len(wanted) < len(probes)


@pytest.mark.parametrize(
    ("family", "fields", "said"),
    [
        ("nucleo-f4", {"clock_hz": 100_000_000}, "scale 1 above 84 MHz"),
        ("nucleo-f4", {"clock_hz": 180_000_000}, "over-drive"),
        ("nucleo-f4", {"clock_hz": 168_000_000, "defines": {"TQ_VOS": 2}}, "144 MHz"),
        ("stm32g4", {"defines": {"TQ_BOOST": 0}}, "boost"),
        ("stm32l4", {"clock_hz": 120_000_000}, "boost"),
        ("stm32l4", {"defines": {"TQ_WAIT_STATES": 2}}, "wait states"),
        ("stm32u5", {"clock_hz": 240_000_000}, "reaches 160 MHz"),
    ],
)
def test_a_new_board_that_breaks_a_rule_is_refused_with_its_line(family, fields, said, tmp_path):
    data = yaml.safe_load(BOARDS.read_text("utf-8"))
    entry = {"title": "New", "flash_bytes": 65536, "ram_bytes": 16384, "source": "DS1"}
    data["boards"] = {"new": {"family": family, **entry, **fields}}
    data["aliases"] = {}
    path = tmp_path / "boards.yaml"
    path.write_text(yaml.safe_dump(data), "utf-8")
    with pytest.raises(BoardError, match=said) as caught:
        load_boards(path)
    assert re.fullmatch(r"boards.yaml:\d+", caught.value.where)
    assert caught.value.remedy


def test_a_new_board_with_what_its_clock_needs_is_taken(tmp_path):
    data = yaml.safe_load(BOARDS.read_text("utf-8"))
    entry = {"title": "New", "flash_bytes": 131072, "ram_bytes": 32768, "source": "DS1"}
    fields = {"family": "nucleo-f4", "clock_hz": 100_000_000, "defines": {"TQ_VOS": 3}}
    path = Path(tmp_path) / "boards.yaml"
    path.write_text(yaml.safe_dump({**data, "boards": {"new": entry | fields}, "aliases": {}}))
    assert load_boards(path)["new"].clock_hz == 100_000_000
