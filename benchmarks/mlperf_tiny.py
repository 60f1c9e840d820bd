"""The four MLPerf Tiny networks: flash, RAM, accuracy, MACs, instructions; beside published sizes.

    python benchmarks/mlperf_tiny.py --data DIR

DIR has the int8 models and the inputs. Writes benchmarks/results/mlperf_tiny.json and .md. Without
the data there is nothing to measure, and the script says so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.mlperf_tiny import DATA, load_inputs  # noqa: E402
from tinyq.graph import reference  # noqa: E402
from tinyq.graph.passes import simplify  # noqa: E402
from tinyq.hardware.boards import find_board  # noqa: E402
from tinyq.importers.tflite import import_tflite  # noqa: E402
from tinyq.measurement.run import measure  # noqa: E402
from tinyq.measurement.scoring import Output, score  # noqa: E402
from tinyq.project import Selection, create_project  # noqa: E402
from tinyq.selection import GENERIC  # noqa: E402
from tinyq.support.datasets import Dataset  # noqa: E402
from tinyq.support.documents import write_document  # noqa: E402

RESULTS = ROOT / "benchmarks/results"
BOARD, EMULATED = "nucleo-l4r5zi", "mps2-an386"
ROUNDINGS = ("half_up", "tflite")
SAMPLES = 3  # on the emulator
NETWORKS: Mapping[str, tuple[str, str]] = {
    "KWS DS-CNN": ("kws_ref_model", "kws_inputs.npz"),
    "IC ResNet-8": ("pretrainedResnet_quant", "ic_inputs.npz"),
    "VWW MobileNetV1 0.25": ("vww_96_int8", "vww_inputs.npz"),
    "AD autoencoder": ("ad01_int8", "ad_normal_windows.f32"),
}


@dataclass(frozen=True, slots=True)
class Published:
    """Sizes that others give for a network.

    Attributes:
        st_image_bytes: Whole image of ST, MLPerf Tiny v1.2 on the NUCLEO-L4R5ZI.
        hale_image_bytes: Whole image of Bosch HALE, in the same round on the same board.
        tflm_arena_kb: Arena of TensorFlow Lite Micro with CMSIS-NN.
    """

    st_image_bytes: int
    hale_image_bytes: int
    tflm_arena_kb: float


PUBLISHED: Mapping[str, Published] = {
    "KWS DS-CNN": Published(82_274, 70_356, 22.8),
    "IC ResNet-8": Published(192_973, 154_636, 55.0),
    "VWW MobileNetV1 0.25": Published(109_416, 298_972, 100.7),
    "AD autoencoder": Published(303_412, 309_940, 2.6),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One network under one rounding rule.

    Attributes:
        network: Its name.
        rounding: Rule of the import.
        inputs: How many inputs the accuracies and the comparison with LiteRT are over.
        accuracy: Share of inputs that the reference gets right; None without labels.
        litert_accuracy: The same for LiteRT's reference kernels.
        differing_codes: Output codes in which the reference and LiteRT differ.
        codes: Output codes in all.
        macs_before: Multiply-accumulates of the file.
        macs_after: The same after simplification.
        flash_bytes: Code and constants of the image, kernels as `tinyq build` chooses them.
        generic_flash_bytes: The same with the portable kernels alone, which unroll nothing.
        ram_bytes: Variables and stack reserve of that image.
        arena_bytes: Activations, part of ram_bytes.
        arena_proven: Whether no smaller arena exists.
        instructions: Mean instructions of one inference on the emulated core.
        emulated_inputs: Inputs behind that mean.
        mismatches: Output codes in which the emulated device and the reference differ.
        toolchain: Compiler of both images.
    """

    network: str
    rounding: str
    inputs: int
    accuracy: float | None
    litert_accuracy: float | None
    differing_codes: int
    codes: int
    macs_before: int
    macs_after: int
    flash_bytes: int
    generic_flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    arena_proven: bool
    instructions: float | None
    emulated_inputs: int
    mismatches: int
    toolchain: str


def run_litert(path: Path, inputs: np.ndarray) -> np.ndarray:
    """Output codes of LiteRT's reference kernels."""
    from ai_edge_litert import interpreter as litert

    kind = litert.OpResolverType.BUILTIN_REF
    interpreter = litert.Interpreter(str(path), experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for sample in inputs:
        interpreter.set_tensor(source["index"], sample.reshape(source["shape"]).astype(np.int8))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target["index"]).reshape(-1))
    return np.stack(answers).astype(np.int32)


def measure_network(network: str, data: Path, folder: Path) -> list[Row]:
    """Both rules of one network."""
    model, inputs = NETWORKS[network]
    path = data / f"models/{model}.tflite"
    rows = []
    litert: np.ndarray | None = None
    for rounding in ROUNDINGS:
        graph = import_tflite(path, rounding)
        simple = simplify(graph)
        codes, labels = load_inputs(data / inputs, graph)
        litert = run_litert(path, codes) if litert is None else litert
        outputs = reference.run_batched(simple, codes, 16)
        answer = Output(simple, simple.output.name)
        # The first inputs as real numbers, which the measurement quantizes to the same codes.
        meaning = graph.input.type
        real = (codes[:SAMPLES] - meaning.zero_point) * float(meaning.scale or 1.0)
        few = Dataset(real, None if labels is None else labels[:SAMPLES])
        emulated = create_project(graph, find_board(EMULATED), folder / "emulated")
        measured = measure(emulated, "qemu", few)
        board = find_board(BOARD)
        project = create_project(graph, board, folder / "board")
        generic = create_project(graph, board, folder / "generic", kernels=Selection(GENERIC))
        rows.append(
            Row(
                network=network,
                rounding=rounding,
                inputs=len(codes),
                accuracy=None if labels is None else score(answer, outputs, labels),
                litert_accuracy=None if labels is None else score(answer, litert, labels),
                differing_codes=int((outputs.reshape(litert.shape) != litert).sum()),
                codes=litert.size,
                macs_before=sum(graph.macs(node) for node in graph.nodes),
                macs_after=sum(simple.macs(node) for node in simple.nodes),
                flash_bytes=project.image.flash_bytes,
                generic_flash_bytes=generic.image.flash_bytes,
                ram_bytes=project.image.ram_bytes,
                arena_bytes=project.plan.arena_bytes,
                arena_proven=project.plan.proven,
                instructions=measured.instructions,
                emulated_inputs=measured.samples,
                mismatches=measured.mismatches,
                toolchain=project.image.toolchain,
            )
        )
    return rows


def render_table(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def render_report(rows: list[Row], command: str) -> str:
    """The page with the tables."""
    sizes: list[tuple[object, ...]] = []
    for row in rows:
        others = PUBLISHED[row.network]
        sizes.append(
            (
                row.network,
                row.rounding,
                f"{row.flash_bytes:,}",
                f"{row.generic_flash_bytes:,}",
                f"{others.st_image_bytes:,}",
                f"{others.hale_image_bytes:,}",
                f"{row.ram_bytes:,}",
                f"{row.arena_bytes:,}{' (optimal)' if row.arena_proven else ''}",
                f"{others.tflm_arena_kb} KB",
            )
        )
    size_columns = ("network", "rounding", "flash", "flash, portable kernels", "image ST")
    size_columns += ("image HALE", "RAM", "arena")
    run_columns = ("network", "rounding", "inputs", "correct", "LiteRT", "codes that differ")
    run_columns += ("MACs before", "after", f"instructions on {EMULATED}", "mismatches")
    return "\n\n".join(
        (
            "# The MLPerf Tiny networks",
            f"Made by `{command}` with {rows[0].toolchain}.",
            f"Bytes of the image for `{BOARD}`: firmware with serial protocol, model and stack "
            "reserve. Kernels are chosen as `tinyq build` does by default (balanced); they may "
            "keep weights arranged for them and take more flash than portable ones. RAM holds "
            "one input and one output of the protocol, the "
            "stack and the arena. Published: images of ST X-CUBE-AI and Bosch HALE in MLPerf Tiny "
            "v1.2, arena of TensorFlow Lite Micro with CMSIS-NN; the rest of those images is not "
            "known.",
            render_table((*size_columns, "arena TFLM"), sizes),
            f"Answers of the reference on every input, beside LiteRT's reference kernels; "
            f"instructions are the mean of {SAMPLES} inputs, counted in QEMU, and no cycles. "
            "Mismatches are output codes in which the emulated device differs from the reference.",
            render_table(run_columns, [_run_cells(row) for row in rows]),
            "",
        )
    )


def _run_cells(row: Row) -> tuple[object, ...]:
    shares = [
        "no labels" if share is None else f"{share:.2%}"
        for share in (row.accuracy, row.litert_accuracy)
    ]
    return (
        row.network,
        row.rounding,
        row.inputs,
        *shares,
        f"{row.differing_codes:,} of {row.codes:,}",
        f"{row.macs_before:,}",
        f"{row.macs_after:,}",
        "" if row.instructions is None else f"{row.instructions:,.0f}",
        row.mismatches,
    )


def ask_data(description: str | None) -> Path | None:
    """The folder that the option --data names; None, and a message, where there is none."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=DATA)
    data: Path = parser.parse_args().data
    if data.is_dir():
        return data
    print("nothing to measure: pass --data DIR with the MLPerf Tiny models and inputs")
    return None


def main() -> None:
    """Measure, print and write the tables."""
    data = ask_data(__doc__)
    if data is None:
        return
    rows = []
    for network in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure_network(network, data, Path(folder))
    command = "python benchmarks/mlperf_tiny.py --data ../shared/data/mlperf_tiny"
    report = render_report(rows, command)
    RESULTS.mkdir(exist_ok=True)
    content = {"command": command, "board": BOARD, "emulated": EMULATED}
    published = {name: asdict(entry) for name, entry in PUBLISHED.items()}
    content |= {"rows": [asdict(row) for row in rows], "published": published}
    write_document(RESULTS / "mlperf_tiny.json", "benchmark", content, 1)
    (RESULTS / "mlperf_tiny.md").write_text(report, "utf-8")
    print(report)


if __name__ == "__main__":
    main()
