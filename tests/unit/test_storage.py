from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from tests.random_graphs import draw_graph
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw
from tinyq.graph.ops.dense import Dense
from tinyq.graph.storage import describe, digest, load_graph, save_graph
from tinyq.numerics.formats import find_format


def equal(one: Graph, two: Graph) -> bool:
    """Same structure and same constants."""
    return describe(one) == describe(two) and digest(one) == digest(two)


def draw(seed: int) -> Graph:
    return draw_graph(np.random.default_rng(seed))


def has_enough(seed: int) -> bool:
    graph = draw(seed)
    return len(graph.nodes) > 1 and sum(one.is_constant for one in graph.tensors.values()) > 3


# The smallest of some graphs that have several operations and constants.
SEED = min(filter(has_enough, range(60)), key=lambda seed: len(str(describe(draw(seed)))))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "folder" / "graph.tqg"
    save_graph(draw(SEED), path)
    return path


@pytest.mark.parametrize("number", range(30))
def test_round_trip(number, seed, tmp_path):
    graph = draw(seed + number)
    save_graph(graph, tmp_path / "graph.tqg")
    loaded = load_graph(tmp_path / "graph.tqg")
    assert equal(graph, loaded)
    assert loaded.nodes == graph.nodes
    assert dict.fromkeys(loaded.tensors) == dict.fromkeys(graph.tensors)


def with_format(number_format, codes) -> Graph:
    """A dense layer with these weights."""
    builder = GraphBuilder.start("net", TensorType((np.shape(codes)[1],), find_format("s8")))
    weights = builder.constant("weights", codes, number_format)
    bias = builder.constant("bias", np.zeros(len(codes)), find_format("s32"))
    return builder.build(builder.apply("dense", Dense(Raw()), "input", weights, bias))


TABLES = {
    "c2": find_format("c2").with_levels((7, 0, -9, 1)),
    "n2": find_format("n2").with_levels((-2, 0, 5)),
    "d2": find_format("d2").with_basis(((3, 1), (7, -2))),
    "g2": find_format("g2").with_groups(2, ((3, 1), (0, 2))),
}
TABLED_CODES = {
    "c2": [[7, -9, 1], [0, 0, 7]],
    "n2": [[5, -2, 0], [0, 0, 5]],
    "d2": [[4, -2, 2], [5, -9, 9]],
    "g2": [[3, -3, 1], [0, 0, -2]],
}


@pytest.mark.parametrize("name", TABLES)
def test_the_table_of_a_format_is_kept(name, tmp_path):
    graph = with_format(TABLES[name], TABLED_CODES[name])
    save_graph(graph, tmp_path / "graph.tqg")
    loaded = load_graph(tmp_path / "graph.tqg")
    assert loaded.tensors["weights"].type == graph.tensors["weights"].type
    assert digest(loaded) == digest(graph)
    table_bytes = len(TABLES[name].values)
    assert graph.tensors["weights"].type.packed_bytes == TABLES[name].row_bytes(3) * 2 + table_bytes


def test_the_digest_sees_the_table():
    other = TABLES["c2"].with_levels((7, 0, -9, 2))
    codes = [[7, -9, 0], [0, 0, 7]]
    assert digest(with_format(TABLES["c2"], codes)) != digest(with_format(other, codes))


@pytest.mark.parametrize(
    "table",
    [None, {}, {"levels": [1, 2, 3]}, {"levels": [1, 2, 3, 1.5]}, {"levels": [1, 2, 3, 4]}, [7]],
)
def test_a_damaged_table_is_refused(table, tmp_path):
    path = tmp_path / "graph.tqg"
    save_graph(with_format(TABLES["c2"], TABLED_CODES["c2"]), path)
    with pytest.raises(ModelError):
        load_with(path, set_path("tensors", 1, "table", table))


def test_same_graph_same_bytes(tmp_path):
    for name in ("one", "two"):
        save_graph(draw(SEED), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_digest_does_not_depend_on_the_process():
    code = (
        "import numpy; from tests.random_graphs import draw_graph;"
        "from tinyq.graph.storage import digest;"
        f"print(digest(draw_graph(numpy.random.default_rng({SEED}))))"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest(draw(SEED))


def change_one(tensor) -> np.ndarray:
    """The codes with another one of the format, a near one, in the first place."""
    entry, codes = tensor.type.format, tensor.codes.copy()
    first = int(codes.reshape(-1)[0])
    for distance in range(1, 256):
        for code in (first + distance, first - distance):
            if entry.lo <= code <= entry.hi:
                codes.reshape(-1)[0] = code
                if entry.contains(codes):
                    return codes
    raise AssertionError(f"{entry.name} has one code")


def test_the_digest_sees_every_change():
    graph = draw(SEED)
    seen = {digest(graph), digest(replace(graph, name="other"))}
    constants = [tensor for tensor in graph.tensors.values() if tensor.is_constant]
    for tensor in constants:
        other = replace(tensor, codes=change_one(tensor))
        seen.add(digest(replace(graph, tensors={**graph.tensors, tensor.name: other})))
    assert len(seen) == 2 + len(constants)


def test_saving_replaces_a_file_whole(saved):
    save_graph(draw(SEED + 1), saved)
    assert equal(load_graph(saved), draw(SEED + 1))
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match="no such file") as caught:
        load_graph(tmp_path / "none.tqg")
    assert "none.tqg" in caught.value.where


def test_a_folder_is_no_graph(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_graph(tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18), b"PK\x03\x04" * 9])
def test_another_file_is_no_graph(content, tmp_path):
    path = tmp_path / "graph.tqg"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        load_graph(path)


def load_with(saved, change) -> Graph:
    """Load the file after ``change`` rewrote its JSON, checksums in order."""
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["graph.json"])
    members["graph.json"] = json.dumps(change(data) or data).encode()
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return load_graph(saved)


def set_path(*keys_and_value):
    """A change that sets the value at a path of keys."""
    *keys, last, value = keys_and_value

    def change(data):
        for key in keys:
            data = data[key]
        data[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_path("tinyq_graph", 99),
        set_path("name", 7),
        set_path("name", "not an identifier"),
        set_path("inputs", []),
        set_path("inputs", None),
        set_path("inputs", [["input"]]),
        set_path("outputs", ["other"]),
        set_path("tensors", 3),
        set_path("tensors", [None]),
        set_path("tensors", 0, "format", "q9"),
        set_path("tensors", 0, "format", None),
        set_path("tensors", 0, "shape", "abc"),
        set_path("tensors", 0, "shape", [0]),
        set_path("tensors", 0, "shape", [-1, 3]),
        set_path("tensors", 0, "shape", [1.5]),
        set_path("tensors", 0, "shape", [[1], 2]),
        set_path("tensors", 0, "shape", []),
        set_path("tensors", 0, "scale", "big"),
        set_path("tensors", 0, "zero_point", [1]),
        set_path("tensors", 0, "constant", True),
        set_path("nodes", []),
        set_path("nodes", None),
        set_path("nodes", 0, "inputs", []),
        set_path("nodes", 0, "inputs", 5),
        set_path("nodes", 0, "inputs", [{}]),
        set_path("nodes", 0, "output", []),
        set_path("nodes", 0, "op", None),
        set_path("nodes", 0, "op", {}),
        set_path("nodes", 0, "op", "type", "Nothing"),
        set_path("nodes", 0, "op", "type", "Window"),
        set_path("nodes", 0, "op", "type", "Raw"),
        set_path("nodes", 0, "op", "unknown", 1),
        lambda data: [data],
        lambda data: "text",
        lambda data: 7,
    ],
)
def test_wrong_content_is_a_model_error(saved, change):
    with pytest.raises(ModelError):
        load_with(saved, change)


def test_every_value_of_the_json_may_be_wrong(saved):
    """Each leaf and each branch replaced by values of other types, one at a time."""
    original = saved.read_bytes()
    for keys in list(paths(describe(draw(SEED)))):
        for value in (None, -1, 10**20, 1.5, "x", [], {}, [[]], True):
            saved.write_bytes(original)
            try:
                graph = load_with(saved, set_path(*keys, value))
            except ModelError:
                continue
            graph.verify()


def paths(data, start=()):
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*start, key)
        if isinstance(value, (dict, list, tuple)):
            yield from paths(value, (*start, key))


def test_constants_of_another_kind_are_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    constant = next(name for name in members if name.endswith(".npy"))
    for array in (np.array(["a"]), np.array([1j]), np.array([0.5]), np.array([2**40])):
        content = io.BytesIO()
        np.save(content, array)
        with zipfile.ZipFile(saved, "w") as archive:
            for name, old in members.items():
                archive.writestr(name, content.getvalue() if name == constant else old)
        with pytest.raises(ModelError):
            load_graph(saved)
