"""Mutated files of every kind that tinyq reads: a clean error, or a right result.

``TINYQ_MUTATIONS`` sets how many of each kind are tried; ``make mutations`` tries 10,000. A file
that fails is kept in build/fuzz/. Taken graphs are compiled, under sanitizers, and must answer as
the reference does.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.mutations import change_archive, change_bytes, change_json, change_text
from tests.property.test_generated_c import Case, find_faults
from tests.random_graphs import draw_graph, draw_inputs
from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.graph.passes import simplify
from tinyq.graph.reference import run
from tinyq.graph.storage import digest, load_graph, save_graph
from tinyq.hardware.boards import find_board
from tinyq.project import MANIFEST, create_project, open_project
from tinyq.support.datasets import load_dataset

WANTED = int(os.environ.get("TINYQ_MUTATIONS", "120"))
KEPT = Path(__file__).parents[2] / "build" / "fuzz"
MOST_SECONDS = 10.0
COMPILED = 40  # graphs of one compiler start


@pytest.fixture
def keep(tmp_path) -> Callable[[Path], None]:
    def keep(path: Path) -> None:
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"mutation-{time.time_ns()}{path.suffix}").write_bytes(path.read_bytes())

    return keep


def attempt(read: Callable[[Path], object], path: Path, keep: Callable[[Path], None]) -> object:
    """What a reader makes of a file, None for a clean error; anything else fails the test."""
    started = time.process_time()
    try:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = read(path)
        except TinyqError as error:
            assert error.message and "fault of tinyq" not in str(error)
            assert error.where, f"{error.message}: no word about where"
            found = None
        assert time.process_time() - started < MOST_SECONDS
    except BaseException:
        keep(path)
        raise
    return found


def check_graph(graph: Graph, index: int) -> Case:
    """A taken graph keeps its codes through the passes and is a case for the compiler."""
    rng = np.random.default_rng(index)
    codes = draw_inputs(rng, graph, 2)
    expected = run(graph, codes)
    simple = simplify(graph)
    np.testing.assert_array_equal(run(simple, codes), expected)
    return Case(0, index, simple, codes)


def renamed(case: Case) -> Case:
    from dataclasses import replace

    return replace(case, graph=replace(case.graph, name=f"model_{case.index}"))


@pytest.mark.requires("gcc")
def test_graph_files(seed, tmp_path, keep):
    rng = np.random.default_rng((seed, 31))
    originals = []
    for index in range(12):
        graph = draw_graph(np.random.default_rng((seed, index)))
        save_graph(graph, tmp_path / "original.tqg")
        originals.append((digest(graph), (tmp_path / "original.tqg").read_bytes()))
    taken: list[Case] = []
    seen = {known for known, _ in originals}
    for index in range(WANTED):
        _, content = originals[int(rng.integers(len(originals)))]
        path = tmp_path / "mutated.tqg"
        path.write_bytes(change_archive(content, rng))
        graph = attempt(load_graph, path, keep)
        if not isinstance(graph, Graph) or digest(graph) in seen:
            continue
        seen.add(digest(graph))
        if np.prod(graph.input.type.shape) <= 5000:
            taken.append(renamed(check_graph(graph, index)))
    faults = []
    for start in range(0, len(taken), COMPILED):
        faults += find_faults(taken[start : start + COMPILED])
    faults = [(case, what) for case, what in faults if not what.startswith("no code")]
    for case, _ in faults:
        save_graph(case.graph, KEPT / f"mutation-{case.index}.tqg")
    assert not faults, "\n".join(f"{case.index}: {what[:300]}" for case, what in faults)


def test_data_sets(seed, tmp_path, keep):
    rng = np.random.default_rng((seed, 37))
    path = tmp_path / "data.npz"
    originals = []
    for save in (np.savez, np.savez_compressed):
        for x in (np.ones((6, 4), np.float32), np.arange(24, dtype=np.int8).reshape(6, 4)):
            save(path, x=x, y=np.arange(6) % 3)
            originals.append(path.read_bytes())
    for _ in range(WANTED):
        content = originals[int(rng.integers(len(originals)))]
        path.write_bytes(change_archive(content, rng))
        attempt(load_dataset, path, keep)


@pytest.mark.requires("gcc")
def test_manifests(seed, tmp_path, keep):
    import json

    rng = np.random.default_rng((seed, 41))
    folder = tmp_path / "build"
    create_project(draw_graph(np.random.default_rng(1)), find_board("host"), folder)
    content = (folder / MANIFEST).read_bytes()
    path = folder / MANIFEST
    for _ in range(WANTED):
        if rng.random() < 0.2:
            path.write_bytes(change_bytes(content, rng))
        else:
            path.write_text(json.dumps(change_json(json.loads(content), rng)))
        project = attempt(lambda path: open_project(path.parent), path, keep)
        if project is not None:
            assert project.image.elf.resolve().is_relative_to(folder.resolve())  # type: ignore[attr-defined]


RECIPES = (
    "weights: ternary\nactivations: uint4\nfirst: int8\nlast: {weights: int4}\n",
    "weights: int8\nlayers:\n  conv*: {weights: binary, activations: binary}\n  'fc[12]': int4\n",
    "input: {range: [0, 1.5]}\nweight_decay: true\nfirst: null\n",
    "layers:\n  a: &few {weights: ternary}\n  b: *few\n  c:\n    <<: *few\n    weights: int4\n",
)


def recipes(rng: np.random.Generator) -> Iterator[bytes]:
    for _ in range(WANTED):
        text = RECIPES[int(rng.integers(len(RECIPES)))]
        content = change_text(text, rng).encode()
        yield change_bytes(content, rng) if content and rng.random() < 0.1 else content


def test_recipes(seed, tmp_path, keep):
    from tinyq.training.recipe import Recipe, read_recipe

    path = tmp_path / "recipe.yaml"
    for content in recipes(np.random.default_rng((seed, 43))):
        path.write_bytes(content)
        found = attempt(read_recipe, path, keep)
        assert found is None or isinstance(found, Recipe)
