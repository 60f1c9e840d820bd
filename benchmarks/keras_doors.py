"""What other people's Keras files become: loaded all, quantized once for each set of layers.

python benchmarks/keras_doors.py LIST [--out TABLE.json] [--page PAGE.md] [--load-only]

LIST is a folder, which is searched, or a text file with one path a line (columns after a tab are
left alone). Every file is loaded as `tinyq quantize` loads it; a file of Keras 2 is compared there
with what Keras 2 computes. Of the files with the same kinds of layers, strides and activations in
the same order the one with the fewest pixels is quantized with two random samples; Keras' codes are
held against the reference's, layer by layer, and generated C against the reference. What was tried
is kept in TABLE.json and is not tried again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import traceback
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = (".keras", ".h5")
Row = dict[str, Any]


def list_files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    lines = source.read_text("utf-8").splitlines()
    paths = [Path(line.split("\t")[0]) for line in lines if line.strip()]
    return [path for path in paths if path.suffix.lower() in SUFFIXES]


def describe_layers(path: Path) -> str | None:
    """A digest of the layers in a file; None where it holds weights alone or cannot be read."""
    import h5py

    try:
        if path.suffix.lower() == ".h5":
            with h5py.File(path) as file:
                text = file.attrs.get("model_config")
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.read("config.json")
        config = json.loads(text) if text else None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    layers = list(_layers(config)) if config else []
    return hashlib.sha256(repr(layers).encode()).hexdigest()[:12] if layers else None


def _layers(value: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        inner = value.get("config")
        if isinstance(value.get("class_name"), str) and isinstance(inner, dict) and "name" in inner:
            facts = (inner.get("strides"), inner.get("activation"), inner.get("function"))
            yield (value["class_name"], *map(str, facts))
        for one in value.values():
            yield from _layers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _layers(one)


def guarded(action: Callable[[], Row]) -> Row:
    from tinyq.errors import TinyqError

    try:
        return action()
    except TinyqError as error:
        return {"state": "refused", "reason": error.message, "remedy": error.remedy}
    except Exception:  # a fault of tinyq, which the table shows
        return {"state": "fault", "reason": traceback.format_exc().strip().splitlines()[-1]}


def load(path: Path) -> Row:
    from tinyq.importers.float_models import load_float_model

    model = load_float_model(path)
    shapes = [[length or 16 for length in tensor.shape[1:]] for tensor in model.inputs]
    return {"state": "loads", "shapes": shapes, "outputs": len(model.outputs)}


def quantize(path: Path) -> Row:
    import numpy as np

    from tests.harness import compile_model, named_differences
    from tinyq.codegen import emit
    from tinyq.graph.reference import quantize_input
    from tinyq.importers.float_models import load_float_model
    from tinyq.memory.planner import plan
    from tinyq.training import post_training
    from tinyq.training.lowering.agreement import compare_layers
    from tinyq.training.lowering.network import import_keras, lower_keras

    model = load_float_model(path)
    rng = np.random.default_rng(0)
    inputs = [
        rng.random((2, *(length or 16 for length in tensor.shape[1:])), np.float32)
        for tensor in model.inputs
    ]
    data = inputs if len(inputs) > 1 else inputs[0]
    quantized = post_training(model, data)
    agreement = compare_layers(quantized, lower_keras(quantized), data, 2)
    graph = import_keras(quantized)
    codes = {
        name: quantize_input(values[:1], graph.tensors[name].type)
        for name, values in zip(graph.inputs, inputs, strict=True)
    }
    program = compile_model(emit(graph, plan(graph)), "gcc", ("-O1",))
    keras_differs = sum(layer.differing for layer in agreement)
    c_differs = named_differences(graph, program, codes)
    state = "differs" if keras_differs or c_differs else "exact"
    return {"state": state, "keras_differs": keras_differs, "c_differs": c_differs}


def run(files: list[Path], out: Path, load_only: bool) -> dict[str, Row]:
    rows: dict[str, Row] = json.loads(out.read_text("utf-8"))["files"] if out.is_file() else {}
    names = name_files(files)

    def keep() -> None:
        scratch = out.with_suffix(".new")
        scratch.write_text(json.dumps({"schema": 1, "files": rows}, indent=1) + "\n", "utf-8")
        scratch.replace(out)

    for path in files:
        row = rows.setdefault(names[path], {})
        if "load" not in row:
            row |= {"layers": describe_layers(path), "load": guarded(lambda path=path: load(path))}
            print(f"{names[path]}: {row['load']['state']}", file=sys.stderr)
            keep()
    for path in () if load_only else _representatives(files, rows, names):
        row = rows[names[path]]
        if "quantize" not in row:
            row["quantize"] = guarded(lambda path=path: quantize(path))
            print(f"{names[path]}: {row['quantize']['state']}", file=sys.stderr)
            keep()
    return rows


def _representatives(files: list[Path], rows: dict[str, Row], names: dict[Path, str]) -> list[Path]:
    """The smallest file of each set of layers, small ones first."""
    sets: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for path in files:
        row = rows[names[path]]
        if row["load"]["state"] == "loads":
            pixels = sum(_product(shape) for shape in row["load"]["shapes"])
            sets[row["layers"]].append((pixels, path))
    return [path for _, path in sorted(min(one) for one in sets.values())]


def _product(shape: list[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def name_files(files: list[Path]) -> dict[Path, str]:
    """Paths below the folder that all files share."""
    shared = os.path.commonpath([path.parent for path in files]) if files else ""
    return {path: str(path.relative_to(shared)) for path in files}


def summarize(rows: dict[str, Row]) -> Iterator[str]:
    loads = Counter(row["load"]["state"] for row in rows.values())
    share = 100 * loads["loads"] / max(len(rows), 1)
    yield f"{len(rows)} files: {loads['loads']} load ({share:.0f} %)"
    causes = Counter(
        (_plain(row["load"]["reason"]), str(row["load"].get("remedy")))
        for row in rows.values()
        if row["load"]["state"] != "loads"
    )
    for (reason, remedy), count in causes.most_common():
        yield f"{count:5} refused: {reason}; remedy: {remedy}"
    sets = {row["layers"] for row in rows.values() if row["load"]["state"] == "loads"}
    tried = {row["layers"]: row["quantize"] for row in rows.values() if "quantize" in row}
    states = Counter(found["state"] for found in tried.values())
    yield f"{len(sets)} sets of layers: {len(tried)} tried, " + ", ".join(
        f"{count} {state}" for state, count in states.most_common()
    )
    covered = sum(
        row["load"]["state"] == "loads" and tried.get(row["layers"], {}).get("state") == "exact"
        for row in rows.values()
    )
    yield f"{covered} files have the layers of a network that was found exact"
    for row in tried.values():
        if row["state"] not in ("exact",):
            yield f"      {row['state']}: {_plain(str(row.get('reason')))}"


def _plain(reason: str) -> str:
    """A reason without the names and numbers that only one file has."""
    return re.sub(r"layer '[^']*'", "layer '…'", reason)[:160]


def write_page(rows: dict[str, Row], page: Path) -> None:
    lines = [
        "# What other people's Keras files become",
        "",
        "    python benchmarks/keras_doors.py LIST --page benchmarks/results/doors_keras.md",
        "",
        "Files of public repositories, loaded as `tinyq quantize` does. One of each set of layers "
        "is quantized with two random samples; exact: no code differs between Keras, reference "
        "and C.",
        "",
        "```",
        *summarize(rows),
        "```",
        "",
        "| file | loads | quantized |",
        "|---|---|---|",
    ]
    for name, row in sorted(rows.items()):
        state = row["load"]["state"]
        loaded = state if state == "loads" else f"{state}: {_plain(row['load']['reason'])[:70]}"
        quantized = row.get("quantize", {}).get("state", "-")
        lines.append(f"| {name.replace('|', '/')} | {loaded.replace('|', '/')} | {quantized} |")
    page.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/doors_keras.json"))
    parser.add_argument("--page", type=Path, help="write the tables to this file, too")
    parser.add_argument("--load-only", action="store_true", help="quantize nothing")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    warnings.simplefilter("ignore")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = run(list_files(options.list), options.out, options.load_only)
    print("\n".join(summarize(rows)))
    if options.page:
        write_page(rows, options.page)


if __name__ == "__main__":
    main()
