"""Coverage-guided fuzzing of the readers in Python, by atheris (libFuzzer).

    python -m tests.fuzz.readers TARGET [options of libFuzzer]

Targets: graph, data, manifest, recipe, tflite, keras. Inputs are what lies inside of checksums, the
JSON of a graph file for one, so that no round is lost on them. Found inputs go on in
build/fuzz/corpus/TARGET: a run takes up where the last one ended. Any exception but a TinyqError
ends the run, and so do 10 s or 2 GB; the input is kept in build/fuzz/.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tinyq"], enable_loader_override=False):
    from tinyq.errors import TinyqError
    from tinyq.graph.passes import simplify
    from tinyq.graph.storage import load_graph, save_graph
    from tinyq.importers.tflite import import_tflite
    from tinyq.support.datasets import load_dataset
    from tinyq.support.keras_config import check_config

import numpy as np

from tests.random_graphs import draw_graph

KEPT = Path(__file__).parents[2] / "build" / "fuzz"
SCRATCH = Path(tempfile.mkdtemp(prefix="tinyq-fuzz-"))
Read = Callable[[bytes], object]


def pack(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def write(name: str, content: bytes) -> Path:
    path = SCRATCH / name
    path.write_bytes(content)
    return path


def members_of(seed: int) -> dict[str, bytes]:
    save_graph(draw_graph(np.random.default_rng(seed)), SCRATCH / "seed.tqg")
    with zipfile.ZipFile(SCRATCH / "seed.tqg") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def graph() -> tuple[Read, Iterator[bytes]]:
    constants = members_of(0)

    def read(content: bytes) -> object:
        path = write("graph.tqg", pack({**constants, "graph.json": content}))
        return simplify(load_graph(path))

    return read, (members_of(seed)["graph.json"] for seed in range(20))


def data() -> tuple[Read, Iterator[bytes]]:
    def read(content: bytes) -> object:
        return load_dataset(write("data.npz", pack({"x.npy": content, "y.npy": content})))

    def seeds() -> Iterator[bytes]:
        for array in (np.ones((3, 2), "f4"), np.arange(3), np.array(["a"]), np.eye(3, dtype="i1")):
            buffer = io.BytesIO()
            np.save(buffer, array)
            yield buffer.getvalue()

    return read, seeds()


def manifest() -> tuple[Read, Iterator[bytes]]:
    from tinyq.hardware.boards import find_board
    from tinyq.project import MANIFEST, create_project, open_project

    folder = SCRATCH / "build"
    create_project(draw_graph(np.random.default_rng(1)), find_board("host"), folder)
    whole = (folder / MANIFEST).read_bytes()

    def read(content: bytes) -> object:
        (folder / MANIFEST).write_bytes(content)
        return open_project(folder)

    return read, iter([whole, json.dumps(json.loads(whole), separators=(",", ":")).encode()])


def recipe() -> tuple[Read, Iterator[bytes]]:
    from tests.fuzz.test_mutations import RECIPES
    from tinyq.training.recipe import read_recipe

    return lambda content: read_recipe(write("recipe.yaml", content)), (
        text.encode() for text in RECIPES
    )


def tflite() -> tuple[Read, Iterator[bytes]]:
    from tensorflow.lite.python import schema_py_generated as schema

    from tests.bitexact.test_tflite_recurrent import write_lstm, write_svdf

    rng = np.random.default_rng(0)
    seeds = [write_lstm(schema, rng, 2, 3, 2), write_svdf(schema, rng, 3, 2, 1, 2)]
    return lambda content: import_tflite(write("model.tflite", content)), iter(seeds)


def keras() -> tuple[Read, Iterator[bytes]]:
    def read(content: bytes) -> object:
        try:
            config = json.loads(content)
        except (ValueError, RecursionError):
            return None
        return check_config(config)

    layer = {"class_name": "Dense", "module": "keras.layers", "config": {"activation": "relu"}}
    return read, iter([json.dumps({"class_name": "Model", "config": [layer]}).encode()])


TARGETS = {one.__name__: one for one in (graph, data, manifest, recipe, tflite, keras)}


def main() -> None:
    name, *options = sys.argv[1:]
    read, seeds = TARGETS[name]()
    corpus = KEPT / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds):
        (corpus / f"seed_{index}").write_bytes(seed)

    def attempt(content: bytes) -> None:
        try:
            read(content)
        except TinyqError:
            return

    limits = ["-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={KEPT}/{name}-"]
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
