"""Each named method of search on a small network: its recipe, trained, built and emulated.

    python benchmarks/searches.py            write results/searches.json and .md

A float network of four layers tells stripes of three directions apart. Each method of the catalogue
searches on it for the emulated STM32 by its own parts and space; trials train for one epoch. What
was finished before is read from the results.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from tests.searched import (  # noqa: E402
    BOARD,
    COMPARED,
    SEARCHES,
    count_trials,
    draw_stripes,
    search_and_measure,
    train_small,
)
from tinyq.support.documents import read_document, write_document  # noqa: E402

RESULTS = Path(__file__).parent / "results"


def tabulate(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The table for people."""
    differ = sum(row["differ"] + row["keras"] for row in rows.values())
    lines = [
        "# Methods that choose bits, each to its end",
        "",
        f"{len(rows)} of {len(SEARCHES)} named methods of search on a network of four layers,",
        f"{BOARD}; of {COMPARED} images {differ} codes differ between Keras, reference and the",
        "emulated device. Score by the images that it trains on. The best trial that is not",
        "the base; trials train for one epoch. `python benchmarks/searches.py`.",
        "",
        "| method | sensitivity | allocator | trials | pairs refused | score % | flash B | RAM B |"
        " instructions | foreseen | layers |",
        "|--|--|--|--:|--:|--:|--:|--:|--:|--:|--|",
    ]
    for name in SEARCHES:
        if name in rows:
            row = rows[name]
            cells = [
                name,
                row["sensitivity"],
                row["allocator"],
                str(row["trials"]),
                str(row["refused"]),
                f"{100 * row['score']:.1f}",
                f"{row['flash_bytes']:,}",
                f"{row['ram_bytes']:,}",
                f"{row['instructions']:,.0f}",
                f"{row['foreseen']:,}",
                ", ".join(row["methods"].values()),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="methods; all when none are given")
    names = parser.parse_args().names or list(SEARCHES)
    path = RESULTS / "searches.json"
    rows = read_document(path, "benchmark", "remove it")["methods"] if path.exists() else {}
    data = draw_stripes()
    model = train_small(*data)
    for name in names:
        if name in rows:
            continue
        with tempfile.TemporaryDirectory(prefix="tinyq-searches-") as place:
            rows[name] = search_and_measure(name, model, data, Path(place), count_trials(name))
        print(f"{name}: {rows[name]}", flush=True)
        write_document(path, "benchmark", {"methods": rows}, indent=1)
        (RESULTS / "searches.md").write_text(tabulate(rows), "utf-8")


if __name__ == "__main__":
    main()
