"""The C decoder and encoder equal the Python ones byte for byte, whatever comes along the line."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyq.support.resources import FIRMWARE
from tinyq.targets import wire
from tinyq.targets.wire import Decoder, Frame

CAPACITY = 600
COMPILERS = [pytest.param(name, marks=pytest.mark.requires(name)) for name in ("gcc", "clang")]
SINK = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint8), ctypes.c_int32)
WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]

frames = st.builds(
    Frame,
    kind=st.integers(0, 255),
    sequence=st.integers(0, 65535),
    payload=st.binary(max_size=CAPACITY - wire.OVERHEAD_BYTES)
    | st.integers(0, CAPACITY - wire.OVERHEAD_BYTES).map(lambda size: b"\x07" * size),
)
# Random bytes are hardly ever a frame, so frames whole, cut and joined are mixed in.
lines = st.lists(
    st.binary(max_size=40)
    | frames.map(wire.encode)
    | st.builds(lambda frame, cut: wire.encode(frame)[cut:], frames, st.integers(1, 30))
    | st.builds(lambda frame, cut: wire.encode(frame)[:-cut], frames, st.integers(1, 30))
    | st.just(b"\0")
    | st.integers(0, 1500).map(lambda size: b"\xff" * size),
    max_size=8,
).map(b"".join)


class DecoderState(ctypes.Structure):
    _fields_ = [
        ("bytes", ctypes.POINTER(ctypes.c_uint8)),
        ("capacity", ctypes.c_int32),
        ("length", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("left", ctypes.c_uint8),
        ("overflow", ctypes.c_uint8),
        ("complete", ctypes.c_uint8),
    ]


class Twin:
    """firmware/core/wire.c as a library."""

    def __init__(self, compiler: str, folder: Path) -> None:
        library = folder / f"wire-{compiler}.so"
        sanitize = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
        trap = (
            ["-fsanitize-undefined-trap-on-error"] if compiler == "gcc" else ["-fsanitize-trap=all"]
        )
        subprocess.run(
            [compiler, "-std=c99", "-O2", "-shared", "-fPIC", *WARNINGS, *sanitize, *trap]
            + [str(FIRMWARE / "core" / "wire.c"), "-o", str(library)],
            check=True,
        )
        self._library = ctypes.CDLL(str(library))
        self._library.tq_wire_crc32.restype = ctypes.c_uint32

    def encode(self, frame: Frame) -> bytes:
        size = len(frame.payload)
        buffer = (ctypes.c_uint8 * (size + wire.OVERHEAD_BYTES))()
        self._library.tq_wire_put_header(
            buffer, ctypes.c_uint8(frame.kind), ctypes.c_uint16(frame.sequence)
        )
        ctypes.memmove(ctypes.addressof(buffer) + 4, frame.payload, size)
        sent = bytearray()
        sink = SINK(lambda part, count: sent.extend(part[:count]))
        self._library.tq_wire_send(buffer, ctypes.c_int32(size), sink)
        return bytes(sent)

    def decode(self, line: bytes) -> list[Frame | None]:
        """Return frames, and None for each damaged one."""
        buffer = (ctypes.c_uint8 * CAPACITY)()
        state = DecoderState()
        self._library.tq_wire_decoder_start(ctypes.byref(state), buffer, CAPACITY)
        found: list[Frame | None] = []
        for byte in line:
            event = self._library.tq_wire_accept(ctypes.byref(state), ctypes.c_uint8(byte))
            if event == 1:
                content = bytes(buffer[: state.length])
                sequence = int.from_bytes(content[2:4], "little")
                found.append(Frame(content[1], sequence, content[4:-4], content[0]))
            elif event == 2:
                found.append(None)
        return found


@pytest.fixture(scope="module", params=COMPILERS)
def twin(request, tmp_path_factory):
    return Twin(request.param, tmp_path_factory.mktemp("wire"))


def python_frames(line: bytes) -> list[Frame | None]:
    """Return what Python finds, with the capacity that the C buffer has."""
    found = []
    for frame in Decoder().feed(line):
        fits = isinstance(frame, Frame) and len(frame.payload) + wire.OVERHEAD_BYTES <= CAPACITY
        found.append(frame if fits else None)
    return found


@given(frame=frames)
def test_decoding_inverts_encoding(frame):
    assert Decoder().feed(wire.encode(frame)) == [frame]


@given(frame=frames)
def test_both_encode_the_same_line(twin, frame):
    assert twin.encode(frame) == wire.encode(frame)


@given(line=lines)
def test_both_decode_the_same_frames(twin, line):
    assert twin.decode(line) == python_frames(line)


@given(line=lines, cuts=st.lists(st.integers(0, 3000)))
def test_how_the_line_is_cut_does_not_matter(line, cuts):
    ends = sorted(min(cut, len(line)) for cut in [*cuts, 0, len(line)])
    decoder = Decoder()
    pieces = [line[start:end] for start, end in zip(ends, ends[1:], strict=False)]
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == Decoder().feed(line)


@given(frame=frames, data=st.data())
def test_no_flipped_bits_pass_for_another_frame(twin, frame, data):
    line = bytearray(wire.encode(frame))
    bits = st.integers(0, 8 * len(line) - 1)
    for bit in data.draw(st.sets(bits, min_size=1, max_size=3)):
        line[bit // 8] ^= 1 << bit % 8
    sent = bytes(line) + b"\0"
    assert set(twin.decode(sent)) <= {None, frame}
    assert twin.decode(sent) == python_frames(sent)
