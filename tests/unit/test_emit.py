from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import PurePath

import numpy as np
import pytest

from tests import harness
from tests.mixed_model import mixed_model, raw_model
from tests.random_graphs import draw_codes
from tinyq.codegen import emit, marked_nodes
from tinyq.errors import ModelError
from tinyq.graph import Graph, GraphBuilder, Tensor, TensorType, reference
from tinyq.graph.epilogues import Requantize
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.storage import digest
from tinyq.kernels.ctext import COLUMNS, comment, fill, identify, plain, write_table
from tinyq.memory.planner import plan
from tinyq.numerics.formats import FORMATS, find_format
from tinyq.support.resources import FIRMWARE, ROOT, TEMPLATES


@pytest.fixture(scope="module")
def mixed():
    return mixed_model()


@pytest.fixture(scope="module")
def tree(mixed):
    return emit(mixed, plan(mixed))


def text_of(tree, name: str) -> str:
    return tree.files[PurePath(name)]


def inputs_of(graph: Graph, count: int = 20) -> np.ndarray:
    number_format = graph.input.type.format
    rng = np.random.default_rng(3)
    codes = rng.integers(
        number_format.lo, number_format.hi + 1, (count, *graph.input.type.shape), np.int32
    )
    return codes | 1 if number_format.step == 2 else codes


def test_files(mixed, tree):
    runtime = {path.name for path in (TEMPLATES / "runtime").glob("*.h")}
    own = {"mixed.h", "mixed.c", "mixed_weights.h", "mixed_kernels.h", "tq_model_instance.c"}
    assert set(map(str, tree.files)) == own | runtime
    assert tree.name == "mixed"
    assert tree.digest == digest(mixed)
    for name in own - {"tq_model_instance.c"}:
        assert digest(mixed) in text_of(tree, name)
    for path, text in tree.files.items():
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        assert text.isascii(), path
        assert max(map(len, text.splitlines())) <= COLUMNS, path
        assert "\n\n\n" not in text, path
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), path


def test_program_is_a_table_of_contents(mixed, tree):
    text = text_of(tree, "mixed.c")
    program = text[text.index("void mixed_run") :]
    marked = marked_nodes(mixed)
    assert [node.name for node in mixed.nodes if node not in marked] == ["flatten"]
    for index, node in enumerate(marked):
        found = re.search(
            rf"/\* {index} {node.name}: {node.op.kernel} .*?\*/\n"
            rf"    TQ_MARK\({index}\);\n    tq_{node.op.kernel}_\w+_generic\(",
            program,
            re.DOTALL,
        )
        assert found, node.name
    assert f"TQ_MARK({len(marked)});\n}}\n" in program
    assert program.count("TQ_MARK(") == len(marked) + 1
    assert "/* - flatten: reshape b1[2,2,32] -> b1[128]" in program
    assert "conv2d s8[8,8,1], s8[6,3,3,1] -> u4[8,8,6], 3,456 MACs, to arena" in program
    memory = plan(mixed)
    assert f"#define MIXED_ARENA_BYTES {memory.arena_bytes}\n" in text_of(tree, "mixed.h")
    for node in marked:
        if node.output in memory.offsets:
            assert f"TQ_ARENA({memory.offsets[node.output]})" in program


def test_each_kernel_is_there_once_and_only_if_used(tree):
    kernels, program = text_of(tree, "mixed_kernels.h"), text_of(tree, "mixed.c")
    defined = re.findall(r"^static void (\w+)\(", kernels, re.MULTILINE)
    assert len(defined) == len(set(defined))
    assert set(defined) == set(re.findall(r"\b(tq_\w+_generic)\(", program))


def test_no_float_and_no_malloc(tree):
    for path, text in tree.files.items():
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        if path.name == "mixed.h":  # what it offers beside: real numbers to codes and back
            code = re.sub(r"static inline.*?^}", "", code, flags=re.DOTALL | re.MULTILINE)
            code = re.sub(r"^#define \w+_SCALE .*$", "", code, flags=re.MULTILINE)
        assert not re.search(r"\b(float|double|malloc|free)\b", code), path
        assert not re.search(r"\d\.\d", code), path
        assert set(re.findall(r"#include <(.*?)>", code)) <= {"stdint.h"}


def test_text_depends_on_the_arguments_alone(tree):
    code = (
        "from tests.mixed_model import mixed_model; from tinyq.codegen import emit;"
        "from tinyq.memory.planner import plan; graph = mixed_model();"
        "print('\\0'.join(map(str, emit(graph, plan(graph)).files.values())), end='')"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split("\0") == list(tree.files.values())


@pytest.mark.requires("clang-format")
@pytest.mark.parametrize("model", [mixed_model, raw_model])
def test_sources_are_formatted(model, tmp_path):
    graph = model("fashion_mnist_mixed_precision")
    files = emit(graph, plan(graph)).files
    for path, text in files.items():
        (tmp_path / path).write_text(text, "utf-8")
    style = f"--style=file:{ROOT / '.clang-format'}"
    done = subprocess.run(
        ["clang-format", style, "--dry-run", "-Werror", *map(str, files)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:3000]


BUILDS = [
    pytest.param(compiler, flags, marks=pytest.mark.requires(compiler), id=f"{compiler}{flags[-1]}")
    for compiler in ("gcc", "clang")
    for flags in (("-O0",), ("-Os",), ("-O2",), ("-O3",), harness.SANITIZE)
]


@pytest.mark.parametrize(("compiler", "flags"), BUILDS)
def test_model_equals_the_reference(mixed, compiler, flags):
    graphs = [mixed, raw_model()]
    trees = [emit(graph, plan(graph)) for graph in graphs]
    programs = harness.compile_models(trees, compiler, flags)
    for graph, program in zip(graphs, programs, strict=True):
        assert harness.differences(graph, program, inputs_of(graph)) == 0
    assert len(np.unique(reference.run(mixed, inputs_of(mixed)))) > 20, "the test sees too little"


@pytest.mark.requires("arm-none-eabi-gcc")
@pytest.mark.parametrize("level", ["-O0", "-Os", "-O2", "-O3"])
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_model_compiles_for_the_device(tree, tmp_path, core, level):
    for path, text in tree.files.items():
        (tmp_path / path).write_text(text, "utf-8")
    done = subprocess.run(
        [
            *("arm-none-eabi-gcc", *harness.STRICT, "-Wcast-align=strict", level),
            *(f"-mcpu={core}", "-mthumb", "-I", str(FIRMWARE / "core")),
            *("-include", "tq_profile.h", "-c", "mixed.c", "tq_model_instance.c"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.requires("gcc")
def test_odd_names_become_c_names():
    names = ["int", "a-b", "a_b", "2nd", "output", "arena", "*/ x", "é", "run", "conv geometry"]
    builder = GraphBuilder.start("main_model", TensorType((3, 3), find_format("s8"), 0.1))
    last = builder.input
    for name in names:
        tables = [
            builder.constant(f"{name} {part}", [value] * 3, find_format("s32"))
            for part, value in (("bias", 1), ("multiplier", 2**30), ("shift", 30))
        ]
        epilogue = Requantize("s8", 0.1, 0, -128, 127)
        last = builder.apply(name, OPERATIONS["Rescale"](epilogue), last, *tables)
    graph = builder.build(last)
    harness.check_graph(graph, inputs_of(graph))


@pytest.mark.requires("gcc")
def test_reshape_from_an_input_to_an_output_copies():
    builder = GraphBuilder.start("copy", TensorType((2, 32), find_format("b1")))
    builder.apply("view", OPERATIONS["Reshape"]((64,)), "input")
    graph = builder.build(builder.apply("copy", OPERATIONS["Reshape"]((2, 32)), "view"))
    assert [node.name for node in marked_nodes(graph)] == ["copy"]
    harness.check_graph(graph, inputs_of(graph))


def test_name_that_is_not_c_is_an_error():
    graph = mixed_model()
    for name in ("modèle", "_model"):
        bad = Graph(name, graph.inputs, graph.outputs, graph.tensors, graph.nodes)
        with pytest.raises(ModelError, match="cannot begin C names"):
            emit(bad, plan(graph))


def test_identify_keeps_names_apart():
    names = identify("net", ["a/b", "a_b", "a b", "", "é"])
    assert names["a/b"] == "net_a_b"
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"net_[A-Za-z0-9_]*", name) for name in names.values())


def test_plain_ends_no_comment():
    assert "*/" not in plain("a */ b /* é \n") and "/*" not in plain("/*")
    assert plain("é").isascii()


@pytest.mark.parametrize("length", [1, 30, 200])
def test_comment_keeps_the_columns(length):
    lines = comment("word " * length, 4).splitlines()
    assert len(lines[0]) + 4 <= COLUMNS and all(len(line) <= COLUMNS for line in lines)
    assert lines[0].startswith("/* ") and lines[-1].endswith(" */")


def test_fill_breaks_after_commas():
    items = [f"argument_number_{index}" for index in range(12)]
    lines = fill("call", items, ";", 4).splitlines()
    assert max(map(len, lines[1:])) <= COLUMNS and len(lines[0]) + 4 <= COLUMNS
    assert all(line.startswith(" " * 9 + "argument") for line in lines[1:])
    assert lines[-1].endswith("argument_number_11);")
    assert fill("f", ["a"], ";") == "f(a);"


@pytest.mark.parametrize(
    "name", ["b1", "t2", "s2", "s3", "u2", "p4", "s4", "u4", "s8", "u8", "s16", "u16", "s32"]
)
def test_table_holds_the_packed_units(name, rng):
    number_format = FORMATS[name]
    codes = draw_codes(rng, number_format, (3, 37))
    tensor = Tensor("w", TensorType(codes.shape, number_format), codes)
    units = [int(text, 0) for text in write_table(tensor).replace(",", " ").split()]
    kind = "i" if number_format.c_type.startswith("int") else "u"
    back = np.array(units, np.int64).astype(f"<{kind}{number_format.word_bytes}")
    assert np.array_equal(number_format.unpack(back.view(np.uint8).reshape(3, -1), 37), codes)


@pytest.mark.requires("gcc")
def test_a_model_that_reads_none_of_its_input_compiles():
    """Its input is copied, and nobody reads it."""
    s32, codes = find_format("s32"), np.array([[3, -1, 7], [2**31 - 1, -(2**31), 0]])
    builder = GraphBuilder.start("constant", TensorType((5,), find_format("s8"), 1.0))
    table = builder.constant("table", codes, s32)
    graph = builder.build(builder.apply("last", OPERATIONS["Argmax"](), table))
    tree = emit(graph, plan(graph))
    assert harness.differences(graph, harness.compile_model(tree), inputs_of(graph)) == 0


@pytest.mark.requires("gcc")
def test_harness_sees_a_write_outside_the_arena(mixed, tree):
    """A harness whose sanitizer sleeps would pass everything."""
    files = dict(tree.files)
    program = files[PurePath("mixed.c")]
    small = program.replace("arena[MIXED_ARENA_BYTES / 4]", "arena[MIXED_ARENA_BYTES / 8]")
    assert small != program
    files[PurePath("mixed.c")] = small
    broken = harness.compile_model(dataclasses.replace(tree, files=files))
    with pytest.raises(harness.SanitizerError, match=r"overflow|insufficient space"):
        harness.differences(mixed, broken, inputs_of(mixed))


@pytest.mark.requires("gcc")
def test_harness_sees_a_wrong_code(mixed, tree):
    files = dict(tree.files)
    runtime = files[PurePath("tq_arith.h")]
    files[PurePath("tq_arith.h")] = runtime.replace("<< (shift - 1);", "<< (shift - 2);")
    broken = harness.compile_model(dataclasses.replace(tree, files=files))
    assert harness.differences(mixed, broken, inputs_of(mixed)) > 0


def test_a_constant_is_written_once_however_often_it_is_read():
    """One node reads equal multiplier and shift; two nodes share a table, which has no layer."""
    builder = GraphBuilder.start("shared", TensorType((2,), find_format("s8"), 1.0, 0))
    epilogue = Requantize("s8", 1.0, 0, -128, 127)
    bias = builder.constant("bias", np.zeros(2, np.int32), find_format("s32"))
    both = builder.constant("both", np.ones(2, np.int32), find_format("s32"))
    first = builder.apply("first", OPERATIONS["Rescale"](epilogue), builder.input, bias, both, both)
    second = builder.apply("second", OPERATIONS["Rescale"](epilogue, 1), first, bias, both, both)
    graph = builder.build(second)
    files = emit(graph, plan(graph)).files
    weights = files[PurePath("shared_weights.h")]
    assert weights.count("static const int32_t shared_both[2] = {") == 1
    assert weights.count("static const int32_t shared_bias[2] = {") == 1
    assert "TQ_CONSTANT(1) = {" in weights


def test_layers_with_codebooks_of_their_own_share_a_kernel():
    builder = GraphBuilder.start("net", TensorType((4,), FORMATS["s8"]))
    last = builder.input
    books = {"one": (-9, 0, 2, 7), "two": (-1, 3, 5, 100)}
    for name, levels in books.items():
        weights = builder.constant(
            f"{name}/weights", [levels] * 4, FORMATS["c2"].with_levels(levels)
        )
        tables = [
            builder.constant(f"{name}/{key}", [value] * 4, FORMATS["s32"])
            for key, value in {"bias": 0, "multiplier": 1, "shift": 4}.items()
        ]
        epilogue = Requantize("s8", 1.0, 0, -128, 127)
        last = builder.apply(name, OPERATIONS["Dense"](epilogue), last, weights, *tables)
    graph = builder.build(last)
    tree = emit(graph, plan(graph))
    kernels = tree.files[PurePath("net_kernels.h")]
    assert kernels.count("static void tq_dense_s8_c2_s8_generic(") == 1
    assert "const int8_t *levels" in kernels
    constants = tree.files[PurePath("net_weights.h")]
    for name, levels in books.items():
        text = ", ".join(map(str, levels))
        assert re.search(rf"net_{name}_weights_levels\[4\].* = {{\s+{text},\s", constants)
        call = rf"net_{name}_weights,\s+net_{name}_weights_levels,"
        assert re.search(call, tree.files[PurePath("net.c")])
    # Four rows of one byte, four levels, three tables of four words.
    assert f"{2 * (4 + 4 + 48)} bytes of constants" in tree.files[PurePath("net.h")]
