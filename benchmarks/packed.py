"""The four MLPerf Tiny networks with packed weights: instructions, flash, code and RAM.

    python benchmarks/packed.py --data DIR

Each network with the fastest kernels and with those whose constants take least flash; as it is, and
with its weights rounded to 4 bits and to three values. Rounding like that costs accuracy and is no
quantization method: these rows say what such weights cost on the device, and nothing about answers.
The device's answer to random data equals the reference's in every row. Writes
benchmarks/results/packed.json and .md; without the data there is nothing to measure.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from mlperf_tiny import (  # noqa: E402
    BOARD,
    EMULATED,
    NETWORKS,
    RESULTS,
    ask_data,
    render_table,
)

from tests.bench_layers import choose_smallest, measure_network  # noqa: E402
from tinyq.graph import Graph, Tensor  # noqa: E402
from tinyq.graph.epilogues import Requantize  # noqa: E402
from tinyq.graph.passes import simplify  # noqa: E402
from tinyq.importers.tflite import import_tflite  # noqa: E402
from tinyq.numerics.formats import find_format  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402

ISAS = ("armv7em", "generic")
# Formats of the weights, and by how many bits a code of 8 bits is coarser.
WIDTHS: Mapping[str, int] = {"s8": 0, "s4": 4, "t2": 6}
COMMAND = "python benchmarks/packed.py --data ../shared/data/mlperf_tiny"


def narrow_weights(graph: Graph, name: str) -> Graph:
    """A graph of the same layers whose weights have another format."""
    weights, coarser = find_format(name), WIDTHS[name]
    tensors = dict(graph.tensors)
    for node in graph.nodes if coarser else ():
        if not isinstance(getattr(node.op, "output", None), Requantize) or not graph.macs(node):
            continue
        operand, *tables = node.inputs[1:]
        codes = np.round(graph.tensors[operand].codes / (1 << coarser))
        _exchange(tensors, operand, codes.clip(weights.lo, weights.hi), name)
        named = dict(zip(node.op.output.names, tables, strict=True))
        _exchange(tensors, named["bias"], graph.tensors[named["bias"]].codes >> coarser)
        _exchange(tensors, named["shift"], graph.tensors[named["shift"]].codes - coarser)
    return replace(graph, tensors=tensors)


def _exchange(tensors: dict[str, Tensor], name: str, codes: np.ndarray, kind: str = "") -> None:
    old = tensors[name]
    entry = find_format(kind) if kind else old.type.format
    tensors[name] = replace(old, type=replace(old.type, format=entry), codes=codes.astype(np.int32))


def measure_all(data: Path) -> list[dict[str, object]]:
    """Rows of the table."""
    rows: list[dict[str, object]] = []
    for title, (model, _) in NETWORKS.items():
        graph = simplify(import_tflite(data / f"models/{model}.tflite", "half_up"))
        for width in WIDTHS:
            narrow = narrow_weights(replace(graph, name="network"), width)
            for kernels, forced in (("fastest", {}), ("smallest", choose_smallest(narrow, ISAS))):
                with tempfile.TemporaryDirectory() as folder:
                    found = measure_network(narrow, ISAS, forced, Path(folder), BOARD)
                head = {"network": title, "weights": width, "kernels": kernels}
                rows.append(head | asdict(found))
                print(rows[-1], flush=True)
    return rows


def render_report(rows: list[dict[str, object]]) -> str:
    """The page with the table."""
    columns = ("network", "weights", "kernels", "instructions", "code B", "constants B", "flash B")
    keys = ("instructions", "code_bytes", "table_bytes", "flash_bytes", "arena_bytes")
    cells = [
        (row["network"], row["weights"], row["kernels"], *(f"{row[key]:,}" for key in keys))
        for row in rows
    ]
    return "\n\n".join(
        (
            "# Networks with packed weights",
            f"`{COMMAND}`. Instructions of one inference on {EMULATED} in QEMU, exact, no cycles. "
            f"Flash is the whole image for {BOARD}: start-up, protocol, code, constants. The arena "
            "holds activations and scratch memory. Weights of s4"
            " and t2 are those of the published int8 network, rounded: they show what such weights "
            "cost on the device, and answer nothing about accuracy. Fastest kernels are those of "
            "fewest instructions whatever their flash, smallest those whose constants take least.",
            render_table((*columns, "arena B"), cells),
            "",
        )
    )


def main() -> None:
    """Measure, print and write the table."""
    data = ask_data(__doc__)
    if data is None:
        return
    rows = measure_all(data)
    wrong = [row["network"] for row in rows if not row["exact"]]
    if wrong:
        sys.exit(f"error: not equal to the reference: {wrong}")
    RESULTS.mkdir(exist_ok=True)
    content = {"command": COMMAND, "board": BOARD, "emulated": EMULATED, "rows": rows}
    write_document(RESULTS / "packed.json", "benchmark", content, 1)
    (RESULTS / "packed.md").write_text(render_report(rows), "utf-8")


if __name__ == "__main__":
    main()
