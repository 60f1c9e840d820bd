"""Instruction estimates of all generic kernels, fitted to counts on the emulated Cortex-M4.

    python benchmarks/generic.py            count, fit, write templates/kernels/generic.json
    python benchmarks/generic.py --only curve extremum      these alone; all other lines stay
    python benchmarks/generic.py --check    hold the estimates against layers of other sizes

`--only` takes the beginnings of names of kernels and of epilogues, such as `requantize_s8`.

`tinyq build` compares generic kernels with specialized by these figures where it does not count
(`--tune`). An estimate is a sum of a few terms, see `tinyq.kernels.estimates`; the coefficients are
such that the largest ratio between estimate and count, either way, is as small as can be.

What was counted is kept in the user's cache folder under a digest of the layer, the templates and
the compiler, so a run that is killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from scipy.optimize import linprog

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.estimated_layers import (  # noqa: E402
    BOARD,
    Sample,
    count_instructions,
    draw_samples,
    estimate,
    find_usual_epilogue,
    has_epilogue,
)
from tinyq.firmware.build import read_version  # noqa: E402
from tinyq.firmware.toolchains import find_compiler  # noqa: E402
from tinyq.hardware.boards import find_board  # noqa: E402
from tinyq.kernels.base import Kernel  # noqa: E402
from tinyq.kernels.epilogues import EpilogueFunction, list_epilogues  # noqa: E402
from tinyq.kernels.estimates import (  # noqa: E402
    CONSTANT_COST,
    GENERIC,
    TABLE,
    list_terms,
    load_table,
)
from tinyq.kernels.registry import list_kernels  # noqa: E402
from tinyq.support.documents import read_document, stamp  # noqa: E402
from tinyq.support.resources import TEMPLATES  # noqa: E402
from tinyq.targets.native import cache_folder  # noqa: E402

Bounds = list[tuple[int, int | None]]
FITTED, CHECKED = "fit", "check"
SAMPLES, CHECKS = 12, 6
# Of operations with weights, whose many kernels differ in one product alone.
PRODUCTS, PRODUCT_SAMPLES = ("conv2d", "dense", "depthwise2d"), 8
# Where the compiler unrolls some windows, and where most taps meet no code.
WINDOW_SAMPLES = {"tfliteaveragepool2d": 72, "maxpool2d": 24, "transposeconv2d": 36}
EPILOGUE_KERNEL = "rescale_s8_generic"
_PRODUCT_TERMS = ("call", "element", "line", "tap", "mac", "shared_element")
_MOST_FOR_A_CALL = 500  # instructions: what is the same for all sizes is little
_BATCH = 60  # samples that are counted before any is kept
_ROOM = 1.05  # how far the largest ratio may grow for estimates nearer to the others
_STEPS = 24  # of the bisection


def count_samples(samples: Sequence[Sample]) -> list[int]:
    """Instructions of samples; what was counted before is read."""
    folder = cache_folder() / "generic"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{_identify(sample)}.json" for sample in samples]
    missing = [place for place, path in enumerate(paths) if not path.exists()]
    for start in range(0, len(missing), _BATCH):
        part = missing[start : start + _BATCH]
        counts = count_instructions([samples[place] for place in part])
        for place, count in zip(part, counts, strict=True):
            partial = paths[place].with_suffix(".partial")
            partial.write_text(json.dumps({"instructions": count}) + "\n", "utf-8")
            partial.replace(paths[place])
        print(f"{start + len(part)} of {len(missing)} counted", flush=True)
    return [json.loads(path.read_text("utf-8"))["instructions"] for path in paths]


def _identify(sample: Sample) -> str:
    parts = [_read_texts(), str(sample), *(repr(node.op) for node in sample.graph.nodes)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@functools.cache
def _read_texts() -> str:
    """Digest of compiler and templates that the counts depend on."""
    found = hashlib.sha256(read_version(find_compiler(find_board(BOARD))).encode())
    folders = [TEMPLATES / name for name in ("model", "runtime", "kernels/generic")]
    folders += [TEMPLATES / "kernels/epilogues", ROOT / "tinyq/kernels/generic"]
    for folder in folders:
        for path in sorted(folder.glob("*.*")):
            found.update(path.read_bytes())
    return found.hexdigest()


def fit(samples: Sequence[Sample], counts: Sequence[int]) -> tuple[dict[str, float], float]:
    """Coefficients of the terms, and the largest ratio between estimate and count."""
    names = _list_names(samples[0])
    terms = [[list_terms(work) for work in sample.works] for sample in samples]
    matrix = np.array(
        [[sum(each[name] for each in found) for name in names] for found in terms], float
    )
    relative = matrix / np.array(counts, float)[:, None]
    bounds = [(0, _MOST_FOR_A_CALL if name == "call" else None) for name in names]
    found = _solve(relative, _find_ratio(relative, bounds) * _ROOM, bounds)
    assert found is not None, "the ratio was found to be possible"
    estimates = relative @ found
    worst = float(np.maximum(estimates, 1 / estimates).max())
    pairs = zip(names, found, strict=True)
    return {name: float(f"{value:.4g}") for name, value in pairs if value > 1e-9}, worst


def _list_names(sample: Sample) -> list[str]:
    """Terms of an operation: few of them where multiply-accumulates are most of the work."""
    names = list(list_terms(sample.works[0]))
    product = sample.kernel.operation in PRODUCTS
    return [name for name in names if name in _PRODUCT_TERMS] if product else names


def _find_ratio(relative: np.ndarray, bounds: Bounds) -> float:
    """The least r such that coefficients exist with ``1 / r <= relative @ x <= r``."""
    low, high = 0.0, np.log(64.0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (
            (low, middle)
            if _solve(relative, np.exp(middle), bounds) is not None
            else (middle, high)
        )
    return float(np.exp(high))


def _solve(relative: np.ndarray, ratio: float, bounds: Bounds) -> np.ndarray | None:
    """Coefficients from 0 on with the least sum of relative errors within a ratio, if any."""
    rows, columns = relative.shape
    unit = np.eye(rows)
    sides = np.block(
        [
            [relative, -unit],
            [-relative, -unit],
            [relative, 0 * unit],
            [-relative, 0 * unit],
        ]
    )
    one = np.ones(rows)
    limits = np.concatenate([one, -one, ratio * one, -one / ratio])
    goal = np.concatenate([np.zeros(columns), one])
    result = linprog(goal, A_ub=sides, b_ub=limits, bounds=[*bounds, *[(0, None)] * rows])
    return result.x[:columns] if result.success else None


def fit_epilogues(epilogues: Mapping[str, EpilogueFunction]) -> dict[str, float]:
    """Instructions of each epilogue for each value of the output, by one kernel's layers."""
    kernel = find_epilogue_kernel()
    drawn = {name: draw_samples(kernel, FITTED, SAMPLES, it) for name, it in epilogues.items()}
    counts = iter(count_samples([sample for found in drawn.values() for sample in found]))
    costs = {}
    for name, samples in drawn.items():
        works = [sample.works for sample in samples]
        further = [CONSTANT_COST * sum(work.constants for work in found) for found in works]
        elements = [sum(work.elements for work in found) for found in works]
        each = [(next(counts) - m) / k for m, k in zip(further, elements, strict=True)]
        costs[name] = round(median(each), 1)
    return costs


def fit_kernels(kernels: Mapping[str, Kernel]) -> tuple[dict[str, dict], dict[str, float]]:
    """Lines of the table, and the median instructions for a value of the output, by kernel."""
    drawn = {
        name: draw_samples(kernel, FITTED, choose_count(kernel)) for name, kernel in kernels.items()
    }
    counts = iter(count_samples([sample for found in drawn.values() for sample in found]))
    entries, each = {}, {}
    for name, samples in drawn.items():
        found = [next(counts) for _ in samples]
        terms, worst = fit(samples, found)
        epilogue = find_usual_epilogue(kernels[name]) if has_epilogue(kernels[name]) else None
        entries[name] = {
            "terms": terms,
            "epilogue": name_epilogue(epilogue) if epilogue else "",
            "largest_ratio": round(worst, 2),
            "samples": len(samples),
        }
        elements = [sum(work.elements for work in sample.works) for sample in samples]
        each[name] = median(n / k for n, k in zip(found, elements, strict=True))
        print(name, entries[name], flush=True)
    return entries, each


def choose_count(kernel: Kernel) -> int:
    """How many samples a kernel is fitted to."""
    usual = PRODUCT_SAMPLES if kernel.operation in PRODUCTS else SAMPLES
    return WINDOW_SAMPLES.get(kernel.operation, usual)


def write_table(kernels: Mapping[str, Kernel], epilogues: Mapping[str, EpilogueFunction]) -> None:
    """Count, fit and write the table."""
    entries, each = fit_kernels(kernels)
    operations: dict[str, list[float]] = {}
    for name, per_element in each.items():
        operations.setdefault(kernels[name].operation, []).append(per_element)
    content = {
        "command": "python benchmarks/generic.py",
        "machine": BOARD,
        "median_per_element": round(median(median(found) for found in operations.values()), 1),
        "epilogues": fit_epilogues(epilogues),
        # Written by benchmarks/generic_cores.py, which is to be run behind this.
        "cores": read_document(TABLE, "estimates", "take it from the repository")["cores"],
        "kernels": entries,
    }
    save(content)


def add_to_table(kernels: Mapping[str, Kernel], epilogues: Mapping[str, EpilogueFunction]) -> None:
    """Count and fit these, and write their lines among those that are there.

    What an unknown operation costs stays as it is: that is a median of all counts.
    """
    content = read_document(TABLE, "estimates", "count all kernels, without --only")
    found = content["kernels"] | fit_kernels(kernels)[0]
    content["kernels"] = {name: found[name] for name in list_generic() if name in found}
    content["epilogues"] = dict(sorted((content["epilogues"] | fit_epilogues(epilogues)).items()))
    save(content)


def save(content: dict) -> None:
    """Replace the table."""
    partial = TABLE.with_suffix(".partial")
    partial.write_text(render(stamp("estimates", content)), "utf-8")
    partial.replace(TABLE)
    load_table.cache_clear()


def list_generic() -> dict[str, Kernel]:
    """All generic kernels by name."""
    return {kernel.name: kernel for kernel in list_kernels() if kernel.isa == GENERIC}


def find_epilogue_kernel() -> Kernel:
    """The kernel that epilogues are counted with."""
    return list_generic()[EPILOGUE_KERNEL]


def name_epilogue(epilogue: EpilogueFunction) -> str:
    """What the table calls an epilogue."""
    return f"{epilogue.epilogue}_{epilogue.format}"


def render(content: dict) -> str:
    """The table as JSON with a line for each kernel."""
    rows = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in content["kernels"].items()]
    head = [
        f" {json.dumps(key)}: {json.dumps(content[key])}" for key in content if key != "kernels"
    ]
    return "{\n" + ",\n".join([*head, ' "kernels": {\n' + ",\n".join(rows) + "\n }\n}\n"])


def check_table(kernels: Mapping[str, Kernel], epilogues: Mapping[str, EpilogueFunction]) -> bool:
    """Whether estimates lie within twice the count and half of it; print those that do not."""
    samples = [s for kernel in kernels.values() for s in draw_samples(kernel, CHECKED, CHECKS)]
    samples += [
        sample
        for epilogue in epilogues.values()
        for sample in draw_samples(find_epilogue_kernel(), CHECKED, CHECKS, epilogue)
    ]
    ratios = [estimate(s) / n for s, n in zip(samples, count_samples(samples), strict=True)]
    wrong = [(r, s) for r, s in zip(ratios, samples, strict=True) if not 0.5 <= r <= 2]
    for ratio, sample in wrong:
        print(f"{ratio:6.2f}  {sample}")
    low, middle, high = np.quantile(ratios, (0.05, 0.5, 0.95))
    print(f"{len(samples)} samples, estimate / count: 5 % {low:.2f}, median {middle:.2f}, ", end="")
    print(f"95 % {high:.2f}; from {min(ratios):.2f} to {max(ratios):.2f}; {len(wrong)} beyond 2x")
    return not wrong


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, check other layers")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="kernels and epilogues that begin so"
    )
    words = parser.parse_args()
    begins = tuple(words.only) or ("",)
    kernels = {name: it for name, it in list_generic().items() if name.startswith(begins)}
    found = {name_epilogue(epilogue): epilogue for epilogue in list_epilogues()}
    epilogues = {name: epilogue for name, epilogue in found.items() if name.startswith(begins)}
    for word in words.only:
        if not any(name.startswith(word) for name in (*kernels, *epilogues)):
            parser.error(f"no generic kernel and no epilogue begins with {word}")
    if words.check:
        return 0 if check_table(kernels, epilogues) else 1
    write = add_to_table if words.only else write_table
    write(kernels, epilogues)
    return 0


if __name__ == "__main__":
    sys.exit(main())
