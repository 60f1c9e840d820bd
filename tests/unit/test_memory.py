"""firmware/ports/bare/memory.c, compiled for the host under other names."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyq.support.resources import FIRMWARE

NAMES = ("memcpy", "memmove", "memset", "memcmp")
SIZE = 80

pytestmark = pytest.mark.requires("gcc")


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("memory") / "memory.so"
    renamed = [f"-D{name}=tq_{name}" for name in NAMES]
    source = FIRMWARE / "ports" / "bare" / "memory.c"
    flags = ["-std=c99", "-O2", "-Werror", "-fno-tree-loop-distribute-patterns", *renamed]
    subprocess.run(
        ["gcc", "-shared", "-fPIC", *flags, str(source), "-o", str(Path(library))], check=True
    )
    return ctypes.CDLL(str(library))


def address(buffer: ctypes.Array[ctypes.c_char], offset: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(ctypes.addressof(buffer) + offset)


places = st.integers(0, SIZE // 2)


@given(start=st.binary(min_size=SIZE, max_size=SIZE), to=places, source=places, count=places)
def test_memmove_copies_between_overlapping_regions(memory, start, to, source, count):
    buffer = ctypes.create_string_buffer(start, SIZE)
    memory.tq_memmove(address(buffer, to), address(buffer, source), ctypes.c_size_t(count))
    expected = bytearray(start)
    expected[to : to + count] = start[source : source + count]
    assert buffer.raw == bytes(expected)


@given(start=st.binary(min_size=SIZE, max_size=SIZE), to=places, source=places, count=places)
def test_memcpy_copies_count_bytes_and_no_more(memory, start, to, source, count):
    target = ctypes.create_string_buffer(SIZE)
    origin = ctypes.create_string_buffer(start, SIZE)
    memory.tq_memcpy(address(target, to), address(origin, source), ctypes.c_size_t(count))
    assert target.raw == bytes(to) + start[source : source + count] + bytes(SIZE - to - count)


@given(value=st.integers(-300, 300), to=places, count=places)
def test_memset_fills_count_bytes_and_no_more(memory, value, to, count):
    target = ctypes.create_string_buffer(b"\x55" * SIZE, SIZE)
    memory.tq_memset(address(target, to), value, ctypes.c_size_t(count))
    fill = bytes([value & 255]) * count
    assert target.raw == b"\x55" * to + fill + b"\x55" * (SIZE - to - count)


@given(left=st.binary(max_size=6), right=st.binary(max_size=6))
def test_memcmp_orders_as_bytes_do(memory, left, right):
    count = min(len(left), len(right))
    answer = memory.tq_memcmp(left, right, ctypes.c_size_t(count))
    a, b = left[:count], right[:count]
    assert (answer > 0) - (answer < 0) == (a > b) - (a < b)
