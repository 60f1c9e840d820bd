"""One row of the comparison: train with a method, build, run on the emulated device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from comparison.fashion import BOARD, INPUT, OTHER_SAMPLES, Budget, Progress, build_network
from comparison.pairs import Case
from tinyq.graph import Graph, reference
from tinyq.graph.interface import pack_codes, unpack_codes
from tinyq.graph.storage import load_graph
from tinyq.hardware.boards import find_board
from tinyq.importers.tfmot import import_tfmot, load_tfmot
from tinyq.measurement.run import measure
from tinyq.measurement.scoring import Output
from tinyq.measurement.scoring import score as score_codes
from tinyq.project import GRAPH, Project, Selection, build_for_host, create_project, open_project
from tinyq.quantizers import find_weights
from tinyq.support.datasets import Dataset
from tinyq.targets import open_link
from tinyq.training import quantize
from tinyq.training.fitting import Schedule, fit, score, seed
from tinyq.training.lowering.agreement import compare_layers
from tinyq.training.lowering.network import import_keras, lower_keras

Stage = Callable[[str], Progress]
DEFAULT = "balanced"
COMPARED_SAMPLES = 256


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rows share.

    Attributes:
        budget: Samples and epochs.
        train: Training images.
        test: Test images.
        folder: Gets float models and build folders.
        digest: Of the configuration.
        stage: Shows what goes on; gives a progress function for it.
    """

    budget: Budget
    train: Dataset
    test: Dataset
    folder: Path
    digest: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class Row:
    """What one method came to.

    Attributes:
        entry: Row of the catalogue.
        weights: Method of the inner layers' weights.
        activations: Method of their inputs.
        seed: Of everything random.
        weight_format: Format of the weights' codes.
        activation_format: Format of the activations' codes.
        activation_levels: How many codes an activation can have.
        keras_accuracy: Share of the test images that the quantized Keras model gets right.
        host_accuracy: The same for the generated C on this machine.
        keras_differing: Logit codes in which that C and Keras differ, over all test images; None
            where the Keras model does not compute the deployed integers.
        layer_differing: Codes in which Keras and the reference differ, over all layers and 256
            images; None as above.
        device_accuracy: Share of the first test images that the emulated device gets right.
        device_samples: How many those are.
        mismatches: Output codes in which the device and the reference differ.
        flash_bytes: Whole image, kernels as they are chosen by default.
        ram_bytes: Variables and stack reserve of that image.
        instructions: Mean of one inference.
        fast_flash_bytes: Whole image, kernels chosen for speed.
        fast_instructions: Mean of one inference with them.
        compact_flash_bytes: Whole image, kernels chosen for size.
        compact_instructions: Mean of one inference with them.
        weight_bytes: Constants of all layers, packed.
        zero_share: Share of the inner layers' weights that are 0.
        step_seconds: Median of a training step, batch of the budget.
    """

    entry: str
    weights: str
    activations: str
    seed: int
    weight_format: str
    activation_format: str
    activation_levels: int
    keras_accuracy: float
    host_accuracy: float
    keras_differing: int | None
    layer_differing: int | None
    device_accuracy: float
    device_samples: int
    mismatches: int
    flash_bytes: int
    ram_bytes: int
    instructions: float
    fast_flash_bytes: int
    fast_instructions: float
    compact_flash_bytes: int
    compact_instructions: float
    weight_bytes: int
    zero_share: float
    step_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class StepTimer(keras.callbacks.Callback):
    """Seconds of each training step but the first, which compiles."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._begin = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start the clock."""
        del batch, logs
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop it."""
        del batch, logs
        self.seconds.append(time.perf_counter() - self._begin)

    def median(self) -> float:
        """Median of the steps."""
        return statistics.median(self.seconds[1:])


def train_float(bench: Bench, number: int) -> keras.Model:
    """The float model of a seed, trained once and kept in the folder."""
    path = bench.folder / f"float-{bench.digest}-{number}.keras"
    if not path.is_file():
        seed(number)
        model = build_network(keras)
        budget = bench.budget
        schedule = Schedule(budget.float_epochs, budget.float_rate, budget.batch_size)
        fit(model, bench.train, schedule, bench.stage("float model"))
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return keras.models.load_model(path)


def measure_float(bench: Bench, number: int) -> dict[str, Any]:
    """The float model after as many epochs more as every method gets."""
    model, timer = train_float(bench, number), StepTimer()
    before = score(model, bench.test)
    _train_on(bench, model, number, timer)
    return {
        "seed": number,
        "start_accuracy": before,
        "accuracy": score(model, bench.test),
        "parameters": model.count_params(),
        "step_seconds": timer.median(),
    }


def measure_accuracy(bench: Bench, case: Case) -> dict[str, Any]:
    """Train on with a pair of methods and let Keras answer the test images.

    Raises:
        TinyqError: The pair cannot be trained.
    """
    model, timer = _train_case(bench, case)
    return {
        **asdict(case),
        "keras_accuracy": score(model, bench.test),
        "step_seconds": timer.median(),
    }


def measure_case(bench: Bench, case: Case) -> Row:
    """Train on with a pair of methods and take the result to the device.

    Raises:
        TinyqError: The pair cannot be trained or built.
    """
    model, timer = _train_case(bench, case)
    lowered, graph = lower_keras(model), import_keras(model)
    layers = compare_layers(model, lowered, bench.test.take(COMPARED_SAMPLES).x)
    inner = [layer for layer in model.layers if hasattr(layer, "weight_quantizer")][1:-1]
    zeros = np.concatenate([_values(layer).ravel() == 0 for layer in inner])
    activations = inner[0].input_encoding()
    return Row(
        **asdict(case),
        weight_format=find_weights(case.weights).format,
        activation_format=activations.format.name,
        activation_levels=_levels(activations),
        layer_differing=sum(layer.differing for layer in layers),
        **_deploy(bench, case, graph, lambda: _keras_codes(model, graph, bench.test.x)),
        zero_share=float(zeros.mean()),
        step_seconds=timer.median(),
    )


def _train_case(bench: Bench, case: Case) -> tuple[Any, StepTimer]:
    """The quantized model of a pair, and how long its steps took."""
    recipe = {"weights": case.weights, "activations": case.activations, "input": INPUT}
    model, timer = quantize(train_float(bench, case.seed), recipe), StepTimer()
    _train_on(bench, model, case.seed, timer)
    return model, timer


def _train_on(bench: Bench, model: Any, number: int, timer: StepTimer) -> None:
    seed(number)
    budget = bench.budget
    schedule = Schedule(budget.epochs, budget.rate, budget.batch_size)
    fit(model, bench.train, schedule, bench.stage("training"), [timer])


def _values(layer: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(layer.weight_quantizer.quantized(layer.kernel)))


def _levels(encoding: Any) -> int:
    """How many codes there are: those listed, or all of a range."""
    if encoding.levels:
        return len(encoding.levels)
    span = encoding.highest - encoding.format.lo
    return int(span // encoding.format.step + 1)


def _keras_codes(model: Any, graph: Graph, x: np.ndarray) -> np.ndarray:
    """Logit codes of the Keras model's inference."""
    values = model.predict(x, batch_size=256, verbose=0).astype(np.float64)
    output = graph.output.type
    return np.rint(values / float(output.scale)).astype(np.int64) + output.zero_point


def _deploy(
    bench: Bench, case: Case, graph: Graph, keras_codes: Callable[[], np.ndarray | None]
) -> dict[str, Any]:
    """Everything about a graph that runs: accuracies, agreement, sizes, instructions."""
    facts = _measure_builds(bench, case, graph)
    project = open_project(_folder(bench, case) / DEFAULT)
    answers, labels = _answer_on_host(project, bench.test.x), bench.test.y
    expected = keras_codes()
    accuracy = score_codes(Output(graph, graph.output.name), answers, labels)
    return {
        "keras_accuracy": accuracy if expected is None else _score(expected, labels),
        "host_accuracy": accuracy,
        "keras_differing": None if expected is None else int((answers != expected).sum()),
        **facts,
    }


def measure_again(bench: Bench, row: dict[str, Any]) -> dict[str, Any]:
    """A row with the images of today's kernels, from the graph that its build folder keeps.

    Raises:
        TinyqError: The build folder is gone.
    """
    case = Case(**{key: row[key] for key in ("entry", "weights", "activations", "seed")})
    graph = load_graph(_folder(bench, case) / "size" / GRAPH)
    return {**row, **_measure_builds(bench, case, graph)}


def _measure_builds(bench: Bench, case: Case, graph: Graph) -> dict[str, Any]:
    """The images of a graph on the emulated device, by each objective."""
    board, folder = find_board(BOARD), _folder(bench, case)
    samples = bench.test.take(bench.budget.device_samples)
    few = samples.take(OTHER_SAMPLES)
    found = {}
    for objective in (DEFAULT, "speed", "size"):
        kernels = Selection(optimize=objective)
        project = create_project(graph, board, folder / objective, kernels=kernels)
        asked = samples if objective == DEFAULT else few
        found[objective] = measure(project, "qemu", asked, bench.stage("device"))
    device, fast, compact = found.values()
    return {
        "device_accuracy": device.accuracy["device"],
        "device_samples": device.samples,
        "mismatches": sum(measurement.mismatches for measurement in found.values()),
        "flash_bytes": device.flash_bytes,
        "ram_bytes": device.ram_bytes,
        "instructions": device.instructions,
        "fast_flash_bytes": fast.flash_bytes,
        "fast_instructions": fast.instructions,
        "compact_flash_bytes": compact.flash_bytes,
        "compact_instructions": compact.instructions,
        "weight_bytes": sum(layer.weight_bytes for layer in compact.layers),
    }


def _folder(bench: Bench, case: Case) -> Path:
    return bench.folder / "build" / case.name.replace("/", "-")


def _score(codes: np.ndarray, labels: np.ndarray) -> float:
    return float((codes.argmax(axis=-1) == labels).mean())


def _answer_on_host(project: Project, x: np.ndarray) -> np.ndarray:
    """Output codes of the generated C, compiled for this machine."""
    graph = project.graph
    codes = reference.quantize_input(x, graph.input.type)
    packed = pack_codes(graph, {graph.input.name: codes})
    with closing(open_link(build_for_host(project), "host")) as link:
        parts = [link.infer(packed[start : start + 32]) for start in range(0, len(packed), 32)]
    return unpack_codes(graph, graph.outputs, np.concatenate(parts))[graph.output.name]


def measure_tfmot(bench: Bench, number: int) -> Row:
    """8-bit quantization-aware training by tfmot, from the same float model by the same budget."""
    tf_keras, tfmot = load_tfmot()
    tf_keras.utils.set_random_seed(number)
    network = build_network(tf_keras)
    network.set_weights(train_float(bench, number).get_weights())
    model = tfmot.quantization.keras.quantize_model(network)
    budget, steps = bench.budget, -(-len(bench.train) // bench.budget.batch_size)
    rate = tf_keras.optimizers.schedules.CosineDecay(budget.rate, budget.epochs * steps)
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.legacy.Adam(rate), loss)
    timer, clock = StepTimer(), tf_keras.callbacks.LambdaCallback
    own = clock(on_batch_begin=timer.on_train_batch_begin, on_batch_end=timer.on_train_batch_end)
    train, progress = bench.train, bench.stage("training")
    for epoch in range(budget.epochs):
        model.fit(train.x, train.y, budget.batch_size, verbose=0, callbacks=[own])
        progress(epoch + 1, budget.epochs)
    case = Case("tfmot", "tfmot int8", "tfmot int8", number)
    graph = import_tfmot(model, name="tfmot")
    deployed = _deploy(bench, case, graph, lambda: None)
    predicted = model.predict(bench.test.x, batch_size=256, verbose=0)
    weights = [
        graph.tensors[node.inputs[1]].codes for node in graph.nodes if node.op.kernel == "conv2d"
    ]
    return Row(
        **asdict(case),
        weight_format="s8",
        activation_format="s8",
        activation_levels=256,
        layer_differing=None,
        **{**deployed, "keras_accuracy": _score(predicted, bench.test.y)},
        zero_share=float(np.concatenate([(codes == 0).ravel() for codes in weights[1:]]).mean()),
        step_seconds=timer.median(),
    )
