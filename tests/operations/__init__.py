"""Each operation's draw and formula in a file of its name, found by walking this folder.

A file stands for the file of the same name in tinyq/graph/ops and has, for each operation there,

    @step(fits)            a step of random graphs
    @bench_case(kernel)    random cases of its kernels
    @formula(name)         its formula in plain Python, written without looking at the NumPy one

Everything that draws reads them here: random graphs, the bench of kernels, the contract.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.drawing.registry import REGISTRY

for _module in sorted(entry.name for entry in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["REGISTRY"]
