"""A greeting, held against the image; what it means when a device says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.errors import LinkError
from tinyq.targets import wire
from tinyq.targets.wire import DeviceInfo, Kind

if TYPE_CHECKING:
    from tinyq.targets.symbols import Identity

# Beyond what any board has: a device that says more is none, or damaged.
_MOST_BYTES = 1 << 26
_MOST_LAYERS = 1 << 16
_MOST_HZ = 2_000_000_000
_RESTARTS = "look for a stack overflow, a watchdog or a weak power supply"


def check_greeting(info: DeviceInfo, identity: Identity | None, where: str) -> None:
    """Hold every number of a greeting against the image, or against what can be.

    Raises:
        LinkError: The device runs another model or firmware, or says what cannot be.
    """
    if identity is not None:
        _check_digests(info, identity, where)
        _check_sizes(info, identity, where)
    _check_limits(info, where)


def _check_digests(info: DeviceInfo, identity: Identity, where: str) -> None:
    for part, found, wanted in (
        ("model", info.model_digest, identity.model_digest),
        ("firmware", info.firmware_digest, identity.firmware_digest),
    ):
        if found != wanted:
            raise LinkError(
                f"the device runs another {part} (model {info.name!r}, {part} digest "
                f"{found.hex()[:12]}) than the image ({wanted.hex()[:12]})",
                where=where,
                remedy="flash the image and measure again",
            )


def _check_sizes(info: DeviceInfo, identity: Identity, where: str) -> None:
    for name, found, wanted in (
        ("bytes of input", info.input_bytes, identity.input_bytes),
        ("bytes of output", info.output_bytes, identity.output_bytes),
        ("bytes of arena", info.arena_bytes, identity.arena_bytes),
        ("layers", info.layers, identity.layers),
    ):
        if found != wanted:
            raise _impossible(f"{found:,} {name}, and the image has {wanted:,}", where)


def _check_limits(info: DeviceInfo, where: str) -> None:
    reply = wire.stride(info.output_bytes)
    profile = 4 * (info.layers + 2) + reply
    for name, found, least, most in (
        ("bytes of input", info.input_bytes, 1, _MOST_BYTES),
        ("bytes of output", info.output_bytes, 1, _MOST_BYTES),
        ("bytes of arena", info.arena_bytes, 0, _MOST_BYTES),
        ("layers", info.layers, 0, _MOST_LAYERS),
        ("bytes of a request", info.request_bytes, wire.stride(info.input_bytes), _MOST_BYTES),
        ("bytes of a reply", info.reply_bytes, max(reply, profile), _MOST_BYTES),
        ("Hz of clock", info.clock_hz, 0, _MOST_HZ),
    ):
        if not least <= found <= most:
            raise _impossible(f"{found:,} {name}, not {least:,} to {most:,}", where)
    for side, ports, whole in (
        ("input", info.inputs, info.input_bytes),
        ("output", info.outputs, info.output_bytes),
    ):
        found = sum(wire.stride(port.size_bytes) for port in ports)
        if ports and wire.stride(whole) != found:
            raise _impossible(f"{found:,} bytes in all {side}s, not {whole:,}", where)


def check_stack(used: int, where: str) -> int:
    """The bytes of stack that a device says it has used.

    Raises:
        LinkError: No device has so many.
    """
    if used > _MOST_BYTES:
        raise _impossible(f"{used:,} bytes of stack", where)
    return used


def _impossible(what: str, where: str) -> LinkError:
    return LinkError(
        f"the device says what cannot be: {what}", where=where, remedy="flash the image again"
    )


def explain_restarts(what: str, where: str) -> LinkError:
    """The error of a device that starts anew again and again: its link is sound, it is not."""
    return LinkError(f"the device resets whenever it {what}", where=where, remedy=_RESTARTS)


def explain_silence(
    kind: Kind, attempts: int, heard: bytes, where: str, *, cabled: bool
) -> LinkError:
    """The error of a device whose reply has not come.

    Args:
        kind: What it was asked.
        attempts: How often.
        heard: The first of the bytes that came in its place.
        where: What a message calls the device.
        cabled: Whether it is a board, and no program.
    """
    failure = f"no sound reply to {kind.name} in {attempts} attempts"
    if heard:
        failure = f"{failure}, but other bytes came: {heard!r}"
        remedy = "check that this is the port of the board, its baud rate and its cable, and that "
        return LinkError(failure, where=where, remedy=f"{remedy}the image is flashed")
    remedy = (
        "check cable, baud rate and power, and that the image is flashed"
        if cabled
        else "it may have stopped before it could answer: give it more stack, look at its start"
    )
    return LinkError(f"the device is silent: {failure}", where=where, remedy=remedy)
