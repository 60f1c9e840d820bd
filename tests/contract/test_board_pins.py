"""Serial lines of the boards against a second table, made from other sources than boards.yaml.

A wrong pin flashes well and never answers, and no emulator shows it. The rows are what Zephyr's
device trees (github.com/zephyrproject-rtos/zephyr, boards/) give the console's UART; where Zephyr
has no such board, what the maker's Arduino core does.
"""

from __future__ import annotations

import pytest

from tinyq.hardware.boards import Board, load_boards

# UART (0: the low-power one; "uart": the only one), pin that the board sends on, pin that it hears.
PINS: dict[str, tuple[object, str, str]] = {
    "b-l475e-iot01a": (1, "PB6", "PB7"),  # disco_l475_iot1
    "b-u585i-iot02a": (1, "PA9", "PA10"),
    "bluepill-f103c8": (1, "PA9", "PA10"),  # stm32_min_dev
    "feather-stm32f405": (3, "PB10", "PB11"),  # adafruit_feather_stm32f405
    "microbit-v1": ("uart", "P24", "P25"),  # bbc_microbit
    "microbit-v2": ("uart", "P6", "P40"),  # P1.8
    "netduino-plus-2": (6, "PC6", "PC7"),  # pins D1 and D0 of the Arduino header
    "nrf52840-dk": ("uart", "P6", "P8"),
    "nrf5340-dk": ("uart", "P20", "P22"),
    "nucleo-f072rb": (2, "PA2", "PA3"),
    "nucleo-f091rc": (2, "PA2", "PA3"),
    "nucleo-f103rb": (2, "PA2", "PA3"),
    "nucleo-f401re": (2, "PA2", "PA3"),
    "nucleo-f411re": (2, "PA2", "PA3"),
    "nucleo-f446re": (2, "PA2", "PA3"),
    "nucleo-f746zg": (3, "PD8", "PD9"),
    "nucleo-f767zi": (3, "PD8", "PD9"),
    "nucleo-g474re": (2, "PA2", "PA3"),  # Zephyr takes LPUART1, which has the same pins
    "nucleo-h743zi": (3, "PD8", "PD9"),
    "nucleo-l476rg": (2, "PA2", "PA3"),
    "nucleo-l4r5zi": (0, "PG7", "PG8"),
    "nucleo-u575zi-q": (1, "PA9", "PA10"),
    "nucleo-wb55rg": (1, "PB6", "PB7"),
    "pico": ("uart", "P0", "P1"),
    "stm32f405": (1, "PA9", "PA10"),  # no board of its own: USART1 as its boot loader has it
    "stm32f429i-disc1": (1, "PA9", "PA10"),
    "stm32f4discovery": (2, "PA2", "PA3"),
    "stm32vldiscovery": (1, "PA9", "PA10"),
}


def read_pins(board: Board) -> tuple[object, str, str]:
    named = {key: board.defines[key] for key in board.defines}
    if "TQ_TX" in named:
        return "uart", f"P{named['TQ_TX']}", f"P{named['TQ_RX']}"
    tx, rx = (f"P{named[f'TQ_{side}_PORT']}{named[f'TQ_{side}_PIN']}" for side in ("TX", "RX"))
    return named["TQ_USART"], tx, rx


WITH_PINS = {
    name: board
    for name, board in load_boards().items()
    if {"TQ_TX", "TQ_TX_PIN"} & set(board.defines)
}


def test_every_board_with_pins_has_a_row_and_no_other():
    missing = sorted(set(WITH_PINS) - set(PINS))
    assert not missing, f"add the pins of {', '.join(missing)} from a source of their own to PINS"
    assert not set(PINS) - set(WITH_PINS)


@pytest.mark.parametrize("name", sorted(set(PINS) & set(WITH_PINS)))
def test_pins_agree_with_the_second_table(name):
    assert read_pins(WITH_PINS[name]) == PINS[name]
