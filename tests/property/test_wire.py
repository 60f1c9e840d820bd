"""The C decoder and encoder equal the Python ones byte for byte, whatever comes along the line."""

from __future__ import annotations

import contextlib
import struct
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


class Twin:
    """firmware/core/wire.c in a process of its own, under sanitizers: see wire_twin.c."""

    def __init__(self, compiler: str, folder: Path) -> None:
        program = folder / f"wire-{compiler}"
        sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]
        sources = [FIRMWARE / "core" / "wire.c", Path(__file__).with_name("wire_twin.c")]
        subprocess.run(
            [compiler, "-std=c99", "-O1", *WARNINGS, *sanitize, f"-I{FIRMWARE / 'core'}"]
            + [*map(str, sources), "-o", str(program)],
            check=True,
        )
        self._log = (folder / "log").open("w+b")
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self._ask(b"c", struct.pack("<I", CAPACITY))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._log.close()

    def encode(self, frame: Frame) -> bytes:
        return self._ask(b"e", struct.pack("<BH", frame.kind, frame.sequence) + frame.payload)

    def decode(self, line: bytes) -> list[Frame | None]:
        """Return frames, and None for each damaged one."""
        reply, found, at = self._ask(b"d", line), [], 0
        while at < len(reply):
            if reply[at] == 2:
                found.append(None)
                at += 1
                continue
            (size,) = struct.unpack_from("<I", reply, at + 1)
            content = reply[at + 5 : at + 5 + size]
            sequence = int.from_bytes(content[2:4], "little")
            found.append(Frame(content[1], sequence, content[4:-4], content[0]))
            at += 5 + size
        return found

    def _ask(self, what: bytes, content: bytes) -> bytes:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(what + struct.pack("<I", len(content)) + content)
            self._process.stdin.flush()
        head = self._process.stdout.read(4)
        if len(head) < 4:
            self._process.wait(10)
            self._log.seek(0)
            raise AssertionError(f"the C twin has ended:\n{self._log.read().decode()[-3000:]}")
        return self._process.stdout.read(struct.unpack("<I", head)[0])


@pytest.fixture(scope="module", params=COMPILERS)
def twin(request, tmp_path_factory):
    made = Twin(request.param, tmp_path_factory.mktemp("wire"))
    yield made
    made.close()


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
