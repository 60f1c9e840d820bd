"""A damaged graph file is a ModelError or an equal graph, never anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.random_graphs import draw_graph
from tinyq.errors import ModelError
from tinyq.graph.storage import describe, digest, load_graph, save_graph

SEEDS = 5


class Files(list):
    """Prints short: Hypothesis shows its arguments."""

    def __repr__(self) -> str:
        return f"<{len(self)} files>"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder to write in, and graphs with the bytes of their files."""
    folder = tmp_path_factory.mktemp("graphs")
    found = Files()
    for seed in range(SEEDS):
        graph = draw_graph(np.random.default_rng(seed))
        path = folder / f"{seed}.tqg"
        save_graph(graph, path)
        found.append((graph, path.read_bytes()))
    return folder, found


def check(folder, graph, content: bytes) -> None:
    path = folder / "damaged.tqg"
    path.write_bytes(content)
    try:
        loaded = load_graph(path)
    except ModelError:
        return
    assert describe(loaded) == describe(graph)
    assert digest(loaded) == digest(graph)


def test_every_truncation(files):
    folder, found = files
    graph, content = min(found, key=lambda entry: len(entry[1]))
    for length in range(0, len(content), 7):
        check(folder, graph, content[:length])


@given(
    st.integers(0, SEEDS - 1),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=3
    ),
)
@settings(max_examples=examples(500))
def test_flipped_bits(files, number, flips):
    folder, found = files
    graph, content = found[number]
    damaged = bytearray(content)
    for place, bit in flips:
        damaged[int(place * len(damaged))] ^= 1 << bit
    check(folder, graph, bytes(damaged))


def test_every_bit_of_the_directory(files):
    """The zip directory at the end has no checksum of its own, so each of its bits is flipped."""
    folder, found = files
    graph, content = min(found, key=lambda entry: len(entry[1]))
    start = content.index(b"PK\x01\x02")
    for position in range(start, len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            check(folder, graph, bytes(damaged))
