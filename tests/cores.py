"""The emulated cores that fast kernels are held against and measured on, one for each set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from tinyq.hardware.boards import Board, find_board

# A core that runs Arm v7-M runs Arm v6-M, and this machine has room for whole networks.
_M0PLUS = dataclasses.replace(
    find_board("mps2-an385"),
    title="Cortex-M0+ code on QEMU's mps2-an385",
    isa="armv6m",
    cflags=("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"),
)

CORES: Mapping[str, Board] = MappingProxyType(
    {
        "armv6m": _M0PLUS,
        "armv7m": find_board("mps2-an385"),
        "armv7em": find_board("mps2-an386"),
        "mve": find_board("mps3-an547"),
    }
)
NAMES: Mapping[str, str] = MappingProxyType(
    {"armv6m": "Cortex-M0+", "armv7m": "Cortex-M3", "armv7em": "Cortex-M4", "mve": "Cortex-M55"}
)
