"""A search from a float model to recipes, and the derivatives that it goes by."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.stats import kendalltau

import tinyq
from tinyq.api.search import Searched
from tinyq.errors import DataError, ModelError, TinyqError
from tinyq.exploration.allocators import find_allocator
from tinyq.exploration.budgets import Costs, Limits
from tinyq.exploration.front import find_front
from tinyq.exploration.network import Network
from tinyq.exploration.proxies import find_proxy
from tinyq.exploration.result import describe, draw_page, write_results
from tinyq.exploration.search import Found, Wish
from tinyq.exploration.sensitivities.gradients import Curvature
from tinyq.exploration.sensitivities.hessian import estimate_eigenvalues, estimate_traces
from tinyq.exploration.sensitivities.second_order import average_gradients, foretell
from tinyq.exploration.space import Pair, Space, read_space
from tinyq.exploration.table import Table
from tinyq.exploration.trials import Trial
from tinyq.measurement.profile.energy import Pace
from tinyq.support.datasets import make_dataset
from tinyq.training import read_recipe

L = keras.layers
ROOT = Path(__file__).resolve().parents[2]
SPACE = {"layers": {"*": ["int8", {"weights": "ternary", "activations": "int8"}]}}


def dense_network(classes: int = 3, activation: str = "relu") -> Network:
    keras.utils.set_random_seed(5)
    start = keras.Input((6,))
    hidden = L.Dense(8, activation=activation, name="hidden")(start)
    model = keras.Model(start, L.Dense(classes, name="answer")(hidden))
    x = np.random.default_rng(2).normal(size=(40, 6)).astype(np.float32)
    y = np.random.default_rng(3).integers(0, classes, 40) if classes > 1 else None
    data = make_dataset(x, y)
    return Network(model, data, data)


@pytest.fixture(scope="module")
def curvature() -> Curvature:
    # Without corners, at which differences of gradients are no second derivatives.
    return Curvature.of(dense_network(activation="tanh"))


def write_hessian(curvature: Curvature, at: int) -> np.ndarray:
    """A kernel's block, column by column from differences of gradients."""
    kernel = curvature.kernels[at]
    before = keras.ops.convert_to_numpy(kernel)
    step, columns = 2.0**-7, []
    for place in np.ndindex(*before.shape):
        sides = []
        for sign in (1.0, -1.0):
            moved = before.copy()
            moved[place] += sign * step
            kernel.assign(moved)
            sides.append(next(iter(curvature.gradients()))[at].astype(np.float64).ravel())
        columns.append((sides[0] - sides[1]) / (2 * step))
    kernel.assign(before)
    return np.array(columns)


def test_products_with_the_hessian(curvature: Curvature) -> None:
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=kernel.shape) for kernel in curvature.kernels]
    products = curvature.multiply(vectors)
    for at, (vector, product) in enumerate(zip(vectors, products, strict=True)):
        wanted = write_hessian(curvature, at) @ vector.ravel()
        assert np.allclose(product.ravel(), wanted, rtol=0.03, atol=0.02 * abs(wanted).max())


def test_traces_lie_within_their_error(curvature: Curvature) -> None:
    found = estimate_traces(curvature, seed=1)
    for at, (value, error) in enumerate(zip(found.values, found.errors, strict=True)):
        dense = float(np.trace(write_hessian(curvature, at)))
        assert abs(value - dense) <= 4 * error + 0.02 * abs(dense)
    assert found == estimate_traces(curvature, seed=1)


def test_the_order_of_layers_by_traces_is_the_same_for_other_seeds() -> None:
    """Kendall's tau between seeds is at least .8, over eight layers."""
    keras.utils.set_random_seed(2)
    start = hidden = keras.Input((6,))
    for at in range(7):
        hidden = L.Dense(10, activation="tanh", name=f"hidden{at}")(hidden)
    model = keras.Model(start, L.Dense(3, name="answer")(hidden))
    rng = np.random.default_rng(2)
    data = make_dataset(rng.normal(size=(48, 6)).astype(np.float32), rng.integers(0, 3, 48))
    curvature = Curvature.of(Network(model, data, data))
    means = [estimate_traces(curvature, seed).values for seed in range(3)]
    for one, other in itertools.combinations(means, 2):
        assert kendalltau(one, other).statistic >= 0.8


def test_eigenvalues(curvature: Curvature) -> None:
    for at, value in enumerate(estimate_eigenvalues(curvature)):
        dense = write_hessian(curvature, at)
        wanted = np.linalg.eigvalsh((dense + dense.T) / 2).max()
        assert value == pytest.approx(wanted, rel=0.08)


def test_second_order_equals_the_dense_hessian(curvature: Curvature) -> None:
    """g . d + d' H d / 2 of drawn changes, where 1st and 2nd derivatives are those of the model."""
    rng = np.random.default_rng(4)
    gradients = average_gradients(curvature)
    changes = [rng.normal(0, 0.1, kernel.shape) for kernel in curvature.kernels]
    found = foretell(curvature, gradients, changes)
    for at, change in enumerate(changes):
        dense, flat = write_hessian(curvature, at), change.ravel()
        first = float(np.sum(next(iter(curvature.gradients()))[at] * change))
        assert found[at] == pytest.approx(first + 0.5 * flat @ dense @ flat, rel=0.02, abs=1e-4)


def test_scores_and_losses() -> None:
    network = dense_network()
    assert network.loss(network.wanted) == 0.0
    assert network.loss(network.wanted + 1.0) > 0.0
    right = np.eye(3, dtype=np.float32)[network.validation.y]
    assert network.score(right) == 1.0
    single = dense_network(1)
    assert single.score(single.wanted) == 1.0
    assert 0.0 < single.score(single.wanted + 3.0) < 1.0
    with pytest.raises(DataError, match="shape"):
        Network(network.model, make_dataset(np.zeros((4, 5))), network.validation)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
@pytest.mark.slow
def test_a_search_ends_in_recipes(tmp_path: Path) -> None:
    network = dense_network()
    data = (network.calibration.x, network.calibration.y)
    folder = tmp_path / "front"
    options = {"val": data, "space": SPACE, "instructions": "40K", "cycles": "60K", "trials": 4}
    found = tinyq.search(network.model, data, "stm32", folder, **options)
    assert found.ok
    best = found.found.best
    assert best is not None
    counted = found.found.counted[best.number]
    assert counted.counted
    assert counted.instructions <= 40_000
    assert 0 < counted.cycles <= 60_000
    assert best.costs.cycles == pytest.approx(counted.cycles, rel=0.05)
    # What was foreseen is what the linker and the emulator say, to a few per cent.
    assert best.costs.instructions == pytest.approx(counted.instructions, rel=0.05)
    assert best.costs.flash_bytes == pytest.approx(counted.flash_bytes, rel=0.05)
    assert best.costs.ram_bytes == pytest.approx(counted.ram_bytes, rel=0.05)
    said = json.loads((folder / "search.json").read_text("utf-8"))
    assert said["document"] == "search"
    assert said["best"] == best.number
    assert len(said["trials"]) == 4
    assert "trial" in (folder / "search.html").read_text("utf-8")
    recipe = read_recipe(folder / "best.yaml")
    assert tinyq.quantize(network.model, recipe).count_params() > 0
    again = tinyq.search(network.model, data, "stm32", folder, **options)
    assert again.found.trials == found.found.trials
    assert (folder / "best.yaml").read_text("utf-8").endswith("int8\n") or best.assignment != (0, 0)


def make_found(limits: Limits, cycles: int = 300_000) -> Found:
    """What a search might have found, without one."""
    pairs = (Pair("int8", "int8"), Pair("int4", "int8"), Pair("ternary", "int8"))
    space = Space({f"conv_{at}": pairs for at in range(4)})
    rng = np.random.default_rng(0)
    shape = (4, 3)
    added = [np.sort(-rng.integers(0, 9000, shape), axis=1)[:, ::-1] for _ in range(3)]
    for values in added:
        values[:, 0] = 0
    loss, live = np.sort(rng.exponential(0.1, shape), axis=1), ((0, 0),) * 3
    flash, work, time = (tuple(map(tuple, values.tolist())) for values in added)
    base = Costs(40_000, 12_000, 200_000, cycles)
    rows = (tuple(map(tuple, loss.tolist())), flash, work, (live,) * 4, (900, 800), 11_000)
    table = Table(space, base, *rows, time if cycles else ())
    drawn = sorted({tuple(map(int, rng.integers(0, 3, 4))) for _ in range(12)})
    trials = tuple(
        Trial(at, it, 0.9 - 0.02 * sum(it), table.loss_of(it), table.predict(it))
        for at, it in enumerate(drawn)
    )
    parts = find_allocator("ilp"), find_proxy("ptq")
    return Found(
        Wish(limits, "divergence", *parts, pace=Pace(168_000_000, 0.8, "a guess")),
        table,
        trials,
        tuple(find_front(trials)),
        trials[0],
        True,
        {0: replace(trials[0].costs, counted=True)},
        0.91,
        {("conv_0", "uint4"): "its input has signs"},
        failures=(((2, 2, 2, 2), "conv_3: cannot be <had>"),),
    )


@pytest.mark.parametrize("cycles", [300_000, 0])
def test_results_show_what_was_found_and_what_failed(cycles: int, tmp_path: Path) -> None:
    found = make_found(Limits(flash_bytes=50_000), cycles)
    shown = repr(Searched(found, "model", "stm32f405", tmp_path))
    page = draw_page(found, "model", "stm32f405")
    assert ("cycles, estimated" in page) is bool(cycles)
    assert ("an estimate for Cortex-M4" in shown) is bool(cycles)
    assert all("its input has signs" in text for text in (shown, page))
    assert "failed: ternary/int8 ternary/int8" in shown
    assert "cannot be &lt;had&gt;" in page
    assert ("µJ" in shown) is bool(cycles)
    assert page.count("<svg") == (4 if cycles else 3)
    said = json.loads(json.dumps(describe(found, "model", "stm32f405")))
    assert said["failures"] == [
        {
            "methods": dict.fromkeys(found.table.space.layers, "ternary/int8"),
            "reason": "conv_3: cannot be <had>",
        }
    ]
    firmware = said["trials"][0]["firmware"]
    assert (firmware["milliseconds"] is not None) is bool(cycles)
    place = tmp_path / "front"
    write_results(found, "model", "stm32f405", place)
    (entry,) = tinyq.compare(place).entries
    assert (entry.name, entry.accuracy) == ("front #0", found.trials[0].score)
    assert entry.cycles == (found.trials[0].costs.cycles or None)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cycles", "many"),
        ("milliseconds", 0.0),
        ("energy", 5.0),
        ("power", -1.0),
        ("threads", 0),
        ("flash", "lots"),
        ("allocator", "luck"),
        ("sensitivity", "feeling"),
        ("proxy", "train:0"),
        ("trials", 0),
        ("space", {"layers": {}}),
        ("optimize", "beauty"),
    ],
)
def test_wrong_arguments(option: str, value: object, tmp_path: Path) -> None:
    network = dense_network()
    data = (network.calibration.x, network.calibration.y)
    with pytest.raises(TinyqError) as caught:
        tinyq.search(network.model, data, "stm32", tmp_path / "out", **{option: value})
    assert caught.value.remedy
    assert not (tmp_path / "out" / "search.json").exists()


@pytest.mark.slow
def test_a_worker_takes_one_thread() -> None:
    """Threads are set before TensorFlow starts; afterwards that is said, if they were asked for."""
    program = """
        import tensorflow as tf
        from tinyq.errors import TinyqError
        from tinyq.exploration.threads import limit_threads
        own = tf.config.threading.get_intra_op_parallelism_threads()
        limit_threads(None, shared=False)
        assert tf.config.threading.get_intra_op_parallelism_threads() == own
        limit_threads(None, shared=True)
        assert tf.config.threading.get_intra_op_parallelism_threads() == 1
        assert tf.config.threading.get_inter_op_parallelism_threads() == 1
        tf.zeros(3) + 1
        limit_threads(None, shared=True)
        limit_threads(1, shared=False)
        try:
            limit_threads(2, shared=False)
        except TinyqError as error:
            print(error.message)
    """
    words = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "TensorFlow has started with another number of threads"


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    start = keras.Input((4, 4, 1))
    model = keras.Model(start, L.GlobalAveragePooling2D()(start))
    with pytest.raises(ModelError, match="weights"):
        tinyq.search(model, np.zeros((8, 4, 4, 1)), "stm32", tmp_path / "out")


@pytest.mark.parametrize("classes", [3, 1])
def test_the_proxy_that_trains_ends_in_a_model_to_lower(classes: int) -> None:
    """Towards labels, or towards what the float model says where there are none."""
    network = dense_network(classes)
    space = read_space(SPACE, network.layers())
    model = find_proxy("train:2").make(network, space, (1, 1), 2, 0)
    assert {node.name for node in network.lower(model).nodes} >= {"hidden", "answer"}
    assert 0.0 <= network.score(network.answer(model)) <= 1.0
