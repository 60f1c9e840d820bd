from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from tinyq.commands import cli
from tinyq.errors import TinyqError
from tinyq.quantizers.catalogue import find_entry, load_catalogue
from tinyq.support.plot.curves import draw_text


def test_every_paper_has_one_row():
    rows = load_catalogue()
    assert sum(row.wave != "-" for row in rows.values()) == 107
    assert all(name == row.id for name, row in rows.items())
    assert all(1950 < row.year < 2025 for row in rows.values())


def test_rows_are_found_by_id_and_by_method():
    assert find_entry("pact").id == find_entry("pact4").id == "pact"
    with pytest.raises(TinyqError, match="there is no method 'pakt'") as caught:
        find_entry("pakt")
    assert "pact" in str(caught.value)


def test_a_wrong_row_names_its_file(tmp_path):
    path = tmp_path / "rows.yaml"
    path.write_text("- {id: x, colour: red}\n")
    with pytest.raises(TinyqError, match="colour") as caught:
        load_catalogue(path)
    assert caught.value.where == str(path)


def test_the_list_holds_all_rows(capsys):
    assert cli.main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(load_catalogue())
    by_id = {row["id"]: row for row in rows}
    assert by_id["twn"]["trains"] and "generic" in by_id["twn"]["kernels"]["weights t2"]
    assert not by_id["adaround"]["exports"] and "wave D" in by_id["adaround"]["missing"]
    assert cli.main(["methods"]) == 0
    assert f"of {len(rows)} train and export" in capsys.readouterr().out


def test_one_method_is_explained_and_plotted(capsys, tmp_path):
    path = tmp_path / "hwgq.svg"
    assert cli.main(["methods", "hwgq2_log", "--svg", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "SteppedQuantizer" in shown and "leaves out" in shown and "levels, s slope" in shown
    root = ElementTree.fromstring(path.read_text("utf-8"))
    lines = [element for element in root if element.tag.endswith("polyline")]
    assert len(lines) == 2
    texts = [element.text for element in root if element.tag.endswith("text")]
    assert texts.count("0") == 2, "each axis has its zero once"
    assert {"-3.23", "3.23", "levels"} <= set(texts)


@pytest.mark.parametrize("wave", ["-", "A", "B", "C", "D", "E"])
def test_every_method_is_explained(wave, capsys):
    for row in load_catalogue().values():
        if row.wave != wave:
            continue
        assert cli.main(["methods", row.id]) == 0, row.id
        shown = capsys.readouterr().out
        assert row.title in shown and row.reference in shown
        assert row.formulas and all(formula in shown for formula in row.formulas), row.id
        for role in ("weights", "activations"):
            named = next(iter(getattr(row, role)), None)
            plotted = f"{role} {named}: l levels, s slope in training" in shown
            assert plotted == (named is not None), row.id
        plots = shown.split("s slope in training")[1:]
        assert all(plot.count("\n") > 15 and "l" in plot for plot in plots), row.id


def test_a_method_without_presets_says_why(capsys, tmp_path):
    assert cli.main(["methods", "hawq"]) == 0
    assert "not yet: wave E" in capsys.readouterr().out
    assert cli.main(["methods", "hawq", "--svg", str(tmp_path / "x.svg")]) == 2
    assert "nothing to plot" in capsys.readouterr().err


def test_plot_marks_values_where_they_are():
    x = np.linspace(-1, 1, 101)
    rows = draw_text(x, {"line": x}, columns=21, rows=21).splitlines()
    assert rows[0].endswith("l") and rows[20][9] == "l" and rows[10][9 + 10] == "l"
    assert rows[0].strip().startswith("1") and rows[20].strip().startswith("-1")
