"""The comparison as a page of Markdown and as plots."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from comparison.fashion import OTHER_SAMPLES
from tinyq.support.plot.scatter import Point, draw_scatter

COMMAND = "python benchmarks/methods.py --data ../shared/data/fashion_mnist.npz"
COLUMNS = (
    "weights",
    "activations",
    "formats",
    "Keras",
    "to float",
    "all seeds",
    "C on the host",
    "device",
    "codes that differ",
    "flash B",
    "RAM B",
    "instructions",
    "flash B, speed",
    "instructions, speed",
    "flash B, size",
    "instructions, size",
    "zero weights",
    "step ms",
    "remark",
)
Row = Mapping[str, Any]
Losses = Mapping[tuple[str, str], tuple[float, ...]]
SHOWN_POINTS = 6.0
FAILED_POINTS = 20.0
"""Points of accuracy below the float model that the plots show, and that no method should lose."""


def write_report(run: Mapping[str, Any], folder: Path) -> None:
    """Write methods.md and the plots of one run into a folder."""
    rows = {name: row for name, row in run["rows"].items() if "error" not in row}
    floats = {row["seed"]: row for name, row in rows.items() if name.startswith("float/")}
    measured = [row for name, row in rows.items() if not name.startswith("float/")]
    failed = {name: row["error"] for name, row in run["rows"].items() if "error" in row}
    losses = collect_losses(measured, floats)
    parts = [*_introduction(run, floats), _table(measured, losses)]
    parts += [f"Not measured: `{name}`: {reason}" for name, reason in failed.items()]
    (folder / "methods.md").write_text("\n\n".join([*parts, ""]), "utf-8")
    first = [row for row in measured if row["seed"] == 0 and _pair(row) in losses]
    if not first:
        return
    for key, title in (
        ("flash_bytes", "flash of the image, bytes"),
        ("instructions", "instructions per inference"),
    ):
        name = f"methods_{'flash' if 'flash' in key else 'instructions'}.svg"
        (folder / name).write_text(_plot(first, losses, floats, key, title), "utf-8")


def collect_losses(rows: Iterable[Row], floats: Mapping[int, Row]) -> Losses:
    """Points of accuracy below the float model of the same seed, by pair and in order of seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        if row["seed"] in floats:
            points = 100.0 * (floats[row["seed"]]["accuracy"] - row["keras_accuracy"])
            found.setdefault(_pair(row), []).append(points)
    return {pair: tuple(points) for pair, points in found.items()}


def _pair(row: Row) -> tuple[str, str]:
    return row["weights"], row["activations"]


def limit(row: Row) -> tuple[str, float] | None:
    """Loss of published order for what a row is like, in points; None where none is known."""
    if row["activation_levels"] == 2:
        return "binary weights and activations", 6.0
    if row["activation_levels"] <= 4:
        return "2-bit activations", 2.0
    if row["weight_format"] == "t2" and row["activation_levels"] == 256:
        return "ternary weights", 1.5
    return None


def _remark(row: Row, losses: tuple[float, ...]) -> str:
    found, expected = statistics.fmean(losses), limit(row)
    if found > FAILED_POINTS:
        return "did not learn by this budget"
    if expected is None or found <= expected[1]:
        return ""
    kind, bound = expected
    return f"misses {bound:g} points for {kind}"


def _introduction(run: Mapping[str, Any], floats: Mapping[int, Row]) -> list[str]:
    facts = run["configuration"]
    images = ", ".join(f"{row['accuracy']:.2%} (seed {seed})" for seed, row in floats.items())
    parameters = next((f"{row['parameters']:,}" for row in floats.values()), "?")
    convolutions = ", ".join(f"{filters} / {stride}" for filters, stride in facts["layers"])
    return [
        "# Methods on Fashion-MNIST",
        f"`{COMMAND}` measures what is missing and writes this page; a run that was stopped goes "
        f"on. {run['machine']}.",
        f"One network of {parameters} parameters: 3 x 3 convolutions with filters / stride "
        f"{convolutions}, each with BatchNormalization and ReLU, then ten logits. One budget: a "
        f"float model of {facts['float_epochs']} epochs, from which every method trains "
        f"{facts['epochs']} epochs on {facts['train_samples']:,} images (Adam, batch "
        f"{facts['batch_size']}, {facts['rate']:g} falling to 0 as a cosine). First and last layer "
        "have 8 bits, a method has the inner convolutions.",
        f"The float model trained on by the same budget gets {images} of "
        f"{facts['test_samples']:,} test images. `to float` are points of accuracy beside that of "
        f"the same seed, of seed 0 and {_seeds(floats)}; the plots show the mean. "
        "`Keras` and `C on the host` answer all test images, the device "
        f"(STM32F405 in QEMU, through its serial protocol) the first {facts['device_samples']}. "
        "`codes that differ` are logits of Keras against that C, codes of all layers of Keras "
        "against the reference on 256 images, and outputs of the device against the reference; "
        "tfmot's model computes in float, so that its own answers differ from any integers.",
        "Flash is the whole image with the firmware, built as `tinyq build` does without options, "
        "for speed (`--optimize speed`, where layers may keep weights as 16-bit numbers or in "
        "Winograd's form) and for size. Instructions are exact means over the device's images, "
        f"over {OTHER_SAMPLES} of them for the two other builds. "
        "`step` is the median of a training step in this run, beside whatever else the machine "
        "did; [step_cost.md](step_cost.md) compares steps with care.",
        "A remark stands where the mean loss is above the published order: 1.5 points for ternary "
        "weights, 2 for 2-bit activations, 6 for binary weights and activations.",
        "![accuracy against flash](methods_flash.svg)",
        "![accuracy against instructions](methods_instructions.svg)",
    ]


def _seeds(floats: Mapping[int, Row]) -> str:
    count = len(floats)
    if count == 1:
        return "no other"
    return f"the mean of up to {count} seeds (worst … best; how many)"


def _table(rows: Iterable[Row], losses: Losses) -> str:
    first = [row for row in rows if row["seed"] == 0]
    lines = [COLUMNS, (*("---",) * 3, *("--:",) * (len(COLUMNS) - 4), "---")]
    lines += [_cells(row, losses[_pair(row)]) for row in first if _pair(row) in losses]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(row: Row, losses: tuple[float, ...]) -> tuple[str, ...]:
    counts = (row["keras_differing"], row["layer_differing"], row["mismatches"])
    return (
        row["weights"],
        row["activations"],
        f"{row['activation_format']} x {row['weight_format']}",
        f"{row['keras_accuracy']:.2%}",
        f"{-losses[0]:+.2f}",
        _spread(losses),
        f"{row['host_accuracy']:.2%}",
        f"{row['device_accuracy']:.1%}",
        " ".join("-" if count is None else f"{count:,}" for count in counts),
        f"{row['flash_bytes']:,}",
        f"{row['ram_bytes']:,}",
        f"{row['instructions']:,.0f}",
        f"{row['fast_flash_bytes']:,}",
        f"{row['fast_instructions']:,.0f}",
        f"{row['compact_flash_bytes']:,}",
        f"{row['compact_instructions']:,.0f}",
        f"{row['zero_share']:.0%}",
        f"{1e3 * row['step_seconds']:.1f}",
        _remark(row, losses),
    )


def _spread(losses: tuple[float, ...]) -> str:
    """Mean, from worst to best, and of how many, where there are several seeds."""
    if len(losses) == 1:
        return ""
    ends = f"{-max(losses):+.2f} … {-min(losses):+.2f}"
    return f"{-statistics.fmean(losses):+.2f} ({ends}; {len(losses)})"


def _plot(
    rows: Iterable[Row], losses: Losses, floats: Mapping[int, Row], key: str, title: str
) -> str:
    """Accuracy against a cost: that of the float models, less the mean loss of all seeds."""
    level = 100.0 * statistics.fmean(row["accuracy"] for row in floats.values())
    points = [
        Point(
            name=row["weights"]
            if row["activations"] in (row["weights"], "int8")
            else f"{row['weights']}+{row['activations']}",
            x=float(row[key]),
            y=level - statistics.fmean(losses[_pair(row)]),
            group=_group(row),
        )
        for row in rows
    ]
    return draw_scatter(
        f"Fashion-MNIST: test accuracy, %, against {title}",
        points,
        {"float": level},
        level - SHOWN_POINTS,
    )


def _group(row: Row) -> str:
    """Kind of arithmetic, for the color."""
    if row["activation_levels"] == 2:
        return "binary activations"
    bits = (row["activation_levels"] - 1).bit_length()
    return "8-bit activations" if bits == 8 else f"{bits}-bit activations"
