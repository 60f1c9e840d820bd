"""What a board may need for the MLPerf Tiny networks, estimated, beside what others measured on it.

python benchmarks/profiles.py [--data DIR] [--cmsis-nn DIR]

The networks are built for the board, counted on the emulated core, and priced with the core's
published timings and the board's constant for loads from flash: no figure of this page was measured
on a board, except those that others have published. With a folder of CMSIS-NN (headers and one
archive for Cortex-M4 that rounds twice, as in the published submission) its kernels run in the same
way, which shows what the estimate is worth. Their answers are not looked at.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

from mlperf_tiny import DATA, NETWORKS, RESULTS, load_inputs

from tinyq.graph import passes
from tinyq.graph.passes.remove_constant_channels import remove_constant_channels
from tinyq.hardware.boards import find_board
from tinyq.measurement.profile import Profile, predict, profile
from tinyq.measurement.profile.cores import find_constant
from tinyq.models import load_model
from tinyq.project import create_project
from tinyq.support.documents import read_document, write_document

BOARD = "nucleo-l4r5zi"
EMULATED = "mps2-an386"


@dataclass(frozen=True, slots=True)
class Published:
    """Results that others measured on the board at 120 MHz, in million cycles.

    Attributes:
        best: Best result of the closed division, v0.5 to v1.3.
        owner: Whose it is.
        cmsis_nn: microTVM with CMSIS-NN, v1.0.
    """

    best: float
    owner: str
    cmsis_nn: float


PUBLISHED: Mapping[str, Published] = {
    "AD autoencoder": Published(0.486, "Plumerai v1.1", 1.03),
    "IC ResNet-8": Published(19.8, "ST X-CUBE-AI v1.2", 46.7),
    "KWS DS-CNN": Published(5.18, "ST X-CUBE-AI v1.2", 12.0),
    "VWW MobileNetV1 0.25": Published(10.7, "ST X-CUBE-AI v1.2", 36.1),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One network with one back end.

    Attributes:
        network: What the benchmark calls it.
        rounding: Rule of the graph.
        kernels: tinyq's own or CMSIS-NN's.
        instructions: Counted.
        flash_loads: Data loads from flash, counted.
        ram_loads: Data loads from RAM, counted.
        core_cycles: Of the core without waiting, an estimate.
        board_cycles: On the board, an estimate.
        published_cycles: Measured by others: the best result, or CMSIS-NN's.
        published_by: Who.
        toolchain: Compiler.
    """

    network: str
    rounding: str
    kernels: str
    instructions: int
    flash_loads: int
    ram_loads: int
    core_cycles: int
    board_cycles: float
    published_cycles: float
    published_by: str
    toolchain: str

    @property
    def ratio(self) -> float:
        """Estimate against the published result, 1.0 when equal."""
        return self.board_cycles / self.published_cycles


def profile_network(
    network: str, data: Path, folder: Path, rounding: str, library: Path | None = None
) -> Row:
    """Build for the board, count on the first input, estimate.

    Args:
        network: Key of NETWORKS.
        data: Folder of models and inputs.
        folder: Where to build.
        rounding: Rule of the graph.
        library: CMSIS-NN, whose kernels are taken then; tinyq's own when None.
    """
    if library is not None:
        return _profile_cmsis_nn(network, data, folder, library)
    model, inputs = NETWORKS[network]
    graph = load_model(data / f"models/{model}.tflite", rounding)
    codes, _ = load_inputs(data / inputs, graph)
    found = profile(create_project(graph, find_board(BOARD), folder), codes[:1], loops=0)
    published = PUBLISHED[network]
    return _make_row(network, rounding, "tinyq", found, (published.best, published.owner))


def _profile_cmsis_nn(network: str, data: Path, folder: Path, library: Path) -> Row:
    """The graph as it was published, with the channels that are constant."""
    model, inputs = NETWORKS[network]
    whole = tuple(step for step in passes.PIPELINE if step is not remove_constant_channels)
    with mock.patch.object(passes, "PIPELINE", whole):
        graph = load_model(data / f"models/{model}.tflite", "half_up")
        board = dataclasses.replace(find_board(EMULATED), cflags=find_board(BOARD).cflags)
        project = create_project(graph, board, folder, cmsis_nn=library)
    codes, _ = load_inputs(data / inputs, graph)
    found = profile(project, codes[:1], loops=0)
    published = (PUBLISHED[network].cmsis_nn, "microTVM with CMSIS-NN, v1.0")
    return _make_row(network, "half_up", "CMSIS-NN", found, published)


def _make_row(
    network: str, rounding: str, kernels: str, found: Profile, published: tuple[float, str]
) -> Row:
    constant = find_constant(BOARD)
    assert constant is not None
    costs = found.costs
    return Row(
        network=network,
        rounding=rounding,
        kernels=kernels,
        instructions=costs.instructions,
        flash_loads=costs.flash_loads,
        ram_loads=costs.ram_loads,
        core_cycles=costs.cycles or 0,
        board_cycles=predict(costs, constant),
        published_cycles=1e6 * published[0],
        published_by=published[1],
        toolchain=found.toolchain,
    )


def render_report(rows: list[Row], command: str) -> str:
    """The page with the tables."""
    constant = find_constant(BOARD)
    assert constant is not None
    parts = [
        "# What the board may need, estimated",
        f"Made by `{command}` with {rows[0].toolchain}.",
        f"Instructions and loads are counted on the emulated core ({EMULATED}). The core's cycles "
        "are an estimate by the published timings of the Cortex-M4 without wait states; the "
        f"board's are these and {constant.cycles_per_flash_load} cycles for each data load from "
        "flash. "
        f"That constant was {constant.source}; over these four, measured cycles were "
        f"{constant.error[0]:+g} .. {constant.error[1]:+g} % from such an estimate. "
        "Published cycles were measured by others on the board at 120 MHz.",
        "## tinyq's kernels beside the best published result",
        _render_table(
            [row for row in rows if row.kernels == "tinyq"], "best published, M cycles, measured"
        ),
    ]
    others = [row for row in rows if row.kernels != "tinyq"]
    if others:
        parts += [
            "## What the estimate is worth: CMSIS-NN beside its own published result",
            "CMSIS-NN as of July 2026, on the graphs as they were published. The published results "
            "are of its version of 2022, whose counts differ a little. The additions of ResNet-8, "
            "for which CMSIS-NN would need 2 million instructions more, are tinyq's here.",
            _render_table(others, "published, M cycles, measured"),
        ]
    return "\n\n".join([*parts, ""])


def _render_table(rows: list[Row], published: str) -> str:
    columns = ("network", "rounding", "M instructions, counted", "M flash loads, counted")
    columns += ("core, M cycles, estimated", "board, M cycles, estimated", "ms, estimated")
    columns += (published, "by", "estimate : published")
    lines: list[tuple[str, ...]] = [columns, tuple("---" for _ in columns)]
    lines += [
        (
            row.network,
            row.rounding,
            f"{row.instructions / 1e6:.3f}",
            f"{row.flash_loads / 1e6:.3f}",
            f"{row.core_cycles / 1e6:.3f}",
            f"{row.board_cycles / 1e6:.3f}",
            f"{row.board_cycles / 120e3:.2f}",
            f"{row.published_cycles / 1e6:.3g}",
            row.published_by,
            f"{row.ratio:.2f}",
        )
        for row in rows
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _earlier_rows(kernels: str) -> list[Row]:
    """Rows of the committed results, which stay until they are made again."""
    if not (RESULTS / "profiles.json").is_file():
        return []
    content = read_document(RESULTS / "profiles.json", "benchmark", "remove it: it is made again")
    return [Row(**row) for row in content["rows"] if row["kernels"] == kernels]


def main() -> None:
    """Profile, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cmsis-nn", type=Path, help="headers and one archive for Cortex-M4")
    options = parser.parse_args()
    if not options.data.is_dir():
        print("nothing to profile: pass --data DIR with the MLPerf Tiny models")
        return
    runs: list[tuple[str, Path | None]] = [("half_up", None), ("tflite", None)]
    if options.cmsis_nn:
        runs.append(("half_up", options.cmsis_nn))
    rows = []
    for network in PUBLISHED:
        for rounding, library in runs:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "out"
                rows.append(profile_network(network, options.data, path, rounding, library))
    if not options.cmsis_nn:
        rows += _earlier_rows("CMSIS-NN")
    rows.sort(key=lambda row: row.kernels != "tinyq")
    command = "python benchmarks/profiles.py --data ../shared/data/mlperf_tiny"
    command += " --cmsis-nn DIR" if any(row.kernels == "CMSIS-NN" for row in rows) else ""
    report = render_report(rows, command)
    content = {"command": command, "board": BOARD, "emulated": EMULATED}
    content |= {"rows": [asdict(row) for row in rows]}
    write_document(RESULTS / "profiles.json", "benchmark", content, 1)
    (RESULTS / "profiles.md").write_text(report, "utf-8")
    print(report)


if __name__ == "__main__":
    main()
