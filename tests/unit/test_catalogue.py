from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tinyq.commands import cli
from tinyq.errors import TinyqError
from tinyq.quantizers.catalogue import describe, find_entry, load_catalogue
from tinyq.support.plot.curves import draw_text

ROOT = Path(__file__).resolve().parents[2]


def test_every_paper_has_one_row():
    rows = load_catalogue()
    assert sum(row.wave != "-" for row in rows.values()) == 107
    assert all(name == row.id for name, row in rows.items())
    assert all(row.year > 1950 for row in rows.values())


def test_rows_are_found_by_id_and_by_method():
    assert find_entry("pact").id == find_entry("pact4").id == "pact"
    with pytest.raises(TinyqError, match="there is no method 'pakt'") as caught:
        find_entry("pakt")
    assert "pact" in str(caught.value)


def test_two_rows_of_one_id_are_refused():
    with pytest.raises(TinyqError, match="two rows 'ttq'"):
        describe(find_entry("ttq"))


def run_alone(code, *arguments):
    """Run Python in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_methods_are_told_without_keras():
    code = """
import contextlib, io, sys
from tinyq.commands import cli
from tinyq.quantizers.catalogue import load_catalogue
with contextlib.redirect_stdout(io.StringIO()) as shown:
    codes = {cli.main(["methods", name]) for name in [*load_catalogue()][::6]}
    codes.add(cli.main(["methods"]))
print(codes, {"keras", "tensorflow"} & set(sys.modules), shown.getvalue().count("s slope in tr"))
"""
    rows = list(load_catalogue().values())[::6]
    plots = sum(bool(row.weights) + bool(row.activations) for row in rows)
    assert run_alone(code) == f"{{0}} set() {plots}\n"


FAMILY = '''
"""A method that exists as this one file alone."""

from dataclasses import dataclass, replace

from tinyq import quantizers
from tinyq.quantizers.catalogue import catalogued
from tinyq.quantizers.method import Entry, Method, option


@catalogued(
    Entry(
        id="clip3",
        title="Clip",
        year=2026,
        reference="Nobody: Nothing",
        wave="-",
        summary="a learned clipping level",
        formulas=("w_q = s clip(round(w / s), -3, 3)",),
        weights={"clip3": "s3"},
    )
)
@dataclass(frozen=True)
class Clip(Method):
    """A learned clipping level."""

    reach: int = option(3, "largest code", choices=(1, 2, 3))

    def weights(self):
        """Parts for weights."""
        slope = quantizers.gradients.clipped_slope
        return replace(
            quantizers.combinations.max_abs("s3", self.reach),
            gradient=quantizers.gradients.inside,
            learned=quantizers.weights.LearnedStep(slope=slope),
            projection=False,
        )
'''


def test_a_method_is_one_file(tmp_path):
    (tmp_path / "clip.py").write_text(FAMILY, "utf-8")
    code = """
import sys
import tinyq.quantizers.methods as families
families.__path__.append(sys.argv[1])
from tinyq.commands import cli
assert cli.main(["methods", "clip3"]) == 0
from tinyq.training.recipe import read_recipe
print(read_recipe({"weights": {"method": "clip3", "reach": 2}}).weights)
"""
    shown = run_alone(code, str(tmp_path))
    assert "Clip (clip3), 2026" in shown and "gradient by step clipped_slope" in shown
    assert "option: reach = 3: largest code; 1 or 2 or 3" in shown
    assert "recipe: weights: {method: clip3, reach: 3}" in shown
    assert "weights clip3: l levels" in shown and shown.endswith("clip3(reach=2)\n")


def test_the_list_holds_all_rows(capsys):
    assert cli.main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["methods"]
    assert len(rows) == len(load_catalogue())
    by_id = {row["id"]: row for row in rows}
    assert by_id["twn"]["trains"] and "generic" in by_id["twn"]["kernels"]["weights t2"]
    assert not by_id["boolnet"]["exports"] and "wave D" in by_id["boolnet"]["missing"]
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
    assert cli.main(["methods", "boolnet"]) == 0
    assert "not yet: wave D" in capsys.readouterr().out
    assert cli.main(["methods", "haq"]) == 0
    assert "haq: tinyq search --allocator actor" in capsys.readouterr().out
    assert cli.main(["methods", "haq", "--svg", str(tmp_path / "x.svg")]) == 2
    assert "nothing to plot" in capsys.readouterr().err


def test_plot_marks_values_where_they_are():
    x = np.linspace(-1, 1, 101)
    rows = draw_text(x, {"line": x}, columns=21, rows=21).splitlines()
    assert rows[0].endswith("l") and rows[20][9] == "l" and rows[10][9 + 10] == "l"
    assert rows[0].strip().startswith("1") and rows[20].strip().startswith("-1")
