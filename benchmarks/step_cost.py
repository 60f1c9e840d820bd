"""Cost of a training step: every method without extra machinery beside the float model and tfmot.

    python benchmarks/step_cost.py [--rounds 40] [--threads 1] [--only 'lsq*+*']

All models have the network of methods.py and random images. A round times one step of the float
model right before one step of the other, so that what else the machine does meets both; the figures
are medians of the quotients, by the clock and by the processor time of this process, which stands
still while others run. Writes step_cost.json and step_cost.md.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from comparison.fashion import CLASSES, INPUT, build_network
from comparison.pairs import Case, list_cases

from tinyq.commands.cli import hush_tensorflow
from tinyq.errors import DataError
from tinyq.support.documents import read_document, write_document

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python benchmarks/step_cost.py"
BATCH, WARM_STEPS, LIMIT = 128, 3, 1.3
TFMOT = "8-bit wrapper of tfmot, beside tf_keras' float model"
WHY = (
    "What is above sorts the weights of each group in every step (`fgq`), or chooses signs of sums "
    "and fits their basis (`lq_nets`)."
)
Step = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """A training step beside that of the float model.

    Attributes:
        name: Methods of the inner layers, or the baseline.
        seconds: Median of its steps.
        float_seconds: Median of the float model's steps, taken in turn with them.
        ratio: Median of the quotients.
        processor_ratio: The same of processor time, over all threads.
    """

    name: str
    seconds: float
    float_seconds: float
    ratio: float
    processor_ratio: float


def make_step(model: Any, optimizer: Any, loss: Any) -> Step:
    """One step of training on a batch of random images."""
    model.compile(optimizer, loss)
    random = np.random.default_rng(0)
    x = random.random((BATCH, 28, 28, 1), np.float32)
    y = random.integers(0, CLASSES, BATCH)

    def step() -> Any:
        return model.train_on_batch(x, y)

    for _ in range(WARM_STEPS):
        step()
    return step


def compare(name: str, step: Step, baseline: Step, rounds: int) -> Cost:
    """Time two steps in turn."""
    pairs = [(_time(baseline), _time(step)) for _ in range(rounds)]
    return Cost(
        name,
        statistics.median(own.clock for _, own in pairs),
        statistics.median(other.clock for other, _ in pairs),
        statistics.median(own.clock / other.clock for other, own in pairs),
        statistics.median(own.processor / other.processor for other, own in pairs),
    )


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long something took.

    Attributes:
        clock: By the wall clock.
        processor: Processor time of this process.
    """

    clock: float
    processor: float


def _time(step: Step) -> Seconds:
    clock, processor = time.perf_counter(), time.process_time()
    step()
    return Seconds(time.perf_counter() - clock, time.process_time() - processor)


def plain_cases() -> list[Case]:
    """Pairs of methods that only quantize: no noise, penalty, update or schedule."""
    from tinyq.quantizers import find_weights
    from tinyq.quantizers.procedure import Procedure
    from tinyq.quantizers.weights import WeightParts

    def is_plain(name: str) -> bool:
        parts = find_weights(name)
        return isinstance(parts, WeightParts) and parts.procedure == Procedure()

    return [case for case in list_cases(1) if is_plain(case.weights)]


def measure_tfmot(rounds: int) -> Cost:
    """The wrapper of tfmot beside the float model of tf_keras."""
    from tinyq.importers.tfmot import load_tfmot

    tf_keras, tfmot = load_tfmot()
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    legacy = tf_keras.optimizers.legacy.Adam
    network = build_network(tf_keras)
    wrapped = tfmot.quantization.keras.quantize_model(build_network(tf_keras))
    steps = [make_step(model, legacy(), loss) for model in (wrapped, network)]
    return compare(TFMOT, *steps, rounds)


def measure_cases(cases: list[Case], rounds: int) -> Iterator[Cost]:
    """Methods beside the float model."""
    import keras

    from tinyq.training import quantize

    float_model = build_network(keras)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    baseline = make_step(float_model, keras.optimizers.Adam(), loss)
    for case in cases:
        recipe = {"weights": case.weights, "activations": case.activations, "input": INPUT}
        model = quantize(float_model, recipe)
        step = make_step(model, keras.optimizers.Adam(), loss)
        yield compare(_name(case), step, baseline, rounds)


def _name(case: Case) -> str:
    return f"{case.weights} weights, {case.activations} activations"


def measure_all(cases: list[Case], rounds: int) -> list[Cost]:
    """tfmot, then the cases, each printed as it comes."""
    costs = []
    for cost in chain([measure_tfmot(rounds)], measure_cases(cases, rounds)):
        print(f"{cost.ratio:.2f} {cost.processor_ratio:.2f} {cost.name}", flush=True)
        costs.append(cost)
    return costs


@dataclass(frozen=True, slots=True)
class Setting:
    """What all rows of one file share.

    Attributes:
        machine: System, threads and versions.
        rounds: Steps of each model.
        batch: Images of a step.
    """

    machine: str
    rounds: int
    batch: int = BATCH


def describe(rounds: int, threads: int) -> Setting:
    """The setting of this run."""
    import keras
    import tensorflow as tf

    machine = (
        f"{platform.system()} {platform.machine()}, {threads or 'all'} TensorFlow threads, "
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    )
    return Setting(machine, rounds)


def read_costs(path: Path, setting: Setting) -> dict[str, Cost]:
    """Rows of a file by name; none if it is missing.

    Raises:
        DataError: They were measured in another setting.
    """
    if not path.is_file():
        return {}
    content = read_document(path, "benchmark", "choose another folder by --output")
    if any(content[key] != value for key, value in asdict(setting).items()):
        raise DataError(
            "has rows of another machine, number of rounds or threads",
            where=str(path),
            remedy="measure all rows anew, without --only, or give another --output",
        )
    return {row["name"]: Cost(**row) for row in content["rows"]}


def write_report(costs: list[Cost], setting: Setting, threads: int, output: Path) -> None:
    """Write step_cost.json and step_cost.md."""
    ours = [cost for cost in costs if cost.name != TFMOT]
    above = [cost.name for cost in ours if min(cost.ratio, cost.processor_ratio) > LIMIT]
    verdict = f"Above {LIMIT:g}: {'; '.join(above)}." if above else f"None is above {LIMIT:g}."
    lines = [
        "# Cost of a training step",
        "",
        f"`{COMMAND} --threads {threads}` on {setting.machine}. The network of "
        f"[methods.md](methods.md), batch {setting.batch}, Adam; {setting.rounds} steps of each "
        "model, in turn with the float model's. "
        "Listed are the methods that only quantize, without noise, penalty, update after the step "
        f"or schedule. {verdict} {WHY if above else ''}".rstrip(),
        "",
        "| model | step ms | float step ms | quotient, clock | quotient, processor time |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {cost.name} | {1e3 * cost.seconds:.1f} | {1e3 * cost.float_seconds:.1f} "
            f"| {cost.ratio:.2f} | {cost.processor_ratio:.2f} |"
            for cost in costs
        ),
    ]
    output.mkdir(parents=True, exist_ok=True)
    (output / "step_cost.md").write_text("\n".join(lines) + "\n", "utf-8")
    rows = [asdict(cost) for cost in costs]
    content = {"command": COMMAND, **asdict(setting), "rows": rows}
    write_document(output / "step_cost.json", "benchmark", content, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow; 0: its own choice")
    parser.add_argument(
        "--only", nargs="+", default=[], help="patterns of rows, such as 'lsq*+*'; tfmot always is"
    )
    options = parser.parse_args()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    setting = describe(options.rounds, options.threads)
    cases = plain_cases()
    chosen = [case for case in cases if _is_chosen(case, options.only or ["*"])]
    path = options.output / "step_cost.json"
    costs = read_costs(path, setting) if options.only else {}
    costs |= {cost.name: cost for cost in measure_all(chosen, options.rounds)}
    order = [name for name in (TFMOT, *map(_name, cases)) if name in costs]
    write_report([costs[name] for name in order], setting, options.threads, options.output)


def _is_chosen(case: Case, patterns: list[str]) -> bool:
    return any(fnmatchcase(f"{case.weights}+{case.activations}", each) for each in patterns)


if __name__ == "__main__":
    hush_tensorflow()
    main()
