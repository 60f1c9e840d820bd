"""The C decoder under address and undefined behaviour sanitizers, against long random lines.

TINYQ_EXAMPLES sets how many lines are tried.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
from cobs import cobs

from tinyq.support.resources import FIRMWARE
from tinyq.targets import wire
from tinyq.targets.wire import Decoder, Frame

LINES = int(os.environ.get("TINYQ_EXAMPLES", "2000"))
BATCH = 500
COMPILERS = [pytest.param(name, marks=pytest.mark.requires(name)) for name in ("gcc", "clang")]
SOURCES = [Path(__file__).parent / "wire_decoder.c", FIRMWARE / "core" / "wire.c"]


@pytest.fixture(scope="module", params=COMPILERS)
def decoder(request, tmp_path_factory):
    program = tmp_path_factory.mktemp("fuzz") / "wire_decoder"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
    subprocess.run(
        [request.param, "-std=c99", *sanitize, f"-I{FIRMWARE / 'core'}", *map(str, SOURCES)]
        + ["-o", str(program)],
        check=True,
    )
    return program


def draw_line(chance: random.Random) -> bytes:
    """Return a frame, a damaged frame, COBS of too little, or noise."""
    size = chance.choice([0, 1, 3, 100, 245, 246, 247, 254, 255, 300, 520])
    payload = bytes(chance.choices(range(chance.choice([1, 2, 4, 256])), k=size))
    line = bytearray(wire.encode(Frame(chance.randrange(256), chance.randrange(65536), payload)))
    what = chance.randrange(5)
    if what == 1:
        line[chance.randrange(len(line))] = chance.randrange(256)
    elif what == 2:
        del line[chance.randrange(len(line)) :]
    elif what == 3:
        line = bytearray(cobs.encode(payload[:9])) + b"\0"
    elif what == 4:
        line = bytearray(chance.randbytes(chance.randrange(700)))
    return bytes(line)


def expected(line: bytes, capacity: int) -> list[str]:
    found = []
    for frame in Decoder().feed(line):
        sound = isinstance(frame, Frame) and len(frame.payload) + wire.OVERHEAD_BYTES <= capacity
        found.append(cobs.decode(wire.encode(frame)[1:-1]).hex() if sound else "damaged")
    return found


def test_decoder_survives_noise(decoder, seed):
    for start in range(0, LINES, BATCH):
        chance = random.Random(seed + start)
        line = b"".join(draw_line(chance) for _ in range(BATCH))
        capacity = chance.choice([8, 9, 64, 254, 255, 300, 528])
        done = subprocess.run(
            [str(decoder), str(capacity)], input=line, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode().split() == expected(line, capacity), f"start={start}"
