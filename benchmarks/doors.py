"""What other people's model files become: which are taken, whether exactly, why others are refused.

python benchmarks/doors.py LIST [--out TABLE.json] [--page PAGE.md] [--samples 3] [--seconds 300]

LIST is a folder, which is searched, or a text file with one path a line (columns after a tab are
left alone). Every file runs in a process of its own with a limit of time; what was tried is kept in
TABLE.json and is not tried again unless the file or tinyq's version of the table changes, so a run
can be broken off at any point. The table by causes is printed at the end.

* ``.tflite``: imported by ``--rounding tflite`` and held against LiteRT on random codes, byte for
  byte; with LiteRT's default kernels where its reference kernels refuse the file. One with a state
  sees sequences of steps; one with an unknown custom operator is cut before it, which is said.
* ``.keras``, ``.h5``, and ``.tflite`` without integer activations: quantized after training with
  random samples, then Keras' codes held against the reference's, layer by layer.

A file is of a kind: ``integer``, ``float``, ``state`` (kept between calls) or ``custom`` (operators
that only its author's runtime has).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUFFIXES = (".tflite", ".lite", ".tfl", ".keras", ".h5")
_INTEGER, _FLOAT, _STATE, _CUSTOM = "integer", "float", "state", "custom"
_STATEFUL = {"ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE", "SVDF"}
_STEPS = 5  # of a sequence
_EXACT, _DIFFERS, _TAKEN, _REFUSED, _FAULT = "exact", "differs", "taken", "refused", "fault"


def list_files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    lines = source.read_text("utf-8").splitlines()
    return [Path(line.split("\t")[0]) for line in lines if line.strip()]


def try_file(path: Path, samples: int) -> dict[str, Any]:
    """What becomes of one file, in this process."""
    from tinyq.errors import TinyqError

    kind = _FLOAT
    try:
        if path.suffix.lower() in (".keras", ".h5"):
            return {"kind": kind, **_try_keras(path, samples)}
        kind = _kind_of(path)
        found = _try_keras(path, samples) if kind == _FLOAT else _try_tflite(path, samples)
        return {"kind": kind, **found}
    except TinyqError as error:
        return {
            "kind": kind,
            "state": _REFUSED,
            "reason": error.message,
            "where": (error.where or "").removeprefix(str(path)).lstrip(", "),
            "remedy": error.remedy,
        }


def _kind_of(path: Path) -> str:
    """By the operators of all subgraphs, and the types of what they compute."""
    import tflite

    from tinyq.importers.tflite.convert import computes_floats
    from tinyq.importers.tflite.reader import read_model

    names = {number: name for name, number in vars(tflite.BuiltinOperator).items()}
    content = path.read_bytes()
    if content[4:8] == b"TFL3":
        model = tflite.Model.GetRootAs(content, 0)
        codes = map(model.OperatorCodes, range(model.OperatorCodesLength()))
        found = {str(names[max(it.DeprecatedBuiltinCode(), it.BuiltinCode())]) for it in codes}
        if found & _STATEFUL:
            return _STATE
        if "CUSTOM" in found:
            return _CUSTOM
    return _FLOAT if computes_floats(read_model(path)) else _INTEGER


def _try_tflite(path: Path, samples: int) -> dict[str, Any]:
    import numpy as np

    from tinyq.graph import reference
    from tinyq.importers.tflite import import_tflite
    from tinyq.importers.tflite.litert import run_layers

    cut = _cut_custom(path)
    graph = import_tflite(path, "tflite", cut)
    facts = _weigh(graph)
    if cut:
        facts["cut"] = ", ".join(cut.outputs)
    rng = np.random.default_rng(0)
    codes = {}
    for name in graph.inputs:
        kind = graph.tensors[name].type
        lo, hi = kind.format.lo, kind.format.hi
        steps = (_STEPS,) if graph.states else ()
        codes[name] = rng.integers(lo, hi, (samples, *steps, *kind.shape), np.int32, endpoint=True)
    run = reference.run_sequences if graph.states else reference.run_named
    found = {name: np.asarray(one) for name, one in run(graph, codes).items()}
    try:
        expected = run_layers(path, graph, codes, cut)
    except Exception as error:  # LiteRT raises what it likes
        return {"state": _TAKEN, "reason": f"LiteRT: {_last_line(error)}", **facts}
    differing = sum(
        int((found[name] != expected[name].reshape(found[name].shape)).sum())
        for name in graph.outputs
    )
    return {"state": _DIFFERS if differing else _EXACT, "differing": differing, **facts}


def _cut_custom(path: Path) -> Any:
    """Before the first operators that only their author's runtime has; nowhere if there are none.

    The outputs are what such operators read and others compute.
    """
    from tinyq.graph.cutting import WHOLE, Cut
    from tinyq.importers.tflite.reader import read_model
    from tinyq.importers.tflite.registry import find_importers

    model, known = read_model(path), find_importers()
    unknown = [
        it for it in model.operators if it.name.startswith("CUSTOM") and it.name not in known
    ]
    left_out = {index for operator in unknown for index in operator.outputs}
    computed: list[int] = []
    for operator in model.operators:
        if operator in unknown or left_out.intersection(operator.inputs):
            left_out.update(operator.outputs)
        else:
            computed += operator.outputs
    read = {index for it in model.operators if it in unknown for index in it.inputs}
    ends = [index for index in computed if index in read or index in model.outputs]
    if not unknown or not ends:
        return WHOLE
    return Cut((), tuple(model.tensors[index].name for index in ends))


def _try_keras(path: Path, samples: int) -> dict[str, Any]:
    import numpy as np

    from tinyq.importers.float_models import load_float_model
    from tinyq.training.lowering.agreement import compare_layers
    from tinyq.training.lowering.network import lower_keras
    from tinyq.training.post_training import PostTraining, post_training

    model = load_float_model(path)
    rng = np.random.default_rng(0)
    inputs = {}
    for tensor in model.inputs:
        shape = (max(samples, 4), *(length or 16 for length in tensor.shape[1:]))
        is_real = str(tensor.dtype).startswith("float")
        inputs[tensor.name] = (
            rng.random(shape, np.float32) if is_real else rng.integers(0, 2, shape, np.int32)
        )
    x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    quantized = post_training(model, x, PostTraining())
    graph = lower_keras(quantized)
    differing = sum(layer.differing for layer in compare_layers(quantized, graph, x))
    state = _DIFFERS if differing else _EXACT
    return {"state": state, "differing": differing, **_weigh(graph)}


def _weigh(graph: Any) -> dict[str, int]:
    """Bytes of the arena and of the constants, MACs: planned, not measured."""
    from tinyq.graph.passes import simplify
    from tinyq.memory.planner import plan

    small = simplify(graph)
    return {
        "arena_bytes": plan(small).arena_bytes,
        "constant_bytes": sum(small.constant_bytes(node) for node in small.nodes),
        "macs": sum(small.macs(node) for node in small.nodes),
    }


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def run_apart(path: Path, samples: int, seconds: int) -> dict[str, Any]:
    """The same in a process of its own, which may hang, crash or be killed for memory."""
    command = [sys.executable, __file__, str(path), "--one", "--samples", str(samples)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"state": _FAULT, "reason": f"took more than {seconds} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return {"state": _FAULT, "reason": f"exit code {done.returncode}: {last[:300]}"}
    return dict(json.loads(lines[-1]))


def run_all(files: list[Path], out: Path, options: argparse.Namespace) -> dict[str, Any]:
    rows: dict[str, Any] = json.loads(out.read_text("utf-8"))["files"] if out.is_file() else {}
    head = {"document": "benchmark", "schema": 1}
    for index, path in enumerate(files):
        key = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        if options.again and not re.search(options.again, rows.get(key, {}).get("reason", "x")):
            continue
        if key in rows and not options.again:
            continue
        found = run_apart(path, options.samples, options.seconds)
        rows[key] = {"file": _name(path, options.root), "suffix": path.suffix.lower(), **found}
        print(f"{index + 1}/{len(files)} {rows[key]['file']}: {found['state']}", file=sys.stderr)
        scratch = out.with_suffix(".new")
        scratch.write_text(json.dumps({**head, "files": rows}, indent=1) + "\n", "utf-8")
        scratch.replace(out)
    return rows


def _name(path: Path, root: Path | None) -> str:
    """Repository, folder and file: the path below ``root``, or its last three parts."""
    if root is not None and path.is_relative_to(root):
        return str(path.relative_to(root))
    return "/".join(path.parts[-3:])


def summarize(rows: dict[str, Any]) -> Iterator[str]:
    """The counts of each kind of file, then the causes."""
    for kind in (_INTEGER, _FLOAT, _STATE, _CUSTOM):
        chosen = [row for row in rows.values() if row.get("kind", _INTEGER) == kind]
        if not chosen:
            continue
        states = Counter(row["state"] for row in chosen)
        taken = states[_EXACT] / len(chosen)
        yield f"{kind}: {len(chosen)} files, {taken:.0%} exact; " + ", ".join(
            f"{count} {state}" for state, count in states.most_common()
        )
        causes = Counter(_cause(row) for row in chosen if row["state"] not in (_EXACT,))
        yield from (f"{count:5} {cause}" for cause, count in causes.most_common())


def write_page(rows: dict[str, Any], page: Path, command: str) -> None:
    """The tables by causes, by repository and by files, as a page."""
    lines = ["# What other people's model files become", "", f"    {command}", ""]
    lines += ["`exact`: an integer file is imported with `--rounding tflite` and the codes of its"]
    lines += [
        "outputs equal LiteRT's on random inputs, byte for byte; a float file is quantized after"
    ]
    lines += [
        "training with random inputs, and the codes of all layers of the Keras model equal those"
    ]
    lines += [
        "of the integer graph. Arena and constants are planned and counted, not measured.",
        "",
    ]
    lines += ["```", *summarize(rows), "```", "", *_list_repositories(rows), ""]
    lines += [
        "| file | kind | becomes | MACs | arena B | constants B |",
        "|---|---|---|--:|--:|--:|",
    ]
    for row in sorted(rows.values(), key=lambda row: str(row["file"])):
        sizes = (row.get(key) for key in ("macs", "arena_bytes", "constant_bytes"))
        cells = ["-" if size is None else f"{size:,}" for size in sizes]
        state = row["state"] if row["state"] == _EXACT else f"{row['state']}: {_shorten(row)}"
        state += f", cut at {row['cut'][:60]}" if "cut" in row else ""
        lines.append(f"| {row['file']} | {row['kind']} | {state} | {' | '.join(cells)} |")
    page.write_text("\n".join(lines) + "\n", "utf-8")


def _list_repositories(rows: dict[str, Any]) -> Iterator[str]:
    yield "| repository | files | exact | taken | differ | refused | fault | arena | constants, B |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows.values():
        groups.setdefault(str(row["file"]).partition("/")[0], []).append(row)
    for name, chosen in sorted(groups.items()):
        states = Counter(row["state"] for row in chosen)
        counts = [states[state] for state in (_EXACT, _TAKEN, _DIFFERS, _REFUSED, _FAULT)]
        spans = [
            f"{min(sizes):,} - {max(sizes):,}" if sizes else "-"
            for key in ("arena_bytes", "constant_bytes")
            for sizes in [[row[key] for row in chosen if key in row]]
        ]
        yield f"| {name} | {len(chosen)} | {' | '.join(map(str, counts))} | {' | '.join(spans)} |"


def _shorten(row: dict[str, Any]) -> str:
    return str(row.get("reason") or f"{row.get('differing')} codes")[:90].replace("|", "/")


def _cause(row: dict[str, Any]) -> str:
    """A reason without the numbers and names that only one file has."""
    reason = re.sub(r"'[^']*'", "'…'", row.get("reason", ""))
    return f"{row['state']}: {re.sub(r'[0-9]+', 'N', reason)[:110]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/doors.json"))
    parser.add_argument("--page", type=Path, help="write the tables to this file, too")
    parser.add_argument("--root", type=Path, help="name files by their path below this folder")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--again", help="try files again whose reason matches this expression")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(try_file(options.list, options.samples)))
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = run_all(list_files(options.list), options.out, options)
    print("\n".join(summarize(rows)))
    if options.page:
        command = f"python benchmarks/doors.py LIST --samples {options.samples}"
        write_page(rows, options.page, command)


if __name__ == "__main__":
    main()
