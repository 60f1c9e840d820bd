"""What generic kernels cost on cores that differ from the Cortex-M4 that they were fitted on.

    python benchmarks/generic_cores.py            count, fit, write templates/kernels/generic.json
    python benchmarks/generic_cores.py --check    hold the estimates against other layers

A core has a figure for each epilogue, whose 64-bit products are calls where there is no instruction
for them, and a factor for the loops of each operation. A few kernels of each operation are counted.
To be run after benchmarks/generic.py, whose figures these are relative to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.generic import (  # noqa: E402
    PRODUCTS,
    find_epilogue_kernel,
    list_generic,
    name_epilogue,
    save,
)
from tests.estimated_cores import Estimate, count_all, draw_generic  # noqa: E402
from tests.estimated_layers import Sample, draw_samples  # noqa: E402
from tinyq.kernels.epilogues import list_epilogues  # noqa: E402
from tinyq.kernels.estimates import (  # noqa: E402
    CONSTANT_COST,
    TABLE,
    Core,
    Table,
    Work,
    find_counted,
    load_table,
)
from tinyq.support.documents import read_document  # noqa: E402

CORES = ("armv6m", "rv32")
EPILOGUE_SAMPLES = 2
# Kernels of operations whose formats differ in their products, and of the others.
MANY, FEW = 6, 3
_MOST_RATIO = 1.5  # of one factor for all formats
_ROOM = 1.02  # how far the largest ratio may grow for a factor nearer to 1
_FACTORS = np.geomspace(0.25, 8, 161)


def draw_operations(word: str) -> list[Sample]:
    """Layers of some kernels of each operation."""
    found: list[Sample] = []
    kernels = list_generic()
    for operation in sorted({kernel.operation for kernel in kernels.values()}):
        rivals = [it for it in kernels.values() if it.operation == operation]
        count = min(len(rivals), MANY if operation in PRODUCTS else FEW)
        for place in np.linspace(0, len(rivals) - 1, count).astype(int):
            found += draw_samples(rivals[place], word, 1 if count > 2 else 2)
    return found


def fit_epilogues(core: str, word: str) -> dict[str, float]:
    """Instructions of each epilogue for each value of the output."""
    drawn = {
        name_epilogue(it): draw_samples(find_epilogue_kernel(), word, EPILOGUE_SAMPLES, it)
        for it in list_epilogues()
    }
    every = [sample for samples in drawn.values() for sample in samples]
    counts = iter(count(core, every))
    return {
        name: round(median(_cost_value(sample.works, next(counts)) for sample in samples), 1)
        for name, samples in drawn.items()
    }


def _cost_value(works: Sequence[Work], counted: int) -> float:
    further = CONSTANT_COST * sum(work.constants for work in works)
    return (counted - further) / sum(work.elements for work in works)


def fit_factors(core: str, word: str, epilogues: dict[str, float]) -> dict[str, float]:
    """The factor of each operation that keeps the largest ratio to the counts smallest.

    Where that is large, one for each format of the first operand.
    """
    samples = draw_operations(word)
    pairs = list(zip(samples, count(core, samples), strict=True))
    factors = {}
    for operation in sorted({sample.kernel.operation for sample in samples}):
        found = [pair for pair in pairs if pair[0].kernel.operation == operation]
        groups = {operation: found}
        factors[operation], worst = _fit_factor(core, epilogues, found)
        if worst > _MOST_RATIO:
            for pair in found:
                groups.setdefault(f"{operation}_{pair[0].kernel.formats[0]}", []).append(pair)
        for name, some in groups.items():
            factors[name], worst = _fit_factor(core, epilogues, some)
            print(f"{core} {name}: {factors[name]}, within {worst:.2f}", flush=True)
    return factors


def _fit_factor(
    core: str, epilogues: dict[str, float], pairs: Sequence[tuple[Sample, int]]
) -> tuple[float, float]:
    """The factor of some kernels, and the largest ratio."""
    worst = np.array([_find_worst(core, float(f), epilogues, pairs) for f in _FACTORS])
    # Where the loops hardly count, any factor fits: the nearest to 1 of those that do.
    fitting = np.flatnonzero(worst <= worst.min() * _ROOM)
    best = min(fitting, key=lambda place: abs(np.log(_FACTORS[place])))
    return float(f"{_FACTORS[best]:.3g}"), float(worst[best])


def _find_worst(
    core: str, factor: float, epilogues: dict[str, float], pairs: Sequence[tuple[Sample, int]]
) -> float:
    table, ratios = load_table(TABLE), []
    for sample, counted in pairs:
        name = sample.kernel.name
        there = {core: Core({sample.kernel.operation: factor}, epilogues)}
        fitted = Table(table.kernels, table.epilogues, 0, there)
        entry = table.kernels[find_counted(name, table.kernels)]
        found = sum(
            fitted.apply(entry, work, name, core) + CONSTANT_COST * work.constants
            for work in sample.works
        )
        ratios.append(found / counted)
    return float(max(max(ratios), 1 / min(ratios)))


def count(core: str, samples: Sequence[Sample]) -> list[int]:
    """Instructions of samples on a core."""
    return count_all([draw_generic(core, sample) for sample in samples])


def check(core: str) -> bool:
    """Whether estimates of other layers lie within twice the count and half of it."""
    drawn: list[Estimate] = [draw_generic(core, sample) for sample in draw_operations("check")]
    ratios = [it.instructions / n for it, n in zip(drawn, count_all(drawn), strict=True)]
    wrong = [(r, it) for r, it in zip(ratios, drawn, strict=True) if not 0.5 <= r <= 2]
    for ratio, it in wrong:
        print(f"{ratio:6.2f}  {it.layers}")
    low, middle, high = np.quantile(ratios, (0.05, 0.5, 0.95))
    print(f"{core}: {len(ratios)} layers, estimate / count: 5 % {low:.2f}, median {middle:.2f}, ")
    print(f"95 % {high:.2f}; {min(ratios):.2f} to {max(ratios):.2f}; {len(wrong)} beyond 2x")
    return not wrong


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, check other layers")
    parser.add_argument("--only", choices=CORES, help="one core")
    words = parser.parse_args()
    cores = (words.only,) if words.only else CORES
    if words.check:
        return 0 if all([check(core) for core in cores]) else 1
    for core in cores:
        epilogues = fit_epilogues(core, "cores")
        factors = fit_factors(core, "cores", epilogues)
        content = read_document(TABLE, "estimates", "run benchmarks/generic.py")
        content["cores"][core] = {"factors": factors, "epilogues": epilogues}
        save(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
