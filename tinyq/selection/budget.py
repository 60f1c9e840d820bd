"""The memory and the time that kernels may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """The memory of a board, in bytes, and the time that its user allows; 0 for no limit.

    Attributes:
        flash_bytes: Flash.
        ram_bytes: RAM.
        firmware_flash_bytes: Flash that is no kernel's: start-up, port, protocol.
        firmware_ram_bytes: RAM that is not the arena: stack, buffers of the protocol.
        cycles: Of one inference; instructions where no kernel was counted.
    """

    flash_bytes: int = 0
    ram_bytes: int = 0
    firmware_flash_bytes: int = 0
    firmware_ram_bytes: int = 0
    cycles: int = 0

    @property
    def kernel_bytes(self) -> int:
        """Flash for tables and code of the kernels; 0 for no limit."""
        left = self.flash_bytes - self.firmware_flash_bytes
        return max(left, 1) if self.flash_bytes else 0

    @property
    def arena_bytes(self) -> int:
        """RAM for activations and scratch memory; 0 for no limit."""
        return max(self.ram_bytes - self.firmware_ram_bytes, 1) if self.ram_bytes else 0
