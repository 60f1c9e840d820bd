"""Whether generated C is what it was at an earlier commit, and how selection changed.

    python benchmarks/same_text.py --commit bc9ceec --graphs 200 --models DIR

Draws graphs with the earlier commit's own tests, adds the demo's network and the four networks of
MLPerf Tiny, and writes C for all of them in both trees, on all cores, balanced and speed. Texts are
compared by digest: comments, white space and the order of functions aside, and names brought to
today's by the table below (docs/decisions/0025). Where other kernels are chosen, the estimated
instructions of the whole network stand side by side; where kernels are the same and the text is
not, the first block that differs is named.

Writes benchmarks/results/same_text.json and same_text.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tinyq.support.documents import write_document  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
CORES = ("armv6m", "armv7m", "armv7em", "armv8m", "mve", "rv32", "avr")
OBJECTIVES = ("balanced", "speed")
NETWORKS = {
    "ResNet-8": "pretrainedResnet_quant.tflite",
    "DS-CNN": "kws_ref_model.tflite",
    "MobileNetV1": "vww_96_int8.tflite",
    "autoencoder": "ad01_int8.tflite",
}
# Old name -> new one, as regular expressions; whatever text they meet.
RENAMED = (
    (r"staged(rows|image|pixels)", r"sums\1"),
    (r"_i8_", "_int8_"),
    (r"\btq_units_", "tq_words_"),
    (r"\btq_list_units\b", "tq_list_pairs"),
    (r"\btq_widen_(?=[bu]\d)", "tq_unpack_"),
    (r"_widened\b", "_unpacked"),
    (r"(tq_\w+)_stage\b", r"\1_epilogue"),
    (r"\bstage\b", "epilogue"),
    (r"\bunit\b", "word"),
    (r"\bunits\b(?=[ ,;+)])", "pair_codes"),
    (r"\bstaged\b", "unpacked"),
    (r"\.c\.j2\b", ""),
    # Attributes, which are macros now and say what other people's flags must leave alone.
    (r"__attribute__\(\(naked, noinline\)\)", "TQ_NAKED"),
    (r"\s*__attribute__\(\(unused\)\)", ""),
)

# Runs in either tree: what differs between them is in the first lines of each.
NEW_HEAD = """
from tinyq.graph.storage import load_graph
from tinyq.graph.passes import simplify
from tinyq.importers.tflite import import_tflite
from tinyq.selection import Budget, choose_kernels, gather_candidates, plan_kernels, prefer_isas
from tinyq.codegen import emit

def make(graph, isas, objective):
    choice = choose_kernels(graph, gather_candidates(graph, isas), objective, BUDGET(Budget))
    memory = plan_kernels(graph, choice.bounds)
    kernels = {name: (it.kernel.name, it.instructions) for name, it in choice.bounds.items()}
    return emit(graph, memory, choice.bounds).files, kernels
"""
OLD_HEAD = """
from tinyq.storage import load_graph
from tinyq.passes import simplify
from tinyq.importers.tflite import import_tflite
from tinyq.codegen import (
    Budget, choose_kernels, emit, gather_candidates, plan_kernels, prefer_isas)

def make(graph, isas, objective):
    choice = choose_kernels(graph, gather_candidates(graph, isas), objective, BUDGET(Budget))
    memory = plan_kernels(graph, isas, choice.overrides)
    kernels = {it.node: (it.chosen.kernel, it.chosen.instructions) for it in choice.layers}
    return emit(graph, memory, isas, choice.overrides).files, kernels
"""
BODY = r"""
import hashlib, json, re, sys
from pathlib import Path

RENAMED = json.loads(sys.argv[3])

def BUDGET(kind):
    return kind(1 << 40, 1 << 40, 0, 0)

def rename(text):
    for old, new in RENAMED:
        text = re.sub(old, new, text)
    return text

def split(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    blocks = re.split(r"(?m)^(?:[}].*|#.*)$|\n\s*\n", rename(text))
    return sorted(filter(None, (re.sub(r"\s+", " ", it).strip() for it in blocks)))

def describe(name, graph, core, objective):
    isas = prefer_isas(core)
    try:
        files, kernels = make(graph, isas, objective)
    except Exception as error:
        return {"refused": type(error).__name__}
    blocks = {}
    for path, text in sorted(files.items()):
        if str(path).startswith("tq_"):
            continue  # headers of the runtime, which ship as they are
        for block in split(text):
            blocks[hashlib.sha256(block.encode()).hexdigest()[:16]] = block[:60]
    digest = hashlib.sha256(" ".join(sorted(blocks)).encode()).hexdigest()
    known = [number for _, number in kernels.values()]
    return {
        "digest": digest,
        "blocks": blocks,
        "kernels": {rename(key): rename(kernel) for key, (kernel, _) in kernels.items()},
        "instructions": None if None in known else sum(known),
    }

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
cores, objectives = json.loads(sys.argv[4])
found = {}
for path in sorted(folder.iterdir()):
    try:
        graph = load_graph(path) if path.suffix == ".tqg" else import_tflite(path)
        graph = simplify(graph)
    except Exception as error:  # sums that can leave 32 bits were not refused then
        found |= {
            f"{path.stem}/{core}/{objective}": {"refused": type(error).__name__}
            for core in cores for objective in objectives
        }
        continue
    for core in cores:
        for objective in objectives:
            key = f"{path.stem}/{core}/{objective}"
            found[key] = describe(path.stem, graph, core, objective)
out.write_text(json.dumps(found))
"""
DRAW = """
import sys
from pathlib import Path
import numpy as np
from tests.footprint import draw_demo_graph
from tests.random_graphs import draw_graph
from tinyq.storage import save_graph
folder = Path(sys.argv[1])
for index in range(int(sys.argv[2])):
    rng = np.random.default_rng([2026, index])
    save_graph(draw_graph(rng), folder / f"random_{index:03}.tqg")
save_graph(draw_demo_graph(), folder / "demo.tqg")
"""


def run(tree: Path, program: str, *words: str) -> None:
    """Run a program on the modules of a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program, *words], cwd=tree, env=environment, check=True)


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """One row: what became of a network on a core under an objective."""
    if "refused" in old or "refused" in new:
        both = (old.get("refused", "builds"), new.get("refused", "builds"))
        return {"outcome": "refused" if both[0] == both[1] else "refusal changed", "both": both}
    if old["digest"] == new["digest"]:
        return {"outcome": "equal text"}
    if old["kernels"] == new["kernels"]:
        gone = [text for key, text in old["blocks"].items() if key not in new["blocks"]]
        come = [text for key, text in new["blocks"].items() if key not in old["blocks"]]
        return {"outcome": "other text", "gone": gone[:4], "come": come[:4]}
    pairs = [
        f"{kernel} -> {new['kernels'].get(node)}"
        for node, kernel in old["kernels"].items()
        if new["kernels"].get(node) != kernel
    ]
    return {
        "outcome": "other kernels",
        "pairs": pairs,
        "before": old["instructions"],
        "after": new["instructions"],
    }


def write(rows: Mapping[str, Mapping[str, Any]], command: str, commit: str) -> None:
    """The table, and all that differs."""
    outcomes = sorted({row["outcome"] for row in rows.values()})
    kinds = ("demo", *NETWORKS, "random graphs")
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for key, row in rows.items():
        name = key.split("/")[0]
        kind = "random graphs" if name.startswith("random_") else name
        counts[kind][row["outcome"]] += 1
    lines = [
        f"`{command}`",
        "",
        f"Builds of each network on {', '.join(CORES)}, {' and '.join(OBJECTIVES)}: text against",
        f"that of {commit}, names of docs/decisions/0025, comments and white space aside.",
        "",
        f"| network | {' | '.join(outcomes)} |",
        f"|---|{'--:|' * len(outcomes)}",
    ]
    for kind, found in counts.items():
        if found:
            lines.append(f"| {kind} | {' | '.join(str(found[it]) for it in outcomes)} |")
    pairs = Counter(pair for row in rows.values() for pair in row.get("pairs", ()))
    lines += ["", "Kernels chosen otherwise, and how often:", ""]
    lines += [f"* {count} x {pair}" for pair, count in pairs.most_common(40)]
    changed = Counter(text for row in rows.values() for text in row.get("gone", ()))
    lines += ["", "Text that is another with the same kernels, by its first words:", ""]
    lines += [f"* {count} x `{text}`" for text, count in changed.most_common(40)]
    (RESULTS / "same_text.md").write_text("\n".join(lines) + "\n", "utf-8")
    content = {"command": command, "commit": commit, "rows": rows}
    write_document(RESULTS / "same_text.json", "benchmark", content, indent=1)
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> int:
    """Draw, write C in both trees, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commit", default="bc9ceec", help="the earlier commit")
    parser.add_argument("--graphs", type=int, default=200, help="how many random graphs")
    parser.add_argument("--models", type=Path, help="folder of MLPerf Tiny's .tflite files")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        tree, folder = Path(place) / "tree", Path(place) / "models"
        folder.mkdir()
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(tree), asked.commit], check=True)
        try:
            run(tree, DRAW, str(folder), str(asked.graphs))
            for name, file in NETWORKS.items() if asked.models else ():
                (folder / f"{name}.tflite").write_bytes((asked.models / file).read_bytes())
            words = json.dumps(RENAMED), json.dumps([CORES, OBJECTIVES])
            found = []
            for side, head in ((tree, OLD_HEAD), (ROOT, NEW_HEAD)):
                out = Path(place) / f"{len(found)}.json"
                run(side, head + BODY, str(folder), str(out), *words)
                found.append(json.loads(out.read_text("utf-8")))
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    rows = {key: compare(found[0][key], found[1][key]) for key in found[0]}
    command = f"python benchmarks/same_text.py --commit {asked.commit} --graphs {asked.graphs}"
    write(rows, command + (" --models DIR" if asked.models else ""), asked.commit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
