"""Every generic kernel has an estimate, and what is unknown is never the slowest of all."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from tests.estimated_layers import draw_samples, estimate, find_usual_epilogue, has_epilogue
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.kernels.epilogues import list_epilogues
from tinyq.kernels.estimates import (
    GENERIC,
    TABLE,
    Work,
    estimate_instructions,
    find_counted,
    list_terms,
    load_table,
)
from tinyq.kernels.registry import list_kernels
from tinyq.numerics.formats import find_format
from tinyq.selection import Budget, choose_kernels, gather_candidates

KERNELS = {kernel.name: kernel for kernel in list_kernels() if kernel.isa == GENERIC}
ENTRIES = json.loads(TABLE.read_text("utf-8"))["kernels"]
# Small layers vary more: the compiler unrolls some of them wholly.
MOST, MOST_SMALL, SMALL = 2.0, 3.0, 5_000
S8, S32 = find_format("s8"), find_format("s32")


def test_every_generic_kernel_was_counted():
    missing = sorted(name for name in KERNELS if not find_counted(name, ENTRIES))
    gone = sorted(set(ENTRIES) - set(KERNELS))
    assert not missing, f"count {', '.join(missing)}: python benchmarks/generic.py"
    assert not gone, f"there is no kernel {', '.join(gone)}: python benchmarks/generic.py"


def test_every_epilogue_was_counted():
    names = {f"{epilogue.epilogue}_{epilogue.format}" for epilogue in list_epilogues()}
    counted = load_table(TABLE).epilogues
    assert set(counted) <= names
    missing = sorted(name for name in names if not find_counted(name, counted))
    assert not missing, f"count {', '.join(missing)}: python benchmarks/generic.py"


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("conv2d_s4_s4_generic", "conv2d_u4_s4_generic"),
        ("dense_s3_t2_generic", "dense_u2_t2_generic"),
        ("add_s8_s4_generic", "add_s8_u4_generic"),
        ("add_s2_s4_generic", "add_u2_u4_generic"),
        ("rescale_s4_generic", "rescale_s4_generic"),
        ("roundeven_s4", "roundeven_u4"),
        ("roundeven_s2", ""),
        ("dense_s4_new_generic", ""),
    ],
)
def test_counts_of_an_unsigned_format_stand_for_a_signed_one(name, counted):
    known = {*ENTRIES, *load_table(TABLE).epilogues} - {name if name != counted else ""}
    assert find_counted(name, known) == counted


@pytest.mark.parametrize("name", ENTRIES)
def test_a_fit_is_within_twice_the_count_and_half_of_it(name):
    entry = ENTRIES[name]
    assert 1 <= entry["largest_ratio"] <= MOST, f"{name} needs another term than list_terms has"
    assert set(entry["terms"]) <= set(list_terms(Work(1, 1, 1)))
    epilogue = find_usual_epilogue(KERNELS[name]) if has_epilogue(KERNELS[name]) else None
    assert entry["epilogue"] == (f"{epilogue.epilogue}_{epilogue.format}" if epilogue else "")


@pytest.mark.parametrize("operation", sorted({kernel.operation for kernel in KERNELS.values()}))
def test_layers_are_drawn_for_every_operation(operation):
    """An operation gets its layers from its cases in tests/bitexact."""
    kernel = next(kernel for kernel in KERNELS.values() if kernel.operation == operation)
    samples = draw_samples(kernel, "contract", 2)
    assert all(sample.kernel is kernel for sample in samples)
    assert all(estimate(sample) > 0 for sample in samples)


def test_an_unknown_operation_counts_as_the_median_by_value():
    known, work = KERNELS["maxpool2d_s8_generic"], Work(macs=0, elements=1000, lines=1000)
    unknown = dataclasses.replace(known, operation="new")
    found = estimate_instructions(unknown.name, work)
    each = [estimate_instructions(kernel.name, work) for kernel in KERNELS.values()]
    assert found == round(load_table(TABLE).median_per_element * 1000)
    assert found < max(each) / 2


def test_an_unknown_kernel_counts_as_the_median_of_its_operation():
    known, work = KERNELS["maxpool2d_s8_generic"], Work(0, 1000, 3000, 0, 9000, 100, 4000)
    unknown = dataclasses.replace(known, formats=("s9",))
    rivals = [
        estimate_instructions(kernel.name, work)
        for kernel in KERNELS.values()
        if kernel.operation == "maxpool2d" and kernel.name in ENTRIES
    ]
    assert min(rivals) <= estimate_instructions(unknown.name, work) <= max(rivals)
    assert estimate_instructions(unknown.name, work) == pytest.approx(np.median(rivals), abs=1)


def make_small_network() -> Graph:
    """Input (8, 8, 1), 3 x 3 convolution to 8 channels, max pooling by 2, dense layer to 10."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder.start("model", TensorType((8, 8, 1), S8, 0.5))

    def add(name: str, operation: str, shape: tuple[int, ...], source: str, *window: Window) -> str:
        weights = builder.constant(f"{name}_w", rng.integers(-127, 128, shape), S8)
        values = (rng.integers(-99, 99, shape[0]), np.full(shape[0], 2**30), np.full(shape[0], 38))
        tables = [
            builder.constant(f"{name}_{word}", value, S32)
            for word, value in zip(("bias", "multiplier", "shift"), values, strict=True)
        ]
        epilogue = Requantize("s8", 0.5, 0, -128, 127)
        return builder.apply(
            name, OPERATIONS[operation](epilogue, *window), source, weights, *tables
        )

    last = add("conv", "Conv2D", (8, 3, 3, 1), "input", Window((3, 3), padding=(1, 1, 1, 1)))
    last = builder.apply("pool", OPERATIONS["MaxPool2D"](Window((2, 2), (2, 2))), last)
    last = builder.apply("flatten", OPERATIONS["Reshape"]((128,)), last)
    return builder.build(add("dense", "Dense", (10, 128), last))


def test_a_pool_that_is_cheap_leaves_the_dense_layer_its_fast_kernel():
    """Pooling was thought fifteen times too slow, so that the dense layer's time hardly counted."""
    graph = make_small_network()
    firmware = Budget(firmware_flash_bytes=5248, firmware_ram_bytes=4608)
    candidates = gather_candidates(graph, ("armv7em", GENERIC))
    chosen = choose_kernels(graph, candidates, budget=firmware)
    assert chosen.bounds["dense"].kernel.name == "dense_s8_int8_armv7em-lanes"
