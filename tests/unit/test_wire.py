"""Frames and messages, against values worked out by hand."""

from __future__ import annotations

import struct

import pytest

from tinyq.errors import LinkError
from tinyq.targets import wire
from tinyq.targets.wire import Damaged, Decoder, Frame, Kind


def test_line_of_a_known_frame():
    # 02 01 34 12 and their CRC-32: no zero among them, so one COBS block of eight bytes, code 9
    line = wire.encode(Frame(Kind.HELLO, 0x1234))
    assert line[:6] == bytes.fromhex("000902013412")
    assert line[-1] == 0
    assert len(line) == 11


def test_crc_is_the_published_one():
    # The check value of CRC-32/ISO-HDLC is that of the digits "123456789".
    covered = struct.pack("<BBH", 0x31, 0x32, 0x3433) + b"56789"
    line = wire.encode(Frame(0x32, 0x3433, b"56789", version=0x31))
    assert covered == b"123456789"
    assert line[2:-1].endswith(struct.pack("<I", 0xCBF43926))


@pytest.mark.parametrize("size", [0, 1, 245, 246, 247, 253, 254, 255, 508, 509, 4096])
@pytest.mark.parametrize("fill", [0, 1, 255])
def test_sizes_around_a_block(size, fill):
    frame = Frame(Kind.ECHO, 7, bytes([fill]) * size)
    assert Decoder().feed(wire.encode(frame)) == [frame]


def test_bytes_may_come_one_at_a_time():
    frames = [Frame(Kind.ECHO, number, bytes(range(number))) for number in range(40)]
    decoder = Decoder()
    line = b"\0\0".join(map(wire.encode, frames))
    found = [frame for byte in line for frame in decoder.feed(bytes([byte]))]
    assert found == frames


def test_damage_costs_one_frame():
    good = Frame(Kind.ECHO, 2, b"good")
    broken = bytearray(wire.encode(Frame(Kind.ECHO, 1, b"broken")))
    broken[4] ^= 0x40
    found = Decoder().feed(bytes(broken) + wire.encode(good))
    assert found == [Damaged(bytes(broken[1:-1])), good]


def test_a_line_beyond_the_limit_is_damaged():
    decoder = Decoder(limit=64)
    good = Frame(Kind.ECHO, 2, b"good")
    found = decoder.feed(b"\x05" * 1000)
    found += decoder.feed(b"\0" + wire.encode(good))
    assert found == [Damaged(b"\x05" * 64), good]


@pytest.mark.parametrize("size", range(8))
def test_a_frame_without_room_for_header_and_crc_is_damaged(size):
    from cobs import cobs

    assert isinstance(wire.decode(cobs.encode(b"\x01" * (size - 1) if size else b"")), Damaged)


def greeting(name: bytes, ports: bytes = b"", inputs: int = 0, outputs: int = 0) -> Frame:
    numbers = struct.pack("<8I", 168_000_000, 1, 3920, 164, 784, 10, 4096, 5)
    counts = bytes([inputs, outputs, len(name), 0])
    payload = numbers + b"m" * 32 + b"f" * 32 + counts + name + ports
    return Frame(Kind.HELLO | wire.REPLY, 1, payload)


def test_device_info():
    info = wire.unpack_device_info(greeting(b"digits"))
    assert info.name == "digits"
    assert info.clock_hz == 168_000_000
    assert info.has_cycle_counter
    assert info.batch == 5
    assert info.layers == 5
    assert info.firmware_digest == b"f" * 32
    assert (info.inputs, info.outputs) == ((), ())


def test_a_greeting_names_several_inputs_and_outputs():
    ports = b"".join(
        struct.pack("<I", size) + name + b"\0"
        for name, size in ((b"image", 780), (b"mask", 4), (b"scores", 10))
    )
    info = wire.unpack_device_info(greeting(b"detector", ports, 2, 1))
    assert info.inputs == (wire.Port("image", 780), wire.Port("mask", 4))
    assert info.outputs == (wire.Port("scores", 10),)
    for wrong in (ports[:-1], ports + b"x", ports[:-8], b""):
        with pytest.raises(LinkError, match="is not one of this protocol"):
            wire.unpack_device_info(greeting(b"detector", wrong, 2, 1))
    with pytest.raises(LinkError, match="is not one of this protocol"):
        wire.unpack_device_info(greeting(b"detector", ports, 3, 0))


def test_a_text_before_a_frame_spoils_it_not():
    frame = Frame(Kind.HELLO | wire.REPLY, 1, b"greeting")
    found = Decoder().feed(b"I (31) boot: ESP-IDF v5\r\nready" + wire.encode(frame))
    assert found == [Damaged(b"I (31) boot: ESP-IDF v5\r\nready"), frame]


def test_a_long_greeting_is_none():
    with pytest.raises(LinkError, match="165 bytes"):
        wire.unpack_device_info(greeting(b"n" * 65))
    with pytest.raises(LinkError, match="16,385 bytes|16385 bytes"):
        wire.unpack_device_info(Frame(Kind.HELLO | wire.REPLY, 1, bytes((1 << 14) + 1)))


def test_a_short_greeting_says_what_to_do():
    with pytest.raises(LinkError, match="flash the image"):
        wire.unpack_device_info(Frame(Kind.HELLO | wire.REPLY, 1, b"short"))


def test_profile_wraps_around_and_leaves_the_mark_out():
    payload = struct.pack("<4I", 6, 2**32 - 10, 90, 95) + b"\x01\x02\x00\x00"
    reply = wire.unpack_profile(payload, layers=2, output_bytes=2)
    assert reply.output == b"\x01\x02"
    assert reply.layer_cycles() == (94, 0)


def test_profile_of_another_size_is_refused():
    with pytest.raises(LinkError, match="3 layers"):
        wire.unpack_profile(bytes(12), layers=3, output_bytes=2)


def test_number_of_another_size_is_refused():
    with pytest.raises(LinkError, match="3 bytes"):
        wire.unpack_word(bytes(3))


def test_payload_capacities():
    assert wire.payload_bytes(784, 10, 5) == (5 * 784, 164)
    assert wire.payload_bytes(1, 1, 5) == (4096, 4096)
    assert wire.payload_bytes(10_000, 3, 5) == (10_000, 164)
    assert wire.payload_bytes(4, 4, 5000) == (4096, 4 * 5002 + 4)
    # A name takes its characters, a zero byte and the four of its size; whole words in all.
    assert wire.payload_bytes(10_000, 3, 5, labels=["image", "mask", "x"]) == (10_000, 164 + 28)


def test_cycles_of_a_layer_may_take_all_32_bits():
    stamps = (5, 5 + 3 * 2**30, 4, 4)
    reply = wire.ProfileReply(2, stamps, b"")
    assert reply.layer_cycles() == (3 * 2**30 - 2, 2**32 - 1 - 3 * 2**30 - 2, 0)
