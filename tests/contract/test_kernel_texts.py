"""Templates of kernels are text with named values; what is computed is computed in Python."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyq import kernels
from tinyq.errors import TinyqError
from tinyq.graph import TensorType
from tinyq.kernels.armv7em.rowpairs import filter_rows
from tinyq.kernels.base import Bound, Kernel, Part, Refusal
from tinyq.kernels.epilogues import list_epilogues
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.epilogue import Clip, Epilogue
from tinyq.kernels.packing.record import Record
from tinyq.kernels.registry import kernel, list_kernels
from tinyq.kernels.text import make_once, write_kernel, write_part
from tinyq.numerics.formats import find_format
from tinyq.support.resources import ROOT, TEMPLATES

FOLDER = TEMPLATES / "kernels"
TEXTS = sorted(path for path in FOLDER.glob("*/*.j2"))
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(kernels.__path__, f"{kernels.__name__}.")
    if not module.ispkg
)
_CODE = re.compile(r"\{[{%](.*?)[}%]\}", re.DOTALL)
_STRINGS = re.compile(r"\"[^\"]*\"|'[^']*'")
# What is more than an index: divisions, remainders, conversions, and numbers that get a name.
_COMPUTED = {
    "a division": re.compile(r"/"),
    "a remainder or a formatted number": re.compile(r"%"),
    "a power": re.compile(r"\*\*"),
    "a conversion to a number": re.compile(r"\|\s*(int|float|abs|max|min|sum|round)\b"),
    "a number that gets a name": re.compile(r"\bset\b[^=]*=.*[*+-]"),
    "a variable that changes": re.compile(r"\bnamespace\b"),
}
MOST_LINES, MOST_MODULE_LINES, MOST_TEMPLATES = 300, 399, 120


def list_computed(text: str) -> list[str]:
    """What a template computes, line by line."""
    found = []
    for code in _CODE.finditer(re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)):
        bare = _STRINGS.sub("", code.group(1)).strip("+-")
        found += [
            f"{name}: {code.group()}" for name, sign in _COMPUTED.items() if sign.search(bare)
        ]
    return found


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_a_template_computes_nothing(path):
    found = list_computed(path.read_text("utf-8"))
    assert not found, f"compute it in the kernel's bind and name it: {found}"


@pytest.mark.parametrize(
    "text",
    [
        "{{ a // 4 }}",
        "{{ a % 4 }}",
        "{{ a | int }}",
        "{% set x = a * b %}",
        "{% set x = namespace(y=1) %}",
        "{{ [a, b] | max }}",
    ],
)
def test_what_counts_as_computed(text):
    assert list_computed(text)


@pytest.mark.parametrize(
    "text", ["{{ a + 4 * i }}", '{% set from = "x % 4" %}', "{# a // b #}", "{%- if a > 1 -%}"]
)
def test_what_is_an_index(text):
    assert not list_computed(text)


def test_templates_are_few():
    found = [name_of(path) for path in FOLDER.rglob("*.j2")]
    assert len(found) <= MOST_TEMPLATES, "let kernels share a text, formats are a table in Python"


def test_files_are_short():
    long = [name_of(p) for p in TEXTS if len(p.read_text("utf-8").splitlines()) > MOST_LINES]
    assert not long, f"templates of more than {MOST_LINES} lines"
    files = {name: Path(inspect.getfile(importlib.import_module(name))) for name in MODULES}
    long = [
        name
        for name, path in files.items()
        if len(path.read_text("utf-8").splitlines()) > MOST_MODULE_LINES
    ]
    assert not long, f"modules of more than {MOST_MODULE_LINES} lines"


def test_every_kernel_has_its_text():
    lost = [it.name for it in list_kernels() if not (TEMPLATES / it.template).is_file()]
    assert not lost, "write the template, or name the one that it shares by text="


def test_every_template_has_its_module():
    """A text is a kernel's or an epilogue's; macros lie beside the module of the same name."""
    used = {TEMPLATES / it.template for it in (*list_kernels(), *list_epilogues())}
    shared = [path for path in TEXTS if path.parent.name in ("generic", "unpacking")]
    lost = [
        name_of(path)
        for path in TEXTS
        if path not in used
        and path not in shared
        and not (ROOT / "tinyq/kernels" / name_of(path))
        .with_name(path.name.split(".")[0] + ".py")
        .is_file()
    ]
    assert not lost, "name the template as the module in tinyq/kernels that fills it in"


@pytest.mark.parametrize("name", MODULES)
def test_records_are_drawn(name):
    """The docstring of a module shows the records that it declares."""
    module = importlib.import_module(name)
    for key, value in vars(module).items():
        if isinstance(value, Record) and f"{key} = Record(" in inspect.getsource(module):
            lines = value.draw().splitlines()
            drawn = [line.strip() for line in (module.__doc__ or "").splitlines()]
            assert all(line in drawn for line in lines), f"{key}:\n{value.draw()}"


def test_a_record_packs_and_measures():
    record = Record("bias:2", "weights:taps*2", "tail:1")
    words = [np.arange(count, dtype=np.uint32) for count in (4, 12, 2)]
    packed = record.pack({"taps": 3}, bias=words[0], weights=words[1], tail=words[2])
    assert packed.tolist() == [0, 1, 0, 1, 2, 3, 4, 5, 0, 2, 3, 6, 7, 8, 9, 10, 11, 1]
    assert record.count_words(taps=3) == 9
    assert record.locate("tail", taps=3) == 8


@pytest.mark.parametrize("count", [3, 5])
def test_a_record_refuses_other_lengths(count):
    record = Record("bias:2", "tail:1")
    with pytest.raises(ValueError, match="bias has"):
        record.pack({}, bias=np.zeros(count, np.uint32), tail=np.zeros(1, np.uint32))


def layer() -> LayerSpec:
    s8 = TensorType((4,), find_format("s8"))
    return LayerSpec("layer", (s8,), s8, (None,), (0,), "", {}, {}, ("generic",))


def test_an_error_of_a_template_names_its_line():
    part = Part("armv7em/assembly.j2", "spread", "tq_spread", {"wrods": 3}, shared=True)
    with pytest.raises(TinyqError, match="wrods"):
        write_part(part, "tq_spread")
    found = Kernel("add", ("s8", "s8"), "mve", template="kernels/mve/add.c.j2")
    with pytest.raises(TinyqError, match="constants") as caught:
        write_kernel(replace(Bound(layer(), 1), kernel=found), "f", make_once())
    assert re.search(r"kernels/mve/add\.c\.j2:\d+$", caught.value.where)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("twice", [False, True])
def test_row_pairs_finish_the_lines_that_they_compute(rows, twice):
    width = 6
    epilogue = Epilogue(Clip.SIGNED, shift=1, bits=8, twice=twice)
    text = write_part(filter_rows(width, 4, rows, epilogue), "f")
    assert text.count("smmlar" if twice else "smmla ") == width * rows


def test_two_kernels_of_one_name_are_refused():
    taken = list_kernels()[0]

    def bind(_: LayerSpec) -> Refusal:
        return Refusal("never")

    bind.__module__ = f"tinyq.kernels.{taken.isa}.twice"
    with pytest.raises(TinyqError, match="two kernels"):
        kernel(taken.operation, *taken.formats, variant=taken.variant)(bind)
