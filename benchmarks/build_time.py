"""How long `tinyq build` takes, now and at an earlier commit, in turns.

    python benchmarks/build_time.py --commit bc9ceec --board mps2-an386 MODEL.tflite ...

Every model is built by both trees one after the other, several times; the least time of each
counts: of the clock, and of the processors that worked for it (compiler included), which other
programs of the machine hardly change.

Writes benchmarks/results/build_time.json and build_time.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tinyq.support.documents import write_document  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"


def build(tree: Path, model: Path, board: str, out: Path) -> tuple[float, float]:
    """Seconds of the clock and of processors that one build takes."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    words = ["-m", "tinyq", "build", str(model), "--board", board, "-o", str(out)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, env=environment, capture_output=True, text=True
    )
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{model.name} is not built in {tree}:\n{done.stderr[-2000:]}")
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, busy


def main() -> int:
    """Build in turns and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--commit", default="bc9ceec", help="the earlier commit")
    parser.add_argument("--board", default="mps2-an386")
    parser.add_argument("--times", type=int, default=5, help="builds of each model by each tree")
    asked = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as place:
        old, git = Path(place) / "tree", ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(old), asked.commit], check=True)
        try:
            for model in (path.resolve() for path in asked.models):
                found = [
                    [build(tree, model, asked.board, Path(place) / f"out_{side}")]
                    for _ in range(asked.times)
                    for side, tree in enumerate((old, ROOT))
                ]
                sides = [[one for (one,) in found[side::2]] for side in (0, 1)]
                least = [[min(one[kind] for one in side) for kind in (0, 1)] for side in sides]
                rows[model.stem] = {"before": least[0], "now": least[1]}
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)
    names = " ".join(path.name for path in asked.models)
    command = (
        f"python benchmarks/build_time.py --commit {asked.commit} --board {asked.board} "
        f"--times {asked.times} {names}"
    )
    load = os.getloadavg()[1]
    about = f"{os.cpu_count()} processors, load {load:.0f}; least of {asked.times}."
    head = "s | now: s | ratio", "processor s | now | ratio"
    lines = [
        f"`{command}`, {about}",
        "",
        f"| model | {asked.commit}: {head[0]} | {asked.commit}: {head[1]} |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        cells = [f"{row['before'][k]:.1f} | {row['now'][k]:.1f}" for k in (0, 1)]
        ratios = [row["now"][k] / row["before"][k] for k in (0, 1)]
        lines.append(f"| {name} | {cells[0]} | {ratios[0]:.2f} | {cells[1]} | {ratios[1]:.2f} |")
    (RESULTS / "build_time.md").write_text("\n".join(lines) + "\n", "utf-8")
    content = {"command": command, "load": os.getloadavg(), "rows": rows}
    write_document(RESULTS / "build_time.json", "benchmark", content, indent=1)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
