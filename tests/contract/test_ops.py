"""Every operation keeps the promises of an operation, and computes what its formula says.

The formulas are written a second time in tests/operations, in plain Python loops over Python's
integers. The nodes come from random graphs, so they have all formats, windows and edge values.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from tests.drawing.formulas import HALF, Nested, map_channels, twice, wrap
from tests.operations import REGISTRY
from tests.random_graphs import NOT_DRAWN, draw_graph, draw_inputs
from tinyq.graph import Graph, Node, TensorType
from tinyq.graph.accumulating import Accumulating
from tinyq.graph.epilogues import Epilogue
from tinyq.graph.ops import EPILOGUES, OPERATIONS
from tinyq.graph.reference import run
from tinyq.numerics.formats import Codes

SAMPLES = 2
CASES = 40
MOST_STEPS = 40_000


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One node with the codes that it read and wrote in a random graph."""

    graph: Graph
    node: Node
    inputs: tuple[Codes, ...]
    output: Codes

    @property
    def types(self) -> tuple[TensorType, ...]:
        return self.graph.types(self.node)

    def sample(self, index: int) -> list[Codes]:
        """The inputs of one sample; constants are the same in all."""
        return [
            codes if self.graph.tensors[name].is_constant else codes[index]
            for name, codes in zip(self.node.inputs, self.inputs, strict=True)
        ]


@functools.cache
def cases() -> dict[str, list[Case]]:
    """Up to CASES nodes of each operation, from consecutive seeds."""
    found: dict[str, list[Case]] = {name: [] for name in OPERATIONS}
    for seed in range(1500):
        rng = np.random.default_rng((seed, 99))
        graph = draw_graph(rng)
        for case in list_cases(graph, draw_inputs(rng, graph, SAMPLES)):
            same = found[type(case.node.op).__name__]
            if len(same) < CASES and count_steps(case) <= MOST_STEPS:
                same.append(case)
    return found


def list_cases(graph: Graph, inputs: Codes) -> Iterator[Case]:
    values = {graph.inputs[0]: inputs}
    run(graph, inputs, values.__setitem__)
    for name, tensor in graph.tensors.items():
        if tensor.codes is not None:
            values[name] = tensor.codes
    for node in graph.nodes:
        yield Case(graph, node, tuple(values[name] for name in node.inputs), values[node.output])


def count_steps(case: Case) -> int:
    window = getattr(case.node.op, "window", None)
    taps = window.size[0] * window.size[1] if window else 1
    return max(case.graph.macs(case.node), case.output[0].size * taps)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_has_its_file(name):
    """The one test that asks for what a new operation needs beside its own file and its kernel."""
    module = OPERATIONS[name].__module__.rpartition(".")[2]
    wanted = {
        f'@formula("{name}")': ("formula", name),
        f'@bench_case("{OPERATIONS[name].kernel}")': ("case", OPERATIONS[name].kernel),
        "@step(...)": ("step", f"tests.operations.{module}"),
    }
    missing = [
        decorator
        for decorator, key in wanted.items()
        if REGISTRY.modules.get(key) != f"tests.operations.{module}"
    ]
    assert not missing, (
        f"write tests/operations/{module}.py for {name}, with {', '.join(missing)}; "
        "tests/operations/__init__.py says what each is, tests/operations/multiply.py is short"
    )


def test_no_file_without_an_operation():
    modules = {operation.__module__.rpartition(".")[2] for operation in OPERATIONS.values()}
    for place in REGISTRY.modules.values():
        assert place.rpartition(".")[2] in modules, f"{place} is for no file of tinyq/graph/ops"


@pytest.mark.parametrize("name", sorted(OPERATIONS))
class TestOperation:
    def test_random_graphs_have_it(self, name):
        drawn = bool(cases()[name])
        assert drawn == (name not in NOT_DRAWN), f"{name}: no random graph has it; see its @step"

    def test_it_is_a_frozen_record_of_plain_fields(self, name):
        operation = OPERATIONS[name]
        assert dataclasses.is_dataclass(operation)
        assert operation.__dataclass_params__.frozen
        assert "__slots__" in vars(operation)

    def test_its_kernel_name_is_its_own_and_one_word(self, name):
        kernel = OPERATIONS[name].kernel
        assert kernel.isalnum()
        assert kernel == kernel.lower()
        assert [other.kernel for other in OPERATIONS.values()].count(kernel) == 1

    def test_the_inferred_type_is_that_of_the_result(self, name):
        for case in cases()[name]:
            inferred = case.node.op.infer(*case.types)
            assert case.output.shape[1:] == inferred.shape
            assert case.output.dtype == np.int32
            assert inferred.format.contains(case.output)
            assert inferred == case.graph.tensors[case.node.output].type

    def test_its_keyed_inputs_are_inputs(self, name):
        for case in cases()[name]:
            for indexes in (case.node.op.keyed, case.node.op.in_place, case.node.op.batched):
                assert all(index < len(case.types) for index in indexes)

    def test_its_geometry_and_cost_are_integers(self, name):
        for case in cases()[name]:
            geometry = case.node.op.geometry(*case.types)
            assert all(type(value) is int for value in geometry.values()), geometry
            macs = case.node.op.macs(*case.types)
            assert type(macs) is int
            assert macs >= 0

    def test_samples_do_not_touch_each_other(self, name):
        for case in cases()[name]:
            for index in range(SAMPLES):
                one = [
                    codes[None] if position in case.node.op.batched else codes
                    for position, codes in enumerate(case.sample(index))
                ]
                assert (case.node.op.run(*one)[0] == case.output[index]).all()

    def test_a_view_is_the_same_bytes(self, name):
        for case in cases()[name]:
            if case.node.op.aliases(*case.types):
                number_format = case.types[0].format
                packed = [number_format.pack(codes) for codes in (case.inputs[0], case.output)]
                assert packed[0].tobytes() == packed[1].tobytes()

    def test_it_computes_its_formula(self, name):
        for case in cases()[name]:
            for index in range(SAMPLES):
                expected = compute(case.node.op, case.sample(index))
                assert case.output[index].tolist() == expected, case.node


@pytest.mark.parametrize("name", sorted(EPILOGUES))
def test_random_graphs_have_the_epilogue(name):
    drawn = {
        type(case.node.op.output).__name__
        for same in cases().values()
        for case in same
        if isinstance(case.node.op, Accumulating)
    }
    assert (name in drawn) == (name not in NOT_DRAWN)


def compute(operation, inputs: Sequence[Codes]) -> Nested:
    """The operation on one sample, as nested lists."""
    formula = REGISTRY.formulas[type(operation).__name__]
    if not isinstance(operation, Accumulating):
        return formula(operation, *(codes.tolist() for codes in inputs))
    operands = [codes.tolist() for codes in inputs[: operation.operands]]
    constants = [np.moveaxis(codes, -1, 0).tolist() for codes in inputs[operation.operands :]]
    acc = formula(operation, *operands)
    return map_channels(
        lambda value, channel: finish(
            operation.output, value, *(constant[channel] for constant in constants)
        ),
        acc,
    )


def single(value: Fraction) -> Fraction:
    """The number of 24 significant bits that is nearest, a half to even."""
    unit = Fraction(1)
    while abs(value) >= 2**24 * unit:
        unit *= 2
    while value and abs(value) < 2**23 * unit:
        unit /= 2
    return round(value / unit) * unit


def finish(epilogue: Epilogue, acc: int, *constants: int) -> int:
    kind = type(epilogue).__name__
    if kind == "Raw":
        return acc + constants[0]
    if kind == "Threshold":
        threshold, flip = constants
        sign = -1 if acc < threshold else 1
        return -sign if flip else sign
    if kind == "Steps":
        thresholds, flip = constants
        return epilogue.levels[sum((acc < one) == bool(flip) for one in thresholds)]
    if kind == "RequantizeTwice":
        bias, multiplier, exponent = constants
        code = twice(wrap(acc + bias), multiplier, exponent) + epilogue.zero_point
        return min(max(code, epilogue.lo), epilogue.hi)
    if kind == "RequantizeWide":
        bias, high, upper, lower, shift = constants
        real = Fraction(
            (acc + bias + high * 2**32) * (upper * 2**32 + lower % 2**32), 2 ** (shift + 32)
        )
        return min(max(floor(real + HALF) + epilogue.zero_point, epilogue.lo), epilogue.hi)
    if kind == "RoundEven":
        bias, multiplier, shift, even = constants
        real = Fraction((acc + bias) * multiplier, 2**shift)
        # Python rounds a half to even.
        code = (round(real) if even else floor(real + HALF)) + epilogue.zero_point
        return min(max(code, epilogue.lo), epilogue.hi)
    if kind == "RequantizeOffset":
        multiplier, high, low, shift, even = constants
        real = Fraction(acc * multiplier + high * 2**32 + low % 2**32, 2**shift)
        below = even and real == floor(real) and (floor(real) + even) % 2 == 0
        code = floor(real) - below
        return min(max(code, epilogue.lo), epilogue.hi)
    if kind == "RequantizeSingle":
        bias, multiplier, shift = constants
        inner = (epilogue.zero_point + epilogue.moved) * epilogue.inside
        real = single(Fraction(single(Fraction(acc + bias)) * multiplier, 2**shift))
        code = round(single(real + inner)) + epilogue.zero_point - inner
        return min(max(code, epilogue.lo), epilogue.hi)
    assert kind == "Requantize", f"write the formula of {kind} a second time here"
    bias, multiplier, shift = constants
    code = floor(Fraction((acc + bias) * multiplier, 2**shift) + HALF) + epilogue.zero_point
    return min(max(code, epilogue.lo), epilogue.hi)
