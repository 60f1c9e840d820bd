"""JSON files say what they are and of which version; readers refuse what they do not know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tinyq.commands.cli import main
from tinyq.errors import DataError, TinyqError
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.kernels.estimates import TABLE, load_table
from tinyq.measurement.counting import _Store
from tinyq.measurement.profile.page import read_measured
from tinyq.measurement.report import Report, write_report
from tinyq.measurement.run import measure
from tinyq.project import MANIFEST, create_project, open_project
from tinyq.support.datasets import Dataset
from tinyq.support.documents import SCHEMAS, read_document, stamp, write_document
from tinyq.support.resources import ROOT

GRAPH = make_graph(Layer("Dense", (8,), 4), "model", "s8", "s8")
COMMITTED = [*(ROOT / "benchmarks").rglob("*.json"), TABLE]
# Where JSON is read and written as a file; a graph has its version in its own key.
PLACES = {"support/documents.py", "graph/storage.py"}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_files_say_what_they_are(path):
    content = json.loads(path.read_text("utf-8"))
    assert list(content)[:2] == ["document", "schema"]
    assert read_document(path, content["document"], "none")


@pytest.mark.requires("gcc")
def test_written_files_say_what_they_are(tmp_path, capsys):
    project = create_project(GRAPH, find_board("host"), tmp_path / "build")
    x = np.random.default_rng(0).integers(-9, 9, (3, 8)).astype(np.float32)
    found = measure(project, "host", Dataset(x, None))
    write_report(Report("title", {}, found), GRAPH, project.plan, tmp_path / "report")
    save_graph(GRAPH, tmp_path / "model.tqg")
    assert main(["inspect", str(tmp_path / "model.tqg"), "--json"]) == 0
    inspected = json.loads(capsys.readouterr().out)
    _Store(tmp_path / "cache").write("key", {"instructions": 1})
    files = {
        "project": tmp_path / "build" / MANIFEST,
        "measurement": tmp_path / "report/report.json",
        "kernel counts": tmp_path / "cache/key.json",
    }
    written = {kind: json.loads(path.read_text("utf-8")) for kind, path in files.items()}
    for kind, content in {**written, "inspection": inspected}.items():
        assert (content["document"], content["schema"]) == (kind, SCHEMAS[kind])


def test_json_is_written_and_read_in_one_place():
    """As files: text that goes elsewhere is made by `json.dumps` anywhere."""
    found = {
        path.relative_to(ROOT / "tinyq").as_posix()
        for path in (ROOT / "tinyq").rglob("*.py")
        if re.search(r"write_text\(\s*json\.dumps|json\.dump\(|json\.load\(", path.read_text())
    }
    assert found <= PLACES


def _open_project(path: Path) -> object:
    path.rename(path.with_name(MANIFEST))
    return open_project(path.parent)


def _read_measured(path: Path) -> object:
    return read_measured(path, SimpleNamespace(graph_digest=""))


READERS = {
    "project": _open_project,
    "measurement": _read_measured,
    "estimates": load_table,
    **{
        kind: lambda path, kind=kind: read_document(path, kind, "make it again")
        for kind in sorted(SCHEMAS.keys() - {"project", "measurement", "estimates", "graph"})
    },
}


def test_every_kind_has_its_reader_here():
    assert set(READERS) | {"graph"} == set(SCHEMAS)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("schema", [0, 99, -1, "1", None, True, 1.0, [1], {}])
def test_a_reader_refuses_an_unknown_version(kind, schema, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"document": kind, "schema": schema, "layers": []}))
    with pytest.raises(TinyqError, match="another version of tinyq") as caught:
        READERS[kind](path)
    assert caught.value.remedy
    assert caught.value.where


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("text", ['{"document": "cake", "schema": 1}', "[]", "1", "null", '"a"'])
def test_a_reader_refuses_another_kind(kind, text, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(TinyqError) as caught:
        READERS[kind](path)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", "\xff", "[" * 100_000])
def test_what_is_no_json_is_refused(text, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(text, "latin-1")
    with pytest.raises(DataError):
        read_document(path, "profile", "make it again")


def test_a_file_is_written_whole_and_read_back(tmp_path):
    path = tmp_path / "file.json"
    write_document(path, "profile", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_document(path, "profile", {"a": float("nan")})
    assert read_document(path, "profile", "none") == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]
    assert stamp("profile", {"a": 1}) == {"document": "profile", "schema": 1, "a": 1}
