"""Every kernel with every epilogue against the reference, under both sanitizers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bitexact.bench import run_cases
from tests.bitexact.cases import draw_cases
from tests.harness import SANITIZE
from tinyq.kernels.base import Kernel
from tinyq.kernels.registry import list_kernels

# Compiler, flags, cases of each kernel. The sanitizers find what a wrong result may hide; -O3
# what they may.
BUILDS = [
    pytest.param("gcc", SANITIZE, 8, marks=pytest.mark.requires("gcc"), id="gcc-sanitized"),
    pytest.param("clang", SANITIZE, 4, marks=pytest.mark.requires("clang"), id="clang-sanitized"),
    pytest.param("gcc", ("-O3",), 4, marks=pytest.mark.requires("gcc"), id="gcc-O3"),
]
GROUPS = sorted({kernel.operation for kernel in list_kernels()})


def is_narrow(kernel: Kernel) -> bool:
    """Whether it reads one of the many formats that differ in the product alone."""
    return kernel.formats[0] in ("s2", "s3", "s4", "u2")


@pytest.mark.spread
@pytest.mark.parametrize(("compiler", "flags", "count"), BUILDS)
@pytest.mark.parametrize("operation", GROUPS)
def test_kernels_equal_the_reference(operation, compiler, flags, count, rng):
    kernels = [
        kernel
        for kernel in list_kernels()
        if kernel.operation == operation and kernel.isa == "generic"
    ]
    cases = [
        case
        for kernel in kernels
        for case in draw_cases(kernel, rng, max(count // (1 + is_narrow(kernel)), 1))
    ]
    results = run_cases(cases, compiler, flags)
    for case, result in zip(cases, results, strict=True):
        wanted = case.expect()
        assert np.array_equal(result, wanted), (
            f"{case.function}: {(result != wanted).sum()} of {wanted.size} bytes differ; "
            f"{case.op}, {' '.join(map(str, case.types))}, shares {case.shares}"
        )
