"""Every kernel with every epilogue against the reference, under both sanitizers.

Each kernel meets one of the builds, another one with another seed; with ``TINYQ_KERNELS=all`` each
meets all of them.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.bitexact.bench import run_cases
from tests.bitexact.cases import draw_cases
from tests.harness import SANITIZE
from tinyq.kernels.base import Kernel
from tinyq.kernels.registry import list_kernels

ALL = os.environ.get("TINYQ_KERNELS") == "all"
# Compiler, flags, cases of each kernel. The sanitizers find what a wrong result may hide; -O3
# what they may.
BUILDS = {
    "gcc-sanitized": ("gcc", SANITIZE, 8),
    "clang-sanitized": ("clang", SANITIZE, 4),
    "gcc-O3": ("gcc", ("-O3",), 4),
}
GROUPS = sorted({kernel.operation for kernel in list_kernels()})


def is_narrow(kernel: Kernel) -> bool:
    """Whether it reads one of the many formats that differ in the product alone."""
    return kernel.formats[0] in ("s2", "s3", "s4", "u2")


def list_tested(operation: str, build: str, seed: int) -> list[Kernel]:
    """The generic kernels of an operation that meet a build."""
    turn = list(BUILDS).index(build)
    generic = [each for each in list_kernels() if each.isa == "generic"]
    return [
        kernel
        for place, kernel in enumerate(generic)
        if kernel.operation == operation and (ALL or (place + seed) % len(BUILDS) == turn)
    ]


@pytest.mark.spread
@pytest.mark.parametrize(
    "build", [pytest.param(name, marks=pytest.mark.requires(BUILDS[name][0])) for name in BUILDS]
)
@pytest.mark.parametrize("operation", GROUPS)
def test_kernels_equal_the_reference(operation, build, rng, seed):
    compiler, flags, count = BUILDS[build]
    kernels = list_tested(operation, build, seed)
    cases = [
        case
        for kernel in kernels
        for case in draw_cases(kernel, rng, max(count // (1 + is_narrow(kernel)), 1))
    ]
    results = run_cases(cases, compiler, flags) if cases else []
    for case, result in zip(cases, results, strict=True):
        wanted = case.expect()
        assert np.array_equal(result, wanted), (
            f"{case.function}: {(result != wanted).sum()} of {wanted.size} bytes differ; "
            f"{case.op}, {' '.join(map(str, case.types))}, shares {case.shares}"
        )


def test_every_kernel_meets_a_build(seed):
    tested = {
        kernel.name
        for operation in GROUPS
        for build in BUILDS
        for kernel in list_tested(operation, build, seed)
    }
    assert tested == {kernel.name for kernel in list_kernels() if kernel.isa == "generic"}
