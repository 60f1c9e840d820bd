"""What a flasher prints when it fails, turned into cause and remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UDEV = (
    "let this user open USB probes: install the udev rules of the flasher (OpenOCD: "
    "60-openocd.rules), then plug it in again; for a serial port: sudo usermod -aG dialout $USER"
)
# First match first: a refused device is also one that cannot be opened. A remedy may quote what
# the pattern has found.
_CAUSES: Sequence[tuple[str, str, str]] = (
    (
        r"LIBUSB_ERROR_ACCESS|[Pp]ermission denied|[Aa]ccess denied|insufficient permissions",
        "there is no permission to open the probe or port",
        _UDEV,
    ),
    (
        r"Target type '?([\w.-]+)'? (?:is )?not recognized",
        "pyOCD does not know the chip: its pack is missing",
        r"pyocd pack install \1",
    ),
    (
        r"UNEXPECTED idcode: (0x[0-9a-fA-F]+)",
        "the chip is another one than the board's, perhaps a clone",
        r"check that this is the board. For a clone, tell OpenOCD to take any chip: openocd -f "
        r"interface/stlink.cfg -c 'set CPUTAPID 0' -f target/stm32f1x.cfg -c 'program firmware.elf "
        r"verify reset exit' (found: \1)",
    ),
    (
        r"No available debug probes|No connected debug probes|no device found|"
        r"unable to find a matching|Couldn't find any ST-Link|unable to open .*device|"
        r"No DFU capable|can't open device|could not open port|No such file or directory.*tty|"
        r"Error: open failed|LIBUSB_ERROR_NO_DEVICE|No probe with unique ID|"
        r"No matching debug probe|Unable to match requested",
        "no probe or board was found",
        "plug it in, with a cable that carries data; for dfu-util, start its boot loader",
    ),
    (
        r"unable to connect to the target|Error connecting DP|init mode failed|No ACK|"
        r"not in sync|not responding|Failed to connect|Could not find MEM-AP|"
        r"[Tt]arget voltage.*0\.0|Can't init|unknown chip|No core.*found",
        "the probe has no contact with the chip",
        "check power and wiring (SWDIO, SWCLK, ground, reset), and that the board is the right one",
    ),
    (
        r"[Vv]erif\w+ (failed|error|mismatch)|checksum mismatch|contents differ|\*\* Verify Failed",
        "what the chip holds afterwards is not the image",
        "flash again; if it stays so, check the supply and whether the flash is write-protected",
    ),
)
_FRAME = "╭╮╰╯│─━┃┏┓┗┛ \t"  # what programs draw around a message


def explain_failure(output: str) -> tuple[str, str]:
    """Return the cause and the remedy that a flasher's output tells of."""
    for pattern, message, remedy in _CAUSES:
        found = re.search(pattern, output)
        if found:
            return message, found.expand(remedy)
    lines = [line for line in (line.strip(_FRAME) for line in output.splitlines()) if line]
    # A word that only heads a box says nothing.
    telling = [line for line in lines if not re.fullmatch(r"[Ee]rror:?[ ─]*", line)]
    fault = next((line for line in telling if re.search(r"\b[Ee]rror\b|No such", line)), "")
    last = (telling or lines or ["it printed nothing"])[-1]
    return fault or last, "see what the flasher's manual says"
