"""What the folder of kernels promises: complete, all used, all readable."""

from __future__ import annotations

import itertools
import re
import subprocess

import pytest

from tests.bitexact.bench import Case
from tests.bitexact.cases import draw_cases
from tests.harness import STRICT
from tinyq.errors import TinyqError
from tinyq.graph import GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw, Requantize
from tinyq.graph.ops import EPILOGUES, OPERATIONS
from tinyq.kernels.base import Bound, Kernel, Refusal, list_members
from tinyq.kernels.ctext import COLUMNS
from tinyq.kernels.epilogues import list_epilogues
from tinyq.kernels.registry import list_kernels
from tinyq.kernels.text import write_epilogue
from tinyq.numerics.formats import find_format
from tinyq.selection import candidates, find_output, list_rivals, select_kernel
from tinyq.support.resources import ROOT, TEMPLATES

INPUTS = ("b1", "s2", "s3", "s4", "u2", "u4", "s8")
WIDE = ("s16", "s8")  # 16-bit activations of imported models
WEIGHTS = ("b1", "t2", "s2", "s3", "s4", "s8", "p4", "a4", "c2", "c4", "n2", "d2", "d3")
PROMISED = {
    "conv2d": [*itertools.product(INPUTS, (*WEIGHTS, "g2")), WIDE],
    "depthwise2d": [*itertools.product(INPUTS, WEIGHTS), WIDE],
    "dense": [*itertools.product(INPUTS, (*WEIGHTS, "g2")), WIDE],
    "add": list(itertools.product(INPUTS, INPUTS)),
    "rescale": [(name,) for name in (*INPUTS, "u8", "s16", "s32")],
    "sumpool2d": [(name,) for name in (*INPUTS, "u8", "s16")],
    "maxpool2d": [(name,) for name in (*INPUTS, "u8", "s16")],
    "averagepool2d": [(name,) for name in ("s2", "s3", "s4", "u2", "u4", "s8", "u8")],
    "concatenate": [(name,) for name in (*INPUTS, "u8", "s16")],
    "pad2d": [(name,) for name in (*INPUTS, "u8", "s16")],
    "reshape": [(name,) for name in (*INPUTS, "u8", "s16", "s32")],
    "softmax": [("s8",)],
    "argmax": [(name,) for name in (*INPUTS, "u8", "s32")],
}
# The rows of a depthwise layer's weights are channels: no groups.
UNGROUPED = {("depthwise2d", (name, "g2")) for name in INPUTS}
GENERIC = [kernel for kernel in list_kernels() if kernel.isa == "generic"]
TEXTS = sorted((TEMPLATES / "kernels/generic").iterdir())


def test_every_operation_has_its_generic_kernels():
    found: dict[str, set[tuple[str, ...]]] = {}
    for kernel in GENERIC:
        found.setdefault(kernel.operation, set()).add(kernel.formats)
    assert set(found) == {operation.kernel for operation in OPERATIONS.values()}
    missing = {name: set(pairs) - found[name] for name, pairs in PROMISED.items()}
    assert not any(missing.values()), missing


def test_a_fast_kernel_has_a_generic_one():
    generic = {(kernel.operation, kernel.formats) for kernel in GENERIC}
    lonely = [
        (kernel.name, formats)
        for kernel in list_kernels()
        for formats in itertools.product(*map(list_members, kernel.formats))
        if (kernel.operation, formats) not in generic | UNGROUPED
    ]
    assert not lonely, "the generic kernel is the definition that a fast one is held against"


def test_a_class_of_formats_stands_for_its_members():
    assert list_members("s4") == ("s4",)
    members = list_members("int8")
    assert {*WEIGHTS, "g2"} - {"b1"} == set(members)


def test_each_format_names_as_many_operands_as_are_keyed():
    by_kernel = {operation.kernel: operation for operation in OPERATIONS.values()}
    for kernel in list_kernels():
        assert len(kernel.formats) == len(by_kernel[kernel.operation].keyed), kernel.name


def test_every_epilogue_has_a_template():
    assert {it.epilogue for it in list_epilogues()} == {name.lower() for name in EPILOGUES}
    assert not [it.name for it in list_epilogues() if not (TEMPLATES / it.template).is_file()]
    formats = {it.format for it in list_epilogues()}
    assert formats >= {"b1", "s2", "s3", "s4", "u2", "u4", "s8", "u8", "s16", "s32"}


def test_epilogues_have_different_tags():
    tags = [it.tag for it in list_epilogues()]
    assert len(set(tags)) == len(tags), "two kernels would have one C name"
    assert {("b1",), ("u4",), ("s8",), ("s32",)} <= set(tags)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_generic_text_decides_nothing_by_format_and_is_used(path):
    text, name = path.read_text("utf-8"), path.relative_to(TEMPLATES).as_posix()
    assert not re.search(r"{%-?\s*(if|elif)\b", text), "what differs is in the table of products"
    used = {kernel.template for kernel in GENERIC}
    used |= {it for other in TEXTS for it in re.findall(r'extends "(.*?)"', other.read_text())}
    assert name in used, f"{path.name} is no kernel's text"


def rendered(cases: list[Case]) -> dict[str, str]:
    texts = {}
    for case in cases:
        texts[case.function] = case.text
        if case.epilogue:
            texts[case.epilogue.name] = write_epilogue(case.epilogue)
    return texts


@pytest.fixture(scope="module")
def all_texts():
    import numpy as np

    rng = np.random.default_rng(0)
    texts: dict[str, str] = {}
    for kernel in GENERIC:
        texts |= rendered(list(draw_cases(kernel, rng, 1)))
    return texts


def test_function_name_is_file_name_and_output(all_texts):
    for name, text in all_texts.items():
        assert f" {name}(" in text
    for kernel in GENERIC:
        stem = f"tq_{'_'.join((kernel.operation, *kernel.formats))}_"
        assert any(name.startswith(stem) for name in all_texts), kernel.name


@pytest.mark.requires("clang-format")
def test_rendered_kernels_are_formatted(all_texts, tmp_path):
    path = tmp_path / "kernels.c"
    path.write_text("\n".join(all_texts.values()), "utf-8")
    assert max(map(len, path.read_text().splitlines())) <= COLUMNS
    done = subprocess.run(
        ["clang-format", f"--style=file:{ROOT / '.clang-format'}", "--dry-run", "-Werror", path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:3000]


@pytest.mark.requires("arm-none-eabi-gcc")
@pytest.mark.parametrize("level", ["-O0", "-Os", "-O2"])
def test_runtime_headers_compile_for_the_device(level, tmp_path):
    headers = sorted((TEMPLATES / "runtime").glob("*.h"))
    text = "".join(f'#include "{path.name}"\n' for path in headers)
    (tmp_path / "all.c").write_text(text + "int nothing;\n", "utf-8")
    target = ("-mcpu=cortex-m4", "-mthumb", "-I", str(TEMPLATES / "runtime"))
    done = subprocess.run(
        ["arm-none-eabi-gcc", *STRICT, level, *target, "-c", "all.c"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def wide_weights(name: str):
    builder = GraphBuilder.start("model", TensorType((4,), find_format(name)))
    epilogue = Raw()
    bias = builder.constant("bias", [0, 0], find_format("s32"))
    weights = builder.constant("w", [[1, 2, 3, 4], [0, 0, 0, 0]], find_format("s16"))
    builder.apply("dense_7", OPERATIONS["Dense"](epilogue), "input", weights, bias)
    return builder.build("dense_7")


def test_missing_kernel_is_named():
    graph = wide_weights("s8")
    with pytest.raises(TinyqError) as caught:
        select_kernel(graph, graph.nodes[0], ("armv7em", "generic"))
    assert caught.value.where == "dense_7"
    assert "no kernel for dense with s8 and s16" in str(caught.value)
    assert "tinyq/kernels/generic" in str(caught.value)


def test_missing_epilogue_is_named():
    builder = GraphBuilder.start("model", TensorType((2,), find_format("s8")))
    tables = [builder.constant(n, [1, 1], find_format("s32")) for n in ("b", "m", "s")]
    epilogue = Requantize("u16", 1.0, 0, 0, 9)
    builder.apply("scale", OPERATIONS["Rescale"](epilogue), "input", *tables)
    graph = builder.build("scale")
    with pytest.raises(TinyqError) as caught:
        find_output(graph, graph.nodes[0])
    assert caught.value.where == "scale"
    assert "templates/kernels/epilogues/requantize.c.j2" in str(caught.value)


def some_kernel(isa: str, *formats: str, variant: str = "") -> Kernel:
    return Kernel("dense", formats, isa, variant, binder=lambda layer: Bound(layer, 1))


def test_isa_order_decides(monkeypatch):
    known = [
        some_kernel("armv7em", "s8", "int8", variant="a"),
        some_kernel("armv7em", "s8", "s8"),
        some_kernel("generic", "s8", "s16"),
        some_kernel("generic", "s8", "s8"),
    ]
    monkeypatch.setattr(candidates, "list_kernels", lambda: known)
    builder = GraphBuilder.start("model", TensorType((1,), find_format("s8")))
    weights = builder.constant("w", [[1]], find_format("s8"))
    bias = builder.constant("b", [0], find_format("s32"))
    builder.apply("dense", OPERATIONS["Dense"](Raw()), "input", weights, bias)
    graph = builder.build("dense")
    node = graph.nodes[0]
    for isas in (("armv7em", "generic"), ("generic", "armv7em")):
        assert list_rivals(graph, node, isas)[0].isa == isas[0]
    assert list_rivals(graph, node, ("mve", "generic"))[0].isa == "generic"
    names = [kernel.name for kernel in list_rivals(graph, node, ("armv7em", "generic"))]
    assert names == ["dense_s8_s8_armv7em", "dense_s8_int8_armv7em-a", "dense_s8_s8_generic"], (
        "a kernel for one format comes before one for many"
    )
    wide = wide_weights("s8")
    assert list_rivals(wide, wide.nodes[0], ("armv7em", "generic"))[0].isa == "generic"


def test_a_kernel_that_refuses_is_named():
    refusal = Kernel("dense", ("s8",), "mve", binder=lambda _: Refusal("it is large")).bind(
        None  # type: ignore[arg-type]
    )
    assert refusal == Refusal("it is large", refusal.kernel)
    assert refusal.kernel.name == "dense_s8_mve"
