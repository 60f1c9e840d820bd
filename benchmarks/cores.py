"""The four MLPerf Tiny networks on the emulated cores: instructions, flash, arena.

    python benchmarks/cores.py

../shared/data/mlperf_tiny, or mlperf_tiny in the folder that TINYQ_DATA names, has the int8 models
and the inputs. Writes benchmarks/results/cores.json and .md. Every answer is
compared with the reference. Without the data there is nothing to measure, and the script says so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.cores import CORES, NAMES  # noqa: E402
from tests.mlperf_tiny import DATA, NETWORKS, Network  # noqa: E402
from tinyq.codegen import emit  # noqa: E402
from tinyq.firmware.build import BuildOptions, build  # noqa: E402
from tinyq.graph import reference  # noqa: E402
from tinyq.graph.passes import simplify  # noqa: E402
from tinyq.importers.tflite import import_tflite  # noqa: E402
from tinyq.selection import plan_kernels, prefer_isas, select_kernels  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402
from tinyq.targets import open_link  # noqa: E402
from tinyq.targets.wire import payload_bytes  # noqa: E402

RESULTS = ROOT / "benchmarks/results"
COMMAND = "python benchmarks/cores.py"
ROUNDINGS = ("half_up", "tflite")
SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One network under one rounding rule on one core.

    Attributes:
        network: Its name.
        rounding: Rule of the import.
        core: Instruction set of the kernels.
        macs: Multiply-accumulates after simplification.
        instructions: Mean of an inference, exact.
        mismatches: Output bytes in which the emulated device and the reference differ.
        flash_bytes: Code and constants of the image.
        arena_bytes: Activations and the kernels' room.
    """

    network: str
    rounding: str
    core: str
    macs: int
    instructions: float
    mismatches: int
    flash_bytes: int
    arena_bytes: int


def measure_network(name: str, network: Network, rounding: str, core: str, folder: Path) -> Row:
    """Build, run some inputs, compare, count."""
    graph = simplify(import_tflite(network.path, rounding))
    codes = network.load(graph)[0][:SAMPLES]
    isas = prefer_isas(core)
    bounds = select_kernels(graph, isas)
    plan = plan_kernels(graph, bounds)
    request, reply = payload_bytes(graph.input.type.packed_bytes, graph.output.type.packed_bytes, 4)
    options = BuildOptions(payload_bytes=request, reply_bytes=reply)
    image = build(emit(graph, plan, bounds).files, CORES[core], folder, options)
    link = open_link(image, "qemu", counting=True)
    try:
        answers = link.infer(graph.input.type.format.pack(codes).reshape(len(codes), -1))
        counts = link.instruction_counts()
    finally:
        link.close()
    expected = graph.output.type.format.pack(reference.run_batched(graph, codes, 16))
    return Row(
        network=name,
        rounding=rounding,
        core=core,
        macs=sum(graph.macs(node) for node in graph.nodes),
        instructions=sum(layer.total for layer in counts.layers) / counts.runs,
        mismatches=int((answers != expected.reshape(len(codes), -1)).sum()),
        flash_bytes=image.flash_bytes,
        arena_bytes=plan.arena_bytes,
    )


def render_report(rows: list[Row]) -> str:
    """The page with the table."""
    lines = [
        "# The MLPerf Tiny networks on emulated cores",
        "",
        f"`{COMMAND}`, QEMU, arm-none-eabi-gcc -O2; {SAMPLES} inputs each. Instructions are exact;",
        "they are no cycles. The fastest kernels that fit a node, without a limit of flash.",
        "",
        "| core | network | rounding | M instructions | per MAC | flash B | arena B | mismatches |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {NAMES[row.core]} | {row.network} | {row.rounding} | {row.instructions / 1e6:.3f} "
        f"| {row.instructions / row.macs:.2f} | {row.flash_bytes:,} | {row.arena_bytes:,} "
        f"| {row.mismatches} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if not DATA.is_dir():
        print("nothing to measure: set TINYQ_DATA to the folder that has mlperf_tiny")
        return
    rows = []
    for core in CORES:
        for name, network in NETWORKS.items():
            for rounding in ROUNDINGS:
                with tempfile.TemporaryDirectory() as folder:
                    place = Path(folder) / "out"
                    rows.append(measure_network(name, network, rounding, core, place))
                print(rows[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    content = {"command": COMMAND, "rows": [asdict(row) for row in rows]}
    write_document(RESULTS / "cores.json", "benchmark", content, 1)
    (RESULTS / "cores.md").write_text(render_report(rows), "utf-8")
    if any(row.mismatches for row in rows):
        sys.exit("error: not equal to the reference")


if __name__ == "__main__":
    main()
