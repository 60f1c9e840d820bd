"""Several builds side by side: what is one firmware, what beats what, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinyq
from tests.classifier import classifier
from tinyq.errors import TinyqError
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.measurement.comparison import Entry, Judge, draw_page, draw_plots, mark_best
from tinyq.measurement.comparison.reading import name_places
from tinyq.measurement.profile.energy import find_pace
from tinyq.support.documents import write_document
from tinyq.support.fronts import mark_unbeaten

ENTRY = Entry("a", "model", "stm32f405", 100, 50, 0.9, Judge("qemu", "test.npz, 9"), 1000.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_front_by_its_definition(seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 4, (24, 3))
    found = mark_unbeaten(points.tolist())
    for point, stays in zip(points, found, strict=True):
        beaten = [bool((it <= point).all() and (it < point).any()) for it in points]
        assert stays is not any(beaten)


def test_only_what_is_comparable_is_compared() -> None:
    worse = replace(ENTRY, flash_bytes=101)
    assert mark_best([ENTRY, worse]) == [True, False]
    assert mark_best([ENTRY, replace(worse, accuracy=0.91)]) == [True, True]
    assert mark_best([ENTRY, replace(worse, board="nrf5340-dk")]) == [True, True]
    other = replace(worse, judge=Judge("qemu", "other.npz, 9"))
    assert mark_best([ENTRY, other]) == [True, True]
    # The host computes what the emulator does, so who answered does not matter.
    assert mark_best([ENTRY, replace(worse, judge=Judge("host", "test.npz, 9"))]) == [True, False]
    # What one of them lacks decides nothing.
    assert mark_best([ENTRY, replace(worse, instructions=None)]) == [True, False]
    assert mark_best([ENTRY, replace(worse, instructions=9.0)]) == [True, True]
    assert mark_best([]) == []


def test_folders_have_the_shortest_names_that_differ() -> None:
    assert name_places([Path("a/x"), Path("b/x"), Path("b/y")]) == ["a/x", "b/x", "b/y"]
    assert name_places([Path("a/x"), Path("b/y")]) == ["x", "y"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two builds, with a report of the first, one of them in a folder with its report."""
    folder = tmp_path_factory.mktemp("builds")
    x = np.random.default_rng(0).normal(0, 4, (12, 12)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=np.arange(12) % 5)
    first = tinyq.build(classifier(), "host", folder / "first")
    tinyq.measure(first, folder / "data.npz", report=folder / "page")
    both = tinyq.build(classifier(seed=8), "host", folder / "both" / "firmware")
    tinyq.measure(both, folder / "data.npz", report=folder / "both")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.requires("gcc")
def test_a_build_and_its_report_are_one_row(place: Path) -> None:
    found = tinyq.compare([place / "first", place / "page", place / "both"])
    first, both = found.entries
    assert (first.name, both.name) == ("first", "both")
    report = json.loads((place / "page/report.json").read_text("utf-8"))
    assert first.accuracy == report["accuracy"]["device"]
    assert (first.flash_bytes, first.ram_bytes) == (report["flash_bytes"], report["ram_bytes"])
    assert first.judge == both.judge == Judge("host", f"{place / 'data.npz'}, 12 samples")
    assert first.instructions is None
    assert "not counted for host" in found.notes[0]
    alone = tinyq.compare([place / "page"]).entries
    assert [replace(it, name="first") for it in alone] == [replace(first, best=True)]


@pytest.mark.requires("gcc")
def test_data_judge_builds_that_have_no_report(place: Path) -> None:
    (one,) = tinyq.compare(place / "first").entries
    assert one.accuracy is None
    (one,) = tinyq.compare(place / "first", place / "data.npz", samples=7).entries
    assert one.judge == Judge("host", f"{place / 'data.npz'}, 7 samples")
    wanted = tinyq.measure(place / "first", place / "data.npz", samples=7).accuracy["device"]
    assert one.accuracy == wanted


@pytest.mark.requires("gcc")
def test_a_folder_of_folders_and_its_page(place: Path, tmp_path: Path) -> None:
    found = tinyq.compare([place], report=tmp_path / "page")
    assert [it.name for it in found.entries] == [f"{place.name}/both", f"{place.name}/first"]
    page = (tmp_path / "page/report.html").read_text("utf-8")
    assert all(it.name in page for it in found.entries)
    written = json.loads((tmp_path / "page/report.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(found.to_json()))
    # What a page was made of is no build by itself.
    with pytest.raises(TinyqError):
        tinyq.compare(tmp_path / "page")


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
def test_builds_without_counts_are_counted(tmp_path: Path) -> None:
    built = tinyq.build(classifier(), "nucleo-l4r5zi", tmp_path / "build")
    (it,) = tinyq.compare(built).entries
    counted = tinyq.profile(built)
    assert it.instructions == counted.instructions
    assert it.cycles == counted.profile.prediction.cycles
    assert it.milliseconds == counted.milliseconds
    assert it.microjoules == pytest.approx(0.28e-3 * it.cycles)
    tinyq.profile(built, report=tmp_path / "profile")
    with pytest.raises(TinyqError, match="nothing of flash"):
        tinyq.compare(tmp_path / "profile")
    assert tinyq.compare([built, tmp_path / "profile"]).entries == (it,)


def test_a_search_gives_what_was_built_of_its_front(tmp_path: Path) -> None:
    costs = {"flash_bytes": 10, "ram_bytes": 20, "instructions": 30, "cycles": 40}
    trials = [
        {"number": 0, "score": 0.5, "firmware": costs},
        {"number": 1, "score": 0.75, "firmware": {**costs, "flash_bytes": 12}},
        {"number": 2, "score": 0.25, "firmware": costs},
        {"number": 3, "score": 0.75, "firmware": None},
    ]
    content = {"model": "m", "board": "stm32f405", "proxy": "ptq", "front": [0, 1, 3]}
    write_document(tmp_path / "search.json", "search", {**content, "trials": trials})
    found = tinyq.compare(tmp_path).entries
    assert [(it.name, it.accuracy, it.flash_bytes, it.best) for it in found] == [
        (f"{tmp_path.name} #0", 0.5, 10, True),
        (f"{tmp_path.name} #1", 0.75, 12, True),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"document": "measurement", "schema": 1}', '{"document": "search"}', "[" * 9],
)
def test_damaged_reports_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text, "utf-8")
    with pytest.raises(TinyqError) as caught:
        tinyq.compare(tmp_path)
    assert caught.value.where
    assert caught.value.remedy


@pytest.mark.parametrize("wrong", ["none", [], 3, [None]])
def test_what_is_no_folder_is_refused(wrong: object, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TinyqError) as caught:
        tinyq.compare(wrong)
    assert caught.value.remedy


def test_the_page_has_plots_of_what_is_known() -> None:
    entries = [replace(ENTRY, name=name, flash_bytes=size) for name, size in (("a", 9), ("<b>", 8))]
    assert len(draw_plots(entries)) == 3
    assert len(draw_plots([replace(it, accuracy=None, judge=None) for it in entries])) == 3
    page = draw_page(entries, ["<note>"])
    assert "&lt;b&gt;" in page
    assert "<note>" not in page
    assert "µJ" not in page


def test_a_cycle_is_time_and_energy() -> None:
    board = find_board("stm32f405")
    assert find_pace(board).milliseconds(168_000) == pytest.approx(1.0)
    assert find_pace(board).microjoules(1000) is None
    # 132 mW for a millisecond are 132 microjoules.
    assert find_pace(board, 132.0).microjoules(168_000) == pytest.approx(132.0)
    known = find_pace(find_board("nucleo-l4r5zi"))
    assert known.microjoules(1_000_000) == pytest.approx(280.0)
    assert known.source
    assert find_pace(find_board("host"), 5.0).microjoules(9) is None


def test_saved_models_are_no_builds(tmp_path: Path) -> None:
    save_graph(classifier(), tmp_path / "model.tqg")
    with pytest.raises(TinyqError, match="holds nothing to compare"):
        tinyq.compare(tmp_path)
