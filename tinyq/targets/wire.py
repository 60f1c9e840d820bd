"""Frames and messages on the serial line between host and device.

    frame = version u8, kind u8, sequence u16, payload, crc u32        (little endian)
    crc   = CRC-32 (ISO-HDLC, the one of zlib) over version .. payload
    line  = 0x00, COBS(frame), 0x00

The first delimiter ends whatever stands on the line before: noise, half a frame, a text that a
board prints.

Twin: firmware/core/wire.h, equal byte for byte.
Reference: Cheshire and Baker 1999, "Consistent Overhead Byte Stuffing", IEEE/ACM ToN 7(2).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from cobs import cobs

from tinyq.errors import LinkError

VERSION = 2
OVERHEAD_BYTES = 8
REPLY = 0x80

_HEADER = struct.Struct("<BBH")
_CRC = struct.Struct("<I")
_WORD = struct.Struct("<I")
_DEVICE = struct.Struct("<8I32s32s4B")
_FLAG_CYCLE_COUNTER, _FLAG_STATE = 1, 2
_NAME_BYTES = 64
GREETING_BYTES = _DEVICE.size + _NAME_BYTES
"""Most bytes of the greeting of a model with one input and one output, which names neither."""
_MOST_GREETING_BYTES = 1 << 14
BATCH_BYTES = 4096


class Kind(IntEnum):
    """What a frame is. The reply to request k is k | REPLY.

    Twin: TQ_WIRE_HELLO and the names after it in firmware/core/wire.h.
    """

    HELLO = 0x01
    ECHO = 0x02
    INFER = 0x03
    PROFILE = 0x04
    PAINT = 0x05
    STACK = 0x06
    RESET = 0x07
    START = 0x08
    BOOT = 0xF0
    NAK = 0xF1
    ERROR = 0xF2


class Refusal(IntEnum):
    """Why a device refuses a request: the payload of an ERROR frame.

    Twin: TQ_WIRE_ERROR_VERSION and the names after it in firmware/core/wire.h.
    """

    VERSION = 1
    KIND = 2
    LENGTH = 3
    CAPACITY = 4
    UNGREETED = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Args:
        kind: 0 .. 255, see `Kind`.
        sequence: 0 .. 65535.
        payload: Content, at most what the receiver's buffer holds.
        version: Protocol version of the sender, 0 .. 255.
    """

    kind: int
    sequence: int
    payload: bytes = b""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Damaged:
    """What stands for a frame that did not arrive sound.

    Args:
        line: The bytes between two delimiters as they arrived.
    """

    line: bytes


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a model.

    Args:
        name: Its label, see `tinyq.graph.interface.label_ports`.
        size_bytes: Packed bytes of one.
    """

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a device says about itself and its model.

    Args:
        name: Name of the model.
        model_digest: SHA-256 of the integer graph, 32 bytes.
        firmware_digest: SHA-256 of the sources and flags of the image, 32 bytes.
        clock_hz: Core clock that the firmware reached.
        has_cycle_counter: Whether cycles can be read on this core.
        request_bytes: Capacity of a request's payload.
        reply_bytes: Capacity of a reply's payload.
        input_bytes: Packed bytes of the inputs of a sample, one behind the other.
        output_bytes: Packed bytes of its outputs, one behind the other.
        arena_bytes: Bytes of all intermediate tensors together.
        layers: Layers that a profile tells apart.
        inputs: Each input; empty for a model with one input and one output.
        outputs: Each output; empty for a model with one input and one output.
        keeps_state: Whether inferences are steps of sequences.
        version: Protocol version.
    """

    name: str
    model_digest: bytes
    firmware_digest: bytes
    clock_hz: int
    has_cycle_counter: bool
    request_bytes: int
    reply_bytes: int
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    layers: int
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    keeps_state: bool = False
    version: int = VERSION

    @property
    def batch(self) -> int:
        """Inputs that one request can carry."""
        by_request = self.request_bytes // stride(self.input_bytes)
        return min(by_request, self.reply_bytes // stride(self.output_bytes))


@dataclass(frozen=True, slots=True)
class ProfileReply:
    """Cycles of one inference.

    Args:
        mark_cycles: Cycles that a layer mark itself takes.
        stamps: Cycle counter at each mark, modulo 2**32, layers + 1 values.
        output: Packed output of the inference.
    """

    mark_cycles: int
    stamps: tuple[int, ...]
    output: bytes

    def layer_cycles(self) -> tuple[int, ...]:
        """Return the cycles of each layer without those of the mark that starts it.

        cycles[i] = max(0, (stamps[i + 1] - stamps[i]) mod 2**32 - mark_cycles)
        """
        pairs = zip(self.stamps, self.stamps[1:], strict=False)
        return tuple(max(0, (after - before) % 2**32 - self.mark_cycles) for before, after in pairs)


def stride(size_bytes: int) -> int:
    """Return the bytes from one tensor to the next in a batch: whole 4-byte words.

    Twin: stride in firmware/core/main.c.
    """
    return (size_bytes + 3) // 4 * 4


def payload_bytes(
    input_bytes: int,
    output_bytes: int,
    layers: int,
    batch_bytes: int = BATCH_BYTES,
    labels: Sequence[str] = (),
) -> tuple[int, int]:
    """Return the payload capacities that firmware for a model needs.

    A request holds as many inputs as fit into the bytes of a batch, and at least one. A reply holds
    the outputs of these, the greeting and a profile.

    Args:
        input_bytes: Packed bytes of the inputs of a sample, at least 1.
        output_bytes: Packed bytes of its outputs, at least 1.
        layers: Layers of the model.
        batch_bytes: What a batch may take; less where RAM is short.
        labels: Names of inputs and outputs; none for a model with one of each.

    Returns:
        TQ_PAYLOAD_BYTES and TQ_REPLY_BYTES, multiples of 4.

    Twin: reply_buffer_holds_hello and answer_hello in firmware/core/main.c.
    """
    greeting = stride(GREETING_BYTES + sum(_WORD.size + len(label) + 1 for label in labels))
    larger = max(stride(input_bytes), stride(output_bytes))
    batch = max(1, batch_bytes // larger)
    profile = 4 * (layers + 2) + stride(output_bytes)
    return batch * stride(input_bytes), max(batch * stride(output_bytes), greeting, profile)


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame on the line, between two delimiters.

    Twin: tq_wire_send in firmware/core/wire.c, equal byte for byte.
    """
    covered = _HEADER.pack(frame.version, frame.kind, frame.sequence) + frame.payload
    return b"\0" + bytes(cobs.encode(covered + _CRC.pack(zlib.crc32(covered)))) + b"\0"


def decode(line: bytes) -> Frame | Damaged:
    """Return the frame between two delimiters, or `Damaged` where COBS, size or CRC are wrong.

    Args:
        line: Bytes without the delimiter, not empty.

    Twin: tq_wire_accept in firmware/core/wire.c.
    """
    try:
        decoded = bytes(cobs.decode(line))
    except cobs.DecodeError:
        return Damaged(line)
    if len(decoded) < OVERHEAD_BYTES:
        return Damaged(line)
    covered, crc = decoded[: -_CRC.size], decoded[-_CRC.size :]
    if zlib.crc32(covered) != _CRC.unpack(crc)[0]:
        return Damaged(line)
    version, kind, sequence = _HEADER.unpack_from(covered)
    return Frame(kind, sequence, covered[_HEADER.size :], version)


class Decoder:
    """Cut a stream of bytes into frames.

    Args:
        limit: Longest line in bytes that is kept; a longer one comes back as `Damaged`, cut.

    Twin: tq_wire_decoder in firmware/core/wire.h.
    """

    def __init__(self, limit: int = 1 << 20) -> None:
        self._limit = limit
        self._line = bytearray()
        self._overflow = False

    def feed(self, received: bytes) -> list[Frame | Damaged]:
        """Take bytes as they arrive and return what they complete; empty lines are skipped."""
        *ended, rest = received.split(b"\0")
        frames: list[Frame | Damaged] = []
        for part in ended:
            self._keep(part)
            if self._overflow:
                frames.append(Damaged(bytes(self._line)))
            elif self._line:
                frames.append(decode(bytes(self._line)))
            self._line.clear()
            self._overflow = False
        self._keep(rest)
        return frames

    def _keep(self, part: bytes) -> None:
        room = self._limit - len(self._line)
        self._overflow = self._overflow or len(part) > room
        self._line += part[:room]


def unpack_device_info(frame: Frame) -> DeviceInfo:
    """Return what a HELLO reply says.

    Raises:
        LinkError: If the reply is shorter or longer than the protocol says.

    Twin: answer_hello in firmware/core/main.c.
    """
    payload = frame.payload
    if not _DEVICE.size <= len(payload) <= _MOST_GREETING_BYTES:
        raise _explain_greeting(payload)
    *numbers, model, firmware, inputs, outputs, name_bytes, _ = _DEVICE.unpack_from(payload)
    end = _DEVICE.size + name_bytes
    ports = _unpack_ports(payload, end, inputs + outputs)
    if name_bytes > _NAME_BYTES or len(payload) < end or bool(inputs) != bool(outputs):
        raise _explain_greeting(payload)
    clock_hz, flags, request, reply, input_bytes, output_bytes, arena, layers = numbers
    return DeviceInfo(
        name=payload[_DEVICE.size : end].decode("utf-8", "replace"),
        model_digest=model,
        firmware_digest=firmware,
        clock_hz=clock_hz,
        has_cycle_counter=bool(flags & _FLAG_CYCLE_COUNTER),
        request_bytes=request,
        reply_bytes=reply,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        arena_bytes=arena,
        layers=layers,
        inputs=ports[:inputs],
        outputs=ports[inputs:],
        keeps_state=bool(flags & _FLAG_STATE),
        version=frame.version,
    )


def _unpack_ports(payload: bytes, start: int, count: int) -> tuple[Port, ...]:
    """Inputs and outputs from ``start`` to the very end: size, name, zero byte each."""
    found = []
    for _ in range(count):
        begin = start + _WORD.size
        end = payload.find(b"\0", begin)
        if end < 0:
            raise _explain_greeting(payload)
        name = payload[begin:end].decode("ascii", "replace")
        found.append(Port(name, _WORD.unpack_from(payload, start)[0]))
        start = end + 1
    if start != len(payload):
        raise _explain_greeting(payload)
    return tuple(found)


def _explain_greeting(payload: bytes) -> LinkError:
    return LinkError(
        f"the device's greeting of {len(payload)} bytes is not one of this protocol",
        remedy="flash the image that this version of tinyq built",
    )


def unpack_profile(payload: bytes, layers: int, output_bytes: int) -> ProfileReply:
    """Return what a PROFILE reply says.

    Raises:
        LinkError: If the size does not fit the model.

    Twin: answer_profile in firmware/core/main.c.
    """
    words = struct.Struct(f"<{layers + 2}I")
    if len(payload) != words.size + stride(output_bytes):
        raise LinkError(f"a profile of {layers} layers came with {len(payload)} bytes")
    mark_cycles, *stamps = words.unpack_from(payload)
    output = payload[words.size : words.size + output_bytes]
    return ProfileReply(mark_cycles, tuple(stamps), output)


def unpack_word(payload: bytes) -> int:
    """Return the one unsigned 32-bit number of a payload (STACK reply, ERROR code).

    Raises:
        LinkError: If the payload has not four bytes.

    Twin: tq_wire_get_u32 in firmware/core/wire.c.
    """
    if len(payload) != _WORD.size:
        raise LinkError(f"a number came with {len(payload)} bytes instead of {_WORD.size}")
    value: int = _WORD.unpack(payload)[0]
    return value
