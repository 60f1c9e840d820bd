"""The choice of kernels: the objectives, the board's limits, code that is shared."""

from __future__ import annotations

import itertools

import pytest

from tests.bench_layers import Layer, make_graph
from tests.unit.test_specialized import FAST, chain
from tinyq.errors import TinyqError
from tinyq.kernels.base import Bound, Kernel
from tinyq.kernels.estimates import Work, estimate_code, estimate_instructions
from tinyq.kernels.layer import describe_layer
from tinyq.selection import OBJECTIVES, Budget, choose_kernels, gather_candidates

LAYER = make_graph(Layer("Conv2D", (16, 16, 32), 32), "model", "s8", "s8")
SPEC = describe_layer(LAYER, LAYER.nodes[0], ("generic",))


def entry(kernel: str, instructions: int, table: int, scratch: int = 0, **code: int) -> Bound:
    named = Kernel(kernel, (), "generic")
    return Bound(
        SPEC, instructions, scratch_bytes=scratch, kernel=named, table_bytes=table, code=code
    )


def pick(objective: str, budget: Budget | None = None, **found: tuple[Bound, ...]):
    choice = choose_kernels(chain(8, len(found)), found, objective, budget)
    return [bound.kernel.operation for bound in choice.bounds.values()]


def cost(objective: str, chosen: tuple[Bound, ...]) -> tuple[int, ...]:
    instructions = sum(one.instructions or 0 for one in chosen)
    code = {key: size for one in chosen for key, size in one.code.items()}
    flash = sum(one.table_bytes for one in chosen) + sum(code.values())
    return {"speed": (instructions, flash), "size": (flash, instructions)}[objective]


@pytest.mark.parametrize("objective", ["speed", "size"])
def test_the_choice_is_the_best_of_all(objective):
    found = {
        "layer_0": (entry("a", 90, 40, own=9), entry("b", 50, 60, shared=30)),
        "layer_1": (entry("a", 90, 40, own=9), entry("b", 50, 60, shared=30), entry("c", 49, 91)),
        "layer_2": (entry("d", 70, 10, other=90), entry("b", 70, 45, shared=30)),
    }
    graph = chain(8, 3)
    choice = choose_kernels(graph, found, objective)
    got = cost(objective, tuple(choice.bounds.values()))
    assert got == min(cost(objective, chosen) for chosen in itertools.product(*found.values()))


def test_code_that_layers_share_counts_once():
    apart = (entry("own", 10, 0, own=70), entry("shared", 10, 0, part=80))
    assert pick("size", layer_0=apart) == ["own"]
    other = (entry("shared", 10, 0, part=80),)
    assert pick("size", layer_0=apart, layer_1=other) == ["shared", "shared"]


def test_limits_hold_and_give_way_where_they_must():
    found = {"layer_0": (entry("fast", 10, 900), entry("small", 99, 100))}
    assert pick("speed", Budget(flash_bytes=1000), **found) == ["fast"]
    assert pick("speed", Budget(1000, firmware_flash_bytes=500), **found) == ["small"]
    assert pick("speed", Budget(flash_bytes=50), **found) == ["small"], "as near as can be"


def test_ram_limits_the_scratch():
    found = {
        "layer_0": (entry("fast", 10, 0, 5000), entry("slow", 99, 0)),
        "layer_1": (entry("slow", 99, 0),),
    }
    assert pick("speed", **found)[0] == "fast"
    assert pick("speed", Budget(ram_bytes=3000), **found)[0] == "slow"
    assert pick("ram", **found)[0] == "slow"


def test_time_is_limited_within_memory():
    found = {"layer_0": (entry("fast", 10, 900), entry("mean", 50, 300), entry("small", 99, 100))}
    assert pick("size", Budget(cycles=60), **found) == ["mean"]
    assert pick("size", Budget(cycles=20), **found) == ["fast"]
    assert pick("size", Budget(flash_bytes=500, cycles=20), **found) == ["mean"], (
        "as near as can be"
    )
    assert choose_kernels(chain(8, 1), found, "size", Budget(cycles=60)).cycles == 50


@pytest.mark.parametrize(
    ("objective", "rivals", "taken"),
    [
        # Twice the flash for less than 5 % of the time, and for more.
        ("speed", (entry("fast", 100, 300), entry("small", 104, 100)), "small"),
        ("speed", (entry("fast", 100, 300), entry("small", 106, 100)), "fast"),
        ("speed", (entry("fast", 100, 190), entry("small", 104, 100)), "fast"),
        ("size", (entry("small", 900, 100), entry("fast", 100, 104)), "fast"),
        ("size", (entry("small", 900, 100), entry("fast", 100, 106)), "small"),
        ("ram", (entry("least", 900, 10, 1000), entry("fast", 100, 10, 1040)), "fast"),
        ("ram", (entry("least", 900, 10, 1000), entry("fast", 100, 10, 1100)), "least"),
        # What the objective does not look at may be wasted no more than twice.
        ("size", (entry("small", 900, 100), entry("fast", 100, 104, 4000)), "small"),
    ],
)
def test_no_resource_is_wasted_for_five_percent_of_another(objective, rivals, taken):
    assert pick(objective, layer_0=rivals) == [taken]


def test_balanced_weighs_shares():
    rivals = (entry("fast", 100, 200), entry("small", 150, 100))
    assert pick("balanced", layer_0=rivals) == ["small"], "twice the flash for half the time more"
    firmware = Budget(firmware_flash_bytes=400)
    assert pick("balanced", firmware, layer_0=rivals) == ["fast"], "a fifth more of the image"


def test_objectives_on_a_real_layer():
    found = gather_candidates(LAYER, FAST)
    chosen = {name: choose_kernels(LAYER, found, name).bounds["layer"] for name in OBJECTIVES}
    assert "winograd4" in chosen["speed"].kernel.name
    assert chosen["size"].kernel.isa == "generic"
    assert chosen["balanced"].table_bytes < chosen["speed"].table_bytes
    assert chosen["balanced"].instructions < chosen["size"].instructions
    small = choose_kernels(LAYER, found, "speed", Budget(flash_bytes=45_000)).bounds["layer"]
    assert "winograd2" in small.kernel.name


def test_an_unknown_objective():
    with pytest.raises(TinyqError, match="there is no objective 'fast'"):
        pick("fast", layer_0=(entry("a", 1, 1),))


def test_estimates_of_generic_kernels():
    work = Work(1_000_000, 10_000, lines=30_000, taps=90_000, rows=1_000, inputs=11_000)
    conv = estimate_instructions("conv2d_s8_s8_generic", work)
    assert 4_500_000 < conv < 6_500_000
    pool = estimate_instructions("maxpool2d_s8_generic", work)
    assert 200_000 < pool < 1_500_000


def test_code_is_counted_as_it_is_unrolled():
    lines = ['"ldr r0, [r1]\\n"', '".rept 3\\n"', '"mov r0, r1\\n"', '".endr\\n"', '"1:\\n"']
    assert estimate_code("\n".join(lines)) == 4 + 3 * 2
    assert estimate_code("    y = x;\n /* a; b; */\n") == 7
