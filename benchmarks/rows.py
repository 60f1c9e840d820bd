"""Networks with and without chains by rows: arena, instructions, answers of an emulated Cortex-M4.

    python benchmarks/rows.py MODEL[:ARENA] ...
    python benchmarks/rows.py --beside DIR

ARENA is the limit in bytes; without one the arena is as small as `--optimize ram` makes it. Each
model is built by `--optimize balanced` without chains, then with them, and answers of both are
compared with the reference. Adds to benchmarks/results/rows.json and writes rows.md.

With ``--beside`` the files of ST's model zoo in a folder are planned for 0.8 of the RAM that ST
publishes for them (README tables, X-CUBE-AI 8.1, input and output within the activations); their
instructions are estimates. Adds to benchmarks/results/rows_beside.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tinyq.codegen import emit  # noqa: E402
from tinyq.firmware.build import build  # noqa: E402
from tinyq.graph import Graph, reference  # noqa: E402
from tinyq.graph.interface import pack_codes, unpack_codes  # noqa: E402
from tinyq.graph.passes import simplify  # noqa: E402
from tinyq.hardware.boards import find_board  # noqa: E402
from tinyq.models import load_model  # noqa: E402
from tinyq.project import capacities  # noqa: E402
from tinyq.selection import (  # noqa: E402
    Budget,
    Choice,
    Fusion,
    choose_kernels,
    fuse_layers,
    gather_candidates,
    plan_kernels,
    prefer_isas,
)
from tinyq.support.documents import read_document, write_document  # noqa: E402
from tinyq.targets import open_link  # noqa: E402

RESULTS = ROOT / "benchmarks/results"
EMULATED = "mps2-an386"
# Total RAM of ST's library, KiB, by file.
PUBLISHED = {
    "resnet_v1_8_32_tfs": 52.8,
    "st_yolo_lc_v1_192": 167,
    "st_yolo_lc_v1_224": 219,
    "st_yolo_lc_v1_256": 280,
    "fdmobilenet_0.25_128_tfs": 65.4,
    "fdmobilenet_0.25_224_tfs": 166,
    "resnet_v1_32_32_tfs": 70.4,
    "mobilenet_v2_0.35_128_fft": 258,
    "mobilenet_v2_0.35_224_fft": 719,
    "st_fdmobilenet_v1_128_tfs": 85.0,
    "st_fdmobilenet_v1_224_tfs": 221,
    "mobilenet_v1_0.5_224_fft": 423,
    "mobilenet_v1_0.25_96_grayscale_tfs": 59.6,
    "mobilenet_v1_0.25_96_fft": 68.6,
    "mobilenet_v1_0.25_224_fft": 221,
    "st_mnist_v1_28_tfs": 18.6,
    "squeezenetv1.1_128_tfs": 259,
    "squeezenetv1.1_224_tfs": 859,
    "yamnet_256_64x96_tl": 117,
    "miniresnet_1stacks_64x50_tl": 65.3,
    "miniresnet_2stacks_64x50_tl": 68.3,
}
SHARE, ROOM = 0.8, 1.03
BESIDE = """
## Beside ST's published RAM

`python benchmarks/rows.py --beside DIR`: arenas for at most 0.8 of ST's total RAM, or 1.03 times
the input where that is more; the nearest above where that cannot be had. Instructions are estimates
of the same kind on both sides.

| model | ST B | arena B without | with | of ST's | estimated instructions: ratio | chains |
|---|--:|--:|--:|--:|--:|--:|
"""
HEAD = """# Chains of layers by rows

`python benchmarks/rows.py MODEL[:ARENA] …`: arenas as planned for a Cortex-M4, instructions counted
by QEMU (mps2-an386), answers compared with the reference. Without chains: `balanced`. With chains:
the arena that was asked for by `balanced`, or the smallest (`--optimize ram`: at most 1.3 times the
instructions that it takes without chains, by estimates).

| model | asked B | arena B without | with | ratio | M instructions without | with | ratio | \
layers of chains | codes that differ |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A network with and without chains.

    Attributes:
        model: Name of its file.
        asked: Arena that was asked for; 0 for the smallest.
        arena: Bytes without and with chains.
        proven: Whether no plan with these chains and kernels needs fewer bytes.
        instructions: Counted, without and with.
        chains: Layers of each chain.
        mismatches: Codes of the outputs that differ from the reference's.
    """

    model: str
    asked: int
    arena: tuple[int, int]
    proven: bool
    instructions: tuple[int, int]
    chains: tuple[int, ...]
    mismatches: int


def measure(path: Path, asked: int) -> Row:
    """Build a model twice and run it."""
    graph, isas = simplify(load_model(path)), prefer_isas("armv7em")
    candidates = gather_candidates(graph, isas)
    plain = choose_kernels(graph, candidates)
    objective = "balanced" if asked else "ram"
    budget = Budget(ram_bytes=asked)
    fused = fuse_layers(graph, candidates, objective, budget, Fusion(isas))
    first, second = run(graph, plain), run(graph, fused)
    memory = plan_kernels(graph, fused.bounds, fused.chains)
    return Row(
        path.stem,
        asked,
        (plan_kernels(graph, plain.bounds).arena_bytes, memory.arena_bytes),
        memory.proven,
        (first[0], second[0]),
        tuple(len(chain.members) for chain in fused.chains),
        first[1] + second[1],
    )


@dataclass(frozen=True, slots=True)
class Beside:
    """A network beside what ST publishes.

    Attributes:
        model: Name of its file.
        published: Bytes of ST's library, all in all.
        arena: Bytes without and with chains.
        instructions: Estimated, without and with.
        chains: Layers of each chain.
    """

    model: str
    published: int
    arena: tuple[int, int]
    instructions: tuple[int, int]
    chains: tuple[int, ...]


def compare(path: Path) -> Beside:
    """Plan a model for a share of ST's RAM."""
    graph, isas = simplify(load_model(path)), prefer_isas("armv7em")
    published = round(PUBLISHED[path.stem] * 1024)
    candidates = gather_candidates(graph, isas)
    plain = choose_kernels(graph, candidates)
    inputs = sum(graph.tensors[name].type.packed_bytes for name in graph.inputs)
    budget = Budget(ram_bytes=max(round(SHARE * published), round(ROOM * inputs)))
    fused = fuse_layers(graph, candidates, "balanced", budget, Fusion(isas))
    arenas = (plan_kernels(graph, it.bounds, it.chains).arena_bytes for it in (plain, fused))
    before, after = arenas
    chains = tuple(len(chain.members) for chain in fused.chains)
    return Beside(path.stem, published, (before, after), (plain.cycles, fused.cycles), chains)


def run(graph: Graph, choice: Choice) -> tuple[int, int]:
    """Instructions of an inference, and codes that differ from the reference's."""
    board = find_board(EMULATED)
    memory = plan_kernels(graph, choice.bounds, choice.chains)
    files = emit(graph, memory, choice.bounds).files
    draw = np.random.default_rng(1)
    given = {
        name: draw.integers(-128, 128, (1, *graph.tensors[name].type.shape))
        for name in graph.inputs
    }
    codes = {
        name: np.clip(it, graph.tensors[name].type.format.lo, graph.tensors[name].type.format.hi)
        for name, it in given.items()
    }
    codes = {name: it.astype(np.int32) for name, it in codes.items()}
    wanted = reference.run_named_batched(graph, codes)
    with tempfile.TemporaryDirectory(prefix="tinyq-rows-") as folder:
        image = build(files, board, Path(folder) / "out", capacities(graph, board))
        with closing(open_link(image, "qemu", counting=True)) as link:
            found = unpack_codes(graph, graph.outputs, link.infer(pack_codes(graph, codes)))
            counts = link.instruction_counts()
    assert counts is not None, "counting was asked for"
    wrong = sum(int((found[name] != wanted[name]).sum()) for name in graph.outputs)
    return counts.per_run, wrong


def write_page(rows: Sequence[Row], beside: Sequence[Beside]) -> str:
    """The results as tables."""
    lines = [*HEAD.splitlines(), *map(_write_row, rows)]
    if beside:
        shares = sorted(it.arena[1] / it.published for it in beside)
        middle = f"Median of {len(shares)} files: {np.median(shares):.3f} of ST's RAM."
        lines += [*BESIDE.splitlines(), *map(_write_beside, beside), "", middle]
    return "\n".join(lines) + "\n"


def _write_beside(it: Beside) -> str:
    (before, after), (first, second) = it.arena, it.instructions
    cells = (
        it.model,
        f"{it.published:,}",
        f"{before:,}",
        f"{after:,}",
        f"{after / it.published:.2f}",
        f"{second / first:.3f}",
        ", ".join(map(str, it.chains)) or "-",
    )
    return f"| {' | '.join(cells)} |"


def _write_row(it: Row) -> str:
    (before, after), (first, second) = it.arena, it.instructions
    cells = (
        it.model,
        f"{it.asked:,}" if it.asked else "smallest",
        f"{before:,}",
        f"{after:,}" + ("" if it.proven else " (not proven)"),
        f"{after / before:.2f}",
        f"{first / 1e6:.2f}",
        f"{second / 1e6:.2f}",
        f"{second / first:.3f}",
        ", ".join(map(str, it.chains)) or "-",
        str(it.mismatches),
    )
    return f"| {' | '.join(cells)} |"


def main(words: Sequence[str] | None = None) -> None:
    """Measure models and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL[:ARENA]")
    parser.add_argument("--beside", type=Path, help="Folder with ST's files.")
    arguments = parser.parse_args(words)
    for word in arguments.models:
        path, _, asked = word.partition(":")
        row = measure(Path(path), int(asked or 0))
        keep("rows", f"{row.model}:{row.asked}", asdict(row))
    for path in sorted(arguments.beside.glob("*.t*")) if arguments.beside else ():
        if path.stem in PUBLISHED and path.stem not in read("rows_beside"):
            keep("rows_beside", path.stem, asdict(compare(path)))
    rows = [Row(**it) for it in read("rows").values()]
    beside = [Beside(**it) for it in read("rows_beside").values()]
    (RESULTS / "rows.md").write_text(write_page(rows, beside))


def read(name: str) -> dict[str, dict[str, object]]:
    """Results of earlier runs."""
    store = RESULTS / f"{name}.json"
    if not store.is_file():
        return {}
    return dict(read_document(store, "benchmark", "run benchmarks/rows.py anew")["rows"])


def keep(name: str, key: str, content: dict[str, object]) -> None:
    """Add a result to those of earlier runs."""
    print(content, flush=True)
    known = read(name) | {key: content}
    content = {"rows": {it: known[it] for it in sorted(known)}}
    write_document(RESULTS / f"{name}.json", "benchmark", content)


if __name__ == "__main__":
    main()
