"""Every method that trains, by one network and one budget on Fashion-MNIST, down to the device.

    python benchmarks/methods.py --data fashion_mnist.npz [--seeds 3] [--only 'lsq*']

Rows are saved as they finish; a second run goes on where the first one stopped, and runs with
different --only may share a file. With --storage, a journal's path or a database's address as of
`tinyq search`, any number of runs of the same command share the rows, each row by one of them.
Writes methods.json, methods.md and two plots. Without the data the tables are only written anew.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from comparison.fashion import Budget, Progress, describe, digest, load_images
from comparison.pairs import Case, list_cases
from comparison.table import write_report

from tinyq.commands.cli import hush_tensorflow
from tinyq.errors import TinyqError
from tinyq.support.documents import read_document, write_document
from tinyq.support.locks import lock_folder

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TINYQ_DATA", ROOT.parent / "shared/data")) / "fashion_mnist.npz"
BASELINE = "tfmot int8+tfmot int8"


def parse_options() -> argparse.Namespace:
    defaults = Budget()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="x_train y_train x_test y_test")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--work", type=Path, default=ROOT / "build/methods")
    parser.add_argument("--seeds", type=int, default=3, help="the first goes down to the device")
    parser.add_argument(
        "--only", nargs="+", default=["*"], help="patterns of rows, such as 'lsq*+*/0'"
    )
    parser.add_argument("--again", action="store_true", help="measure rows that are there, too")
    parser.add_argument(
        "--rebuild", action="store_true", help="build and run rows that are there, without training"
    )
    parser.add_argument("--storage", help="journal or database by which several runs share rows")
    parser.add_argument("--threads", type=int, default=0, help="of TensorFlow; 0: its own choice")
    for name in ("float_epochs", "epochs", "train_samples", "test_samples", "device_samples"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(defaults, name))
    return parser.parse_args()


class Results:
    """The file of results: one run for each configuration, one row for each case."""

    def __init__(self, path: Path, configuration: dict[str, Any]) -> None:
        self.path, self.key = path, digest(configuration)
        empty = {"configuration": configuration, "machine": _machine(), "rows": {}}
        self.runs = {self.key: empty} | read_runs(path)

    @property
    def run(self) -> dict[str, Any]:
        """The run of this configuration."""
        return self.runs[self.key]

    def lacks(self, task: Task) -> bool:
        """Whether a row is missing, failed, or has formats that its methods no longer have."""
        self.runs |= read_runs(self.path)
        row = self.run["rows"].get(task.name)
        if row is None or "error" in row:
            return True
        return not all(row.get(key) == value for key, value in task.formats.items())

    def keep(self, name: str, row: dict[str, Any]) -> None:
        """Save one row at once; another run may be about to save its own."""
        with lock_folder(self.path.parent):
            self.runs |= read_runs(self.path)
            self.run["rows"][name] = row
            write_document(self.path, "benchmark", self.runs, 1)


def read_runs(path: Path) -> dict[str, Any]:
    """Runs of a file by the digest of their configuration; none if it is missing."""
    return (
        read_document(path, "benchmark", "choose another folder by --output")
        if path.is_file()
        else {}
    )


def _machine() -> str:
    import keras
    import tensorflow as tf

    processor = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return (
        f"{platform.system()} {platform.machine()}, {processor}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}"
    )


@contextmanager
def show(total: int) -> Iterator[tuple[Callable[[str], Progress], Callable[[str], None]]]:
    """Bars for the rows and for what the row at hand is doing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
        rows, stage = bars.add_task("rows", total=total), bars.add_task("", total=None)

        def begin(title: str) -> Progress:
            bars.reset(stage, description=title)
            return lambda done, whole: bars.update(stage, completed=done, total=whole)

        def finish(line: str) -> None:
            bars.print(line)
            bars.advance(rows)

        yield begin, finish


def run_rows(options: argparse.Namespace) -> None:
    """Measure what is missing and save each row."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    names = ("float_epochs", "epochs", "train_samples", "test_samples", "device_samples")
    budget = Budget(**{name: getattr(options, name) for name in names})
    train, test = load_images(options.data)
    train, test = train.take(budget.train_samples), test.take(budget.test_samples)
    facts = describe(budget, train, test)
    options.output.mkdir(parents=True, exist_ok=True)
    results = Results(options.output / "methods.json", facts)
    chosen = [
        task
        for task in _tasks(options.seeds)
        if any(fnmatchcase(task.name, pattern) for pattern in options.only)
    ]
    if options.rebuild:
        chosen = [_rebuilding(task, results) for task in chosen if not results.lacks(task)]
    always = options.again or options.rebuild
    # Runs that share rows must agree which these are, whatever is finished already.
    missing = [task for task in chosen if always or options.storage or results.lacks(task)]
    with show(len(missing)) as (begin, finish):
        from comparison.rows import Bench

        bench = Bench(budget, train, test, options.work, digest(facts), begin)

        def run_task(task: Task) -> dict[str, Any]:
            if always or results.lacks(task):
                _save_row(results, bench, task)
            row: dict[str, Any] = results.run["rows"][task.name]
            finish(f"{task.name}: {_describe(row)}")
            write_report(results.run, options.output)
            return row

        if options.storage:
            share_rows(options.storage, results.key, missing, run_task)
        else:
            for task in missing:
                run_task(task)


def share_rows(
    storage: str, key: str, tasks: Sequence[Task], run_task: Callable[[Task], dict[str, Any]]
) -> None:
    """Run tasks that other runs with the same storage have not taken.

    Args:
        storage: See `tinyq.exploration.trials.Trials`.
        key: Of the configuration.
        tasks: What is missing, whose names are shared.
        run_task: Gives a task's row.
    """
    from tinyq.exploration.budgets import Costs, Limits
    from tinyq.exploration.space import Assignment, Pair, Space
    from tinyq.exploration.trials import Trials

    if not tasks:
        return

    def evaluate(assignment: Assignment) -> tuple[float, float, Costs]:
        row = run_task(tasks[assignment[0]])
        if "error" in row:
            raise TinyqError(row["error"])
        accuracy = float(row.get("keras_accuracy", row.get("accuracy", 0.0)))
        names = ("flash_bytes", "ram_bytes", "instructions")
        return accuracy, 1.0 - accuracy, Costs(*(int(row.get(name, 0)) for name in names))

    names = [task.name for task in tasks]
    space = Space({"row": tuple(Pair(name, name) for name in names)})
    trials = Trials(storage, f"methods-{digest({'configuration': key, 'rows': names})}", space)
    trials.plan(lambda: [(at,) for at in range(len(tasks))])
    trials.run(evaluate, Limits(), None)


def _rebuilding(task: Task, results: Results) -> Task:
    """A task that takes what was trained to the device again."""
    from comparison.rows import measure_again

    row = results.run["rows"][task.name]
    if "flash_bytes" not in row:  # the float model, and seeds without a device
        return replace(task, measure=lambda bench: row)
    return replace(task, measure=lambda bench: measure_again(bench, row))


@dataclass(frozen=True, slots=True)
class Task:
    """A row to be measured.

    Attributes:
        name: Key of the row.
        measure: What measures it.
        formats: Fields that a finished row must have, lest it be of other methods.
    """

    name: str
    measure: Callable[[Any], dict[str, Any]]
    formats: Mapping[str, str] = field(default_factory=dict)


def _tasks(seeds: int) -> list[Task]:
    """All rows: baselines and every pair, then the accuracy of every pair by the other seeds."""
    from comparison.rows import measure_accuracy, measure_case, measure_float, measure_tfmot

    from tinyq.quantizers import find_activations, find_weights

    def of_case(case: Case) -> Task:
        if case.seed > 0:
            return Task(case.name, lambda bench: measure_accuracy(bench, case))
        formats = {
            "weight_format": find_weights(case.weights).format,
            "activation_format": find_activations(case.activations).format,
        }
        return Task(case.name, lambda bench: measure_case(bench, case).to_json(), formats)

    def of_float(number: int) -> Task:
        return Task(f"float/{number}", lambda bench: measure_float(bench, number))

    return [
        *(of_float(number) for number in range(seeds)),
        Task(f"{BASELINE}/0", lambda bench: measure_tfmot(bench, 0).to_json()),
        *(of_case(case) for case in list_cases(seeds)),
    ]


def _save_row(results: Results, bench: Any, task: Task) -> None:
    """Measure and save one row; a failure is a row that says why."""
    import keras

    try:
        row = task.measure(bench)
    except TinyqError as error:
        row = {"error": error.render()}
    keras.backend.clear_session()
    results.keep(task.name, row)


def _describe(row: dict[str, Any]) -> str:
    return row.get("error") or f"{row.get('keras_accuracy', row.get('accuracy')):.2%}"


def main() -> None:
    options = parse_options()
    if options.storage and (options.again or options.rebuild):
        sys.exit("error: rows that are shared are measured once: leave --again and --rebuild out")
    if options.data.is_file():
        run_rows(options)
        return
    print("nothing to measure: pass --data FILE with Fashion-MNIST as an .npz file")
    for run in list(read_runs(options.output / "methods.json").values())[-1:]:
        write_report(run, options.output)


if __name__ == "__main__":
    hush_tensorflow()
    try:
        main()
    except TinyqError as error:
        sys.exit(error.render())
