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
from tinyq.memory.placement import NOTHING, Block, Sharing, _solve, bound_arena, overlap, place
from tinyq.memory.planner import plan
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


def test_one_node_writes_over_the_input():
    chain = Chain()
    planned = plan(chain.build(chain.rescale("a", "input")))
    assert (planned.arena_bytes, planned.lower_bound, planned.proven) == (32, 32, True)
    assert dict(planned.offsets) == {"input": 0, "a": 0}
    assert planned.peak_node == "a"


def test_a_chain_in_place_has_one_place():
    chain = Chain()
    for name, source in (("a", "input"), ("b", "a"), ("c", "b")):
        chain.rescale(name, source)
    planned = plan(chain.build("c"))
    assert planned.arena_bytes == 32
    assert dict(planned.sharing) == {"a": "input", "b": "a", "c": "b"}
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
    assert planned.live_bytes == (32, 64, 64, 48)
    assert planned.peak_node == "b"


def test_another_format_is_not_in_place():
    chain = Chain()
    chain.sign("signs", chain.rescale("a", "input"))
    planned = plan(chain.build("signs"))
    assert "signs" not in planned.sharing


def test_a_tensor_added_to_itself_is_written_over():
    chain = Chain()
    chain.rescale("a", "input")
    chain.sign("signs", chain.add("twice", "a", "a"))
    planned = plan(chain.build("signs"))
    assert planned.arena_bytes == 48
    assert planned.sharing["twice"] == "a"


def test_a_last_view_is_its_tensor():
    chain = Chain()
    chain.rescale("a", "input")
    planned = plan(chain.build(chain.reshape("flat", "a")))
    assert planned.views == {"flat"}
    assert planned.offsets["a"] == planned.offsets["flat"]
    assert planned.sharing["flat"] == "a"


def test_a_first_view_is_written_over():
    chain = Chain()
    flat = chain.reshape("flat", "input")
    back = chain.builder.apply("back", Reshape((4, 8)), flat)
    planned = plan(chain.build(chain.rescale("a", back)))
    assert planned.views == {"flat", "back"}
    assert planned.offsets["back"] == planned.offsets["input"] == planned.offsets["a"]
    assert planned.sharing["a"] == "back"


def test_from_input_to_output_a_reshape_is_a_copy():
    chain = Chain()
    flat = chain.reshape("flat", "input")
    planned = plan(chain.build(chain.builder.apply("back", Reshape((4, 8)), flat)))
    assert planned.views == {"flat"}
    assert planned.offsets["input"] == planned.offsets["flat"] != planned.offsets["back"]


def test_a_view_keeps_its_bytes_alive():
    chain = Chain()
    chain.rescale("a", "input")
    chain.reshape("flat", "a")
    chain.rescale("b", "a")
    wide = chain.builder.apply("wide", Reshape((2, 16)), "b")
    planned = plan(chain.build(chain.builder.apply("both", Concatenate(), wide, "flat")))
    assert planned.offsets["a"] == planned.offsets["flat"] != planned.offsets["b"]
    assert planned.arena_bytes == 128


def test_an_unread_tensor_has_bytes_where_it_is_written():
    chain = Chain()
    chain.sign("signs", chain.rescale("a", "input"))
    chain.rescale("unread", "a")
    planned = plan(chain.build("signs"))
    assert planned.lifetimes["unread"] == (2, 2)
    assert planned.offsets["unread"] in planned.offsets.values()


@pytest.mark.parametrize("output", ["input", "bias"])
def test_a_graph_that_computes_nothing(output):
    chain = Chain()
    graph = Graph("none", ("input",), (output,), dict(chain.builder._tensors), ())
    with pytest.raises(ModelError, match="computes nothing"):
        plan(graph)


def test_the_program_beats_every_greedy_order():
    assert bound_arena(HARD, NOTHING) == 28
    found = place(HARD, NOTHING, 20.0)
    assert (found.arena_bytes, found.lower_bound) == (28, 28)


def test_without_time_the_gap_is_told():
    found = place(HARD, NOTHING, 0.0)
    assert (found.arena_bytes, found.lower_bound) == (32, 28)


def test_the_program_proves_that_nothing_is_smaller():
    assert _solve(HARD, NOTHING, (20, 28), 20.0) == (None, 28)


def test_the_program_needs_no_bound_to_find_the_optimum():
    offsets, bound = _solve(HARD, NOTHING, (0, 32), 20.0)
    assert bound == 28
    assert not overlap(HARD, NOTHING, offsets)
    assert max(o + block.size for o, block in zip(offsets, HARD, strict=True)) == 28


def test_no_blocks_need_nothing():
    assert place([], NOTHING, 1.0).arena_bytes == 0


OLD, NEW = Block(100, 0, 1), Block(60, 1, 2)


@pytest.mark.parametrize(
    ("lead", "arena"), [(200, 160), (60, 160), (40, 140), (0, 100), (-8, 100), (-100, 100)]
)
@pytest.mark.parametrize("other", [(), (Block(16, 1, 1),)])
def test_an_output_lies_over_what_was_read(lead, arena, other):
    """The arena holds the input behind the lead, or both."""
    sharing = Sharing(leads={(0, 1): lead})
    blocks = (OLD, NEW, *other)
    found = place(blocks, sharing, 20.0)
    more = sum(block.size for block in other)
    assert found.arena_bytes == found.lower_bound == arena + more
    assert not overlap(blocks, sharing, found.offsets)
    apart = found.offsets[0] - found.offsets[1]
    assert apart >= lead or apart <= -OLD.size or apart >= NEW.size


def test_a_lead_is_kept_to_the_byte():
    sharing = Sharing(leads={(0, 1): 40})
    assert not overlap((OLD, NEW), sharing, (40, 0))
    assert overlap((OLD, NEW), sharing, (36, 0))
    assert overlap((OLD, NEW), sharing, (0, 40))
    assert not overlap((OLD, NEW), Sharing(leads={(0, 1): -8}), (0, 8))
    assert overlap((OLD, NEW), Sharing(leads={(0, 1): -8}), (0, 12))


def test_the_plan_names_what_lies_over_what():
    chain = Chain()
    graph = chain.build(chain.sign("signs", chain.rescale("a", "input")))
    planned = plan(graph, leads={"signs": {0: 4}})
    assert planned.overlaps == {"signs": ("a",)}
    assert planned.arena_bytes == 36
    assert planned.offsets["a"] - planned.offsets["signs"] >= 4
    assert plan(graph).overlaps == {}
    assert plan(graph).arena_bytes == 48


def test_an_operand_that_is_read_twice_keeps_its_bytes():
    chain = Chain()
    chain.rescale("a", "input")
    chain.sign("signs", "a")
    chain.rescale("b", "a")
    chain.sign("last", chain.add("sum", "a", "b"))
    planned = plan(chain.build("last"), leads={"signs": {0: 4}})
    assert "signs" not in planned.overlaps
