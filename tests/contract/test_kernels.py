"""What the folder of kernels promises: complete, all used, all readable."""

from __future__ import annotations

import itertools
import re
import subprocess

import pytest

from tests.bitexact.bench import Case
from tests.bitexact.cases import draw_cases
from tests.harness import STRICT
from tinyq.codegen import Kernel, kernels, load_kernels, load_stages
from tinyq.codegen.ctext import COLUMNS
from tinyq.codegen.emit import make_environment, render_function, render_stage
from tinyq.codegen.kernels import list_candidates, list_members, select_kernel, select_stage
from tinyq.errors import TinyqError
from tinyq.graph import GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw, Requantize
from tinyq.graph.ops import OPERATIONS, STAGES
from tinyq.numerics.formats import find_format
from tinyq.support.resources import ROOT, TEMPLATES

INPUTS = ("b1", "u2", "u4", "s8")
WIDE = ("s16", "s8")  # 16-bit activations of imported models
WEIGHTS = ("b1", "t2", "s2", "s3", "s4", "s8", "p4", "a4", "c2", "c4", "n2", "d2", "d3")
PROMISED = {
    "conv2d": [*itertools.product(INPUTS, (*WEIGHTS, "g2")), WIDE],
    "depthwise2d": [*itertools.product(INPUTS, WEIGHTS), WIDE],
    "dense": [*itertools.product(INPUTS, (*WEIGHTS, "g2")), WIDE],
    "add": list(itertools.product(INPUTS, INPUTS)),
    "rescale": [(name,) for name in (*INPUTS, "s4", "u8", "s16", "s32")],
    "sumpool2d": [(name,) for name in (*INPUTS, "s4", "u8", "s16")],
    "maxpool2d": [(name,) for name in (*INPUTS, "s4", "u8", "s16")],
    "averagepool2d": [(name,) for name in ("s4", "u2", "u4", "s8", "u8")],
    "concatenate": [(name,) for name in (*INPUTS, "s4", "u8", "s16")],
    "pad2d": [(name,) for name in (*INPUTS, "s4", "u8", "s16")],
    "reshape": [(name,) for name in (*INPUTS, "s4", "u8", "s16", "s32")],
    "softmax": [("s8",)],
    "argmax": [(name,) for name in (*INPUTS, "s4", "u8", "s32")],
}
# The rows of a depthwise layer's weights are channels: no groups.
UNGROUPED = {("depthwise2d", (name, "g2")) for name in INPUTS}
GENERIC = [kernel for kernel in load_kernels() if kernel.isa == "generic"]
BY_NAME = {kernel.path.name: kernel for kernel in load_kernels()}


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
        (kernel.path.name, formats)
        for kernel in load_kernels()
        for formats in itertools.product(*map(list_members, kernel.formats))
        if (kernel.operation, formats) not in generic | UNGROUPED
    ]
    assert not lonely, "the generic kernel is the definition that a fast one is held against"


def test_a_class_of_formats_stands_for_its_members():
    assert list_members("s4") == ("s4",)
    members = list_members("i8")
    assert {*WEIGHTS, "g2"} - {"b1"} == set(members)


def test_each_format_names_as_many_operands_as_are_keyed():
    by_kernel = {operation.kernel: operation for operation in OPERATIONS.values()}
    for kernel in load_kernels():
        assert len(kernel.formats) == len(by_kernel[kernel.operation].keyed), kernel.path.name


def test_every_stage_has_a_template():
    assert {stage.stage for stage in load_stages()} == {name.lower() for name in STAGES}
    formats = {stage.format for stage in load_stages()}
    assert formats >= {"b1", "s4", "u2", "u4", "s8", "u8", "s16", "s32"}


def test_stages_have_different_tags():
    tags = [stage.tag for stage in load_stages()]
    assert len(set(tags)) == len(tags), "two kernels would have one C name"
    assert {("b1",), ("u4",), ("s8",), ("s32",)} <= set(tags)


@pytest.mark.parametrize("name", [kernel.path.name for kernel in GENERIC])
def test_kernel_decides_nothing_by_format(name):
    text = BY_NAME[name].path.read_text("utf-8")
    assert not re.search(r"{%-?\s*(if|elif)\b", text), "another format is another file"


@pytest.mark.parametrize("path", sorted((TEMPLATES / "skeletons").iterdir()), ids=lambda p: p.name)
def test_skeleton_decides_nothing_by_format_and_is_used(path):
    text = path.read_text("utf-8")
    assert not re.search(r"{%-?\s*(if|elif)\b", text)
    users = [p for p in TEMPLATES.rglob("*.j2") if f'"skeletons/{path.name}"' in p.read_text()]
    assert users, f"{path.name} is extended by no template"


def rendered(kernel: Kernel, cases: list[Case]) -> dict[str, str]:
    environment = make_environment()
    texts = {}
    for case in cases:
        texts[case.function.name] = render_function(environment, case.function)
        if case.stage:
            texts[case.stage.function] = render_stage(environment, case.function, case.stage)
    return texts


@pytest.fixture(scope="module")
def all_texts():
    import numpy as np

    rng = np.random.default_rng(0)
    texts: dict[str, str] = {}
    for kernel in GENERIC:
        texts |= rendered(kernel, list(draw_cases(kernel, rng, 1)))
    return texts


def test_function_name_is_file_name_and_output(all_texts):
    for name, text in all_texts.items():
        assert f" {name}(" in text
    for kernel in GENERIC:
        stem = f"tq_{'_'.join((kernel.operation, *kernel.formats))}_"
        assert any(name.startswith(stem) for name in all_texts), kernel.path.name


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
    stage = Raw()
    bias = builder.constant("bias", [0, 0], find_format("s32"))
    weights = builder.constant("w", [[1, 2, 3, 4], [0, 0, 0, 0]], find_format("s16"))
    builder.apply("dense_7", OPERATIONS["Dense"](stage), "input", weights, bias)
    return builder.build("dense_7")


def test_missing_kernel_is_named():
    graph = wide_weights("s8")
    with pytest.raises(TinyqError) as caught:
        select_kernel(graph, graph.nodes[0], ("armv7em", "generic"))
    assert caught.value.where == "dense_7"
    assert "templates/kernels/dense_s8_s16_generic.c.j2" in str(caught.value)


def test_missing_stage_is_named():
    builder = GraphBuilder.start("model", TensorType((2,), find_format("s8")))
    tables = [builder.constant(n, [1, 1], find_format("s32")) for n in ("b", "m", "s")]
    stage = Requantize("u16", 1.0, 0, 0, 9)
    builder.apply("scale", OPERATIONS["Rescale"](stage), "input", *tables)
    graph = builder.build("scale")
    with pytest.raises(TinyqError) as caught:
        select_stage(graph, graph.nodes[0])
    assert caught.value.where == "scale"
    assert "templates/outputs/requantize_u16.c.j2" in str(caught.value)


@pytest.mark.parametrize("name", ["dense.c.j2", "dense_s9_generic.c.j2", "dense__s8_generic.c.j2"])
def test_wrong_file_name_is_an_error(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(TinyqError, match=r"template name|number format"):
        load_kernels(tmp_path)


def test_isa_order_decides(tmp_path, monkeypatch):
    names = ("dense_s8_s8_generic.c.j2", "dense_s8_s8_armv7em.c.j2", "dense_s8_s16_generic.c.j2")
    for name in names:
        (tmp_path / name).write_text("")
    monkeypatch.setattr(kernels, "load_kernels", lambda: load_kernels(tmp_path))
    builder = GraphBuilder.start("model", TensorType((1,), find_format("s8")))
    weights = builder.constant("w", [[1]], find_format("s8"))
    bias = builder.constant("b", [0], find_format("s32"))
    builder.apply("dense", OPERATIONS["Dense"](Raw()), "input", weights, bias)
    graph = builder.build("dense")
    node = graph.nodes[0]
    assert select_kernel(graph, node, ("armv7em", "generic")).isa == "armv7em"
    assert select_kernel(graph, node, ("generic", "armv7em")).isa == "generic"
    assert select_kernel(graph, node, ("mve", "generic")).isa == "generic"
    (tmp_path / "dense_s8_i8_armv7em-a.c.j2").write_text("")
    load_kernels.cache_clear()
    kernels_of = list_candidates(graph, node, ("armv7em", "generic"))
    assert [kernel.path.name for kernel in kernels_of] == [
        "dense_s8_s8_armv7em.c.j2",
        "dense_s8_i8_armv7em-a.c.j2",
        "dense_s8_s8_generic.c.j2",
    ], "a kernel for one format comes before one for many"
    wide = wide_weights("s8")
    assert select_kernel(wide, wide.nodes[0], ("armv7em", "generic")).isa == "generic"
