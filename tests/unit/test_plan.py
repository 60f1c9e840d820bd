from __future__ import annotations

import numpy as np
import pytest

from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize, Threshold
from tinyq.graph.ops.add import Add
from tinyq.graph.ops.concatenate import Concatenate
from tinyq.graph.ops.rescale import Rescale
from tinyq.graph.ops.reshape import Reshape
from tinyq.memory.placement import Block, _solve, bound_arena, overlap, place
from tinyq.memory.planner import _MOST_CHAINS, plan
from tinyq.numerics.formats import find_format

S8 = find_format("s8")
EPILOGUE = Requantize("s8", 1.0, 0, -128, 127)
# No greedy order finds its optimum: 28 bytes are needed, first-fit takes 32.
HARD = [Block(4, 0, 3), Block(8, 1, 4), Block(12, 2, 2), Block(8, 3, 4), Block(12, 4, 4)]


class Chain:
    """Builds graphs of element-wise operations over s8[4, 8], 32 bytes each."""

    def __init__(self) -> None:
        self.builder = GraphBuilder.start("chain", TensorType((4, 8), S8, 1.0))
        self.constants = [
            self.builder.constant(name, np.full(8, value), find_format("s32"))
            for name, value in (("bias", 0), ("multiplier", 1), ("shift", 1))
        ]
        self.flags = [
            self.builder.constant(name, np.zeros(8), find_format("s32"))
            for name in ("threshold", "flip")
        ]

    def rescale(self, name: str, source: str) -> str:
        return self.builder.apply(name, Rescale(EPILOGUE), source, *self.constants)

    def add(self, name: str, one: str, two: str) -> str:
        return self.builder.apply(name, Add(EPILOGUE, 1, 1), one, two, *self.constants)

    def sign(self, name: str, source: str) -> str:
        return self.builder.apply(name, Rescale(Threshold()), source, *self.flags)

    def reshape(self, name: str, source: str) -> str:
        return self.builder.apply(name, Reshape((2, 16)), source)

    def build(self, output: str) -> Graph:
        return self.builder.build(output)


def test_one_node_needs_no_arena():
    chain = Chain()
    planned = plan(chain.build(chain.rescale("a", "input")))
    assert (planned.arena_bytes, planned.lower_bound, planned.proven) == (0, 0, True)
    assert dict(planned.buffers) == {"input": "input", "a": "output"}
    assert dict(planned.offsets) == {}
    assert planned.peak_node == "a"


def test_a_chain_in_place_lives_in_the_output_buffer():
    chain = Chain()
    for name, source in (("a", "input"), ("b", "a"), ("c", "b")):
        chain.rescale(name, source)
    planned = plan(chain.build("c"))
    assert planned.arena_bytes == 0
    assert dict(planned.buffers) == {"input": "input", "a": "output", "b": "output", "c": "output"}
    # The caller's input is not written over.
    assert dict(planned.sharing) == {"b": "a", "c": "b"}
    assert planned.lifetimes == {"input": (0, 0), "a": (0, 1), "b": (1, 2), "c": (2, 2)}


def test_an_input_read_later_is_not_written_over():
    chain = Chain()
    chain.rescale("a", "input")
    chain.rescale("b", "a")
    chain.sign("signs", chain.add("sum", "a", "b"))
    planned = plan(chain.build("signs"))
    # b has bytes of its own while a lives; the sum takes over one of them.
    assert planned.arena_bytes == 64
    assert planned.offsets["a"] != planned.offsets["b"]
    assert planned.sharing["sum"] in ("a", "b")
    assert planned.proven
    assert planned.live_bytes == (32, 64, 64, 32)
    assert planned.peak_node == "b"


def test_another_format_is_not_in_place():
    chain = Chain()
    chain.sign("signs", chain.rescale("a", "input"))
    planned = plan(chain.build("signs"))
    assert planned.buffers["a"] == "arena"
    assert "signs" not in planned.sharing


def test_a_tensor_added_to_itself_is_written_over():
    chain = Chain()
    chain.rescale("a", "input")
    chain.sign("signs", chain.add("twice", "a", "a"))
    planned = plan(chain.build("signs"))
    assert planned.arena_bytes == 32
    assert planned.sharing["twice"] == "a"


def test_a_last_view_is_the_output_buffer():
    chain = Chain()
    chain.rescale("a", "input")
    planned = plan(chain.build(chain.reshape("flat", "a")))
    assert planned.views == {"flat"}
    assert dict(planned.buffers) == {"input": "input", "a": "output", "flat": "output"}
    assert planned.sharing["flat"] == "a"


def test_a_first_view_is_the_input_buffer_and_is_not_written_over():
    chain = Chain()
    flat = chain.reshape("flat", "input")
    back = chain.builder.apply("back", Reshape((4, 8)), flat)
    planned = plan(chain.build(chain.rescale("a", back)))
    assert planned.views == {"flat", "back"}
    assert planned.buffers["back"] == "input"
    assert "a" not in planned.sharing


def test_from_input_to_output_a_reshape_is_a_copy():
    chain = Chain()
    flat = chain.reshape("flat", "input")
    planned = plan(chain.build(chain.builder.apply("back", Reshape((4, 8)), flat)))
    assert planned.views == {"flat"}
    assert dict(planned.buffers) == {"input": "input", "flat": "input", "back": "output"}


def test_a_view_keeps_its_bytes_alive():
    chain = Chain()
    chain.rescale("a", "input")
    chain.reshape("flat", "a")
    chain.rescale("b", "a")
    wide = chain.builder.apply("wide", Reshape((2, 16)), "b")
    planned = plan(chain.build(chain.builder.apply("both", Concatenate(), wide, "flat")))
    assert planned.offsets["a"] == planned.offsets["flat"] != planned.offsets["b"]
    assert planned.arena_bytes == 64


def test_an_unread_tensor_has_bytes_where_it_is_written():
    chain = Chain()
    chain.sign("signs", chain.rescale("a", "input"))
    chain.rescale("unread", "a")
    planned = plan(chain.build("signs"))
    assert planned.lifetimes["unread"] == (2, 2)
    assert planned.buffers["unread"] == "arena"


@pytest.mark.parametrize("output", ["input", "bias"])
def test_a_graph_that_computes_nothing(output):
    chain = Chain()
    graph = Graph("none", ("input",), (output,), dict(chain.builder._tensors), ())
    with pytest.raises(ModelError, match="computes nothing"):
        plan(graph)


def test_the_program_beats_every_greedy_order():
    assert bound_arena(HARD, frozenset()) == 28
    found = place(HARD, frozenset(), 20.0)
    assert (found.arena_bytes, found.lower_bound) == (28, 28)


def test_without_time_the_gap_is_told():
    found = place(HARD, frozenset(), 0.0)
    assert (found.arena_bytes, found.lower_bound) == (32, 28)


def test_the_program_proves_that_nothing_is_smaller():
    assert _solve(HARD, frozenset(), (20, 28), 20.0) == (None, 28)


def test_the_program_needs_no_bound_to_find_the_optimum():
    offsets, bound = _solve(HARD, frozenset(), (0, 32), 20.0)
    assert bound == 28
    assert not overlap(HARD, frozenset(), offsets)
    assert max(o + block.size for o, block in zip(offsets, HARD, strict=True)) == 28


def test_no_blocks_need_nothing():
    assert place([], frozenset(), 1.0).arena_bytes == 0


def summed(count: int) -> Graph:
    """``count`` copies of the input, added up one after the other."""
    chain = Chain()
    parts = [chain.rescale(f"part_{index}", "input") for index in range(count)]
    total = parts[0]
    for index, part in enumerate(parts[1:]):
        total = chain.add(f"sum_{index}", total, part)
    return chain.build(total)


def test_with_more_chains_than_are_tried_nothing_is_called_proven():
    """Twenty additions in a row can end in the output buffer in 21 ways, of which 16 are tried."""
    planned = plan(summed(_MOST_CHAINS + 5), 5.0)
    assert planned.arena_bytes > 0
    assert planned.lower_bound == 0
    assert not planned.proven


def test_with_fewer_chains_the_bound_holds():
    planned = plan(summed(4))
    assert planned.proven and planned.lower_bound == planned.arena_bytes > 0
