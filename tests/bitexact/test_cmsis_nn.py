"""CMSIS-NN as back end: its calls give the bytes of the reference, under both rounding rules.

A double of the library stands in for it (tests/cmsis_nn). TINYQ_CMSIS_NN names a folder with the
real one, built for this machine: single/ and twice/, each with Include/ and an archive.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.harness import SANITIZE, STRICT
from tests.random_graphs import draw_codes
from tests.selected import emit_for
from tinyq.codegen import emit
from tinyq.errors import TinyqError
from tinyq.firmware.build import Image
from tinyq.firmware.cmsis_nn import ISA, choose_rounding, find_cmsis_nn
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Epilogue, Requantize, RequantizeTwice
from tinyq.graph.ops import OPERATIONS
from tinyq.graph.ops.window import Window
from tinyq.graph.reference import run
from tinyq.hardware.boards import find_board
from tinyq.memory.planner import plan
from tinyq.numerics.fixed_point import softmax_exponentials
from tinyq.numerics.formats import find_format
from tinyq.project import create_project
from tinyq.selection import plan_kernels, select_kernel, select_kernels
from tinyq.targets import open_link

DOUBLE = Path(__file__).parents[1] / "cmsis_nn"
ISAS = (ISA, "generic")
RULES = {"single": Requantize, "twice": RequantizeTwice}
SAMPLES = 20


@dataclass(slots=True)
class Sketch:
    """A chain of layers with random sizes and constants, all s8 and one rounding rule."""

    rng: np.random.Generator
    rule: type
    builder: GraphBuilder

    def epilogue(self) -> Epilogue:
        lo, hi = sorted(self.rng.integers(-128, 128, 2).tolist()) if self.odd() else (-128, 127)
        zero = int(self.rng.integers(-128, 128))
        return self.rule("s8", 0.1, zero, min(lo, hi - 1), max(hi, lo + 1))

    def odd(self) -> bool:
        return bool(self.rng.integers(0, 2))

    def window(self, shape: Sequence[int], *, dilated: bool = True) -> Window:
        size = tuple(int(self.rng.integers(1, min(4, side) + 1)) for side in shape[:2])
        stride = tuple(self.rng.integers(1, 3, 2).tolist())
        wide = all(3 * (tap - 1) < side for tap, side in zip(size, shape, strict=False))
        dilation = (2, 2) if dilated and wide and self.odd() else (1, 1)
        rest = [
            int(self.rng.integers(0, (tap - 1) * step + 1))
            for tap, step in zip(size, dilation, strict=True)
        ]
        padding = (rest[0] // 2, rest[0] - rest[0] // 2, rest[1] // 2, rest[1] - rest[1] // 2)
        return Window(size, stride, dilation, padding)

    def weights(self, name: str, form: str, shape: Sequence[int]) -> str:
        codes = draw_codes(self.rng, find_format(form), shape)
        return self.builder.constant(f"{name}/w", codes, find_format(form))

    def tables(
        self, name: str, epilogue: Epilogue, channels: int, depth: int, *, alike: bool = False
    ) -> list[str]:
        count = 1 if alike else channels
        shift = 31 + int(np.log2(depth * 60)) + self.rng.integers(-1, 3, count)
        tables = {
            "bias": self.rng.integers(-500, 500, channels),
            "multiplier": self.rng.integers(2**30, 2**31 - 1, count),
            "shift": shift,
            "exponent": 31 - shift,
        }
        tables = {key: np.broadcast_to(table, (channels,)) for key, table in tables.items()}
        return [
            self.builder.constant(f"{name}/{key}", tables[key], find_format("s32"))
            for key in epilogue.names
        ]

    def layer(self, name: str, kind: str, form: str, x: str) -> str:
        source = self.builder.type(x)
        shape, zero = source.shape, source.zero_point or 0
        epilogue, out = self.epilogue(), int(self.rng.integers(1, 9))
        alike = kind == "Dense" and form == "s4"
        if kind == "Dense":
            w = self.weights(name, form, (out, shape[-1]))
            op, depth = OPERATIONS[kind](epilogue, zero), shape[-1]
        else:
            window = self.window(shape)
            taps = window.size[0] * window.size[1]
            if kind == "Conv2D":
                w, depth = self.weights(name, form, (out, *window.size, shape[2])), taps * shape[2]
            else:
                out = shape[2] * int(self.rng.choice([1, 1, 2]))
                w, depth = self.weights(name, form, (*window.size, out)), taps
            op = OPERATIONS[kind](epilogue, window, zero)
        return self.builder.apply(
            name, op, x, w, *self.tables(name, epilogue, out, depth, alike=alike)
        )

    def product(self, name: str, x: str) -> str:
        """A tensor times itself."""
        source = self.builder.type(x)
        epilogue, channels, zero = self.epilogue(), source.shape[-1], source.zero_point
        count = len(epilogue.names)
        tables = self.tables(name, epilogue, channels, 200, alike=True)
        bias = self.builder.constant(f"{name}/none", np.zeros(channels, int), find_format("s32"))
        op = OPERATIONS["Multiply"](epilogue, zero, zero)
        return self.builder.apply(name, op, x, x, bias, *tables[1:count])

    def softmax(self, name: str, x: str) -> str:
        """Softmax of a vector."""
        table = softmax_exponentials(self.builder.type(x).scale, 1.0)[0]
        constant = self.builder.constant(f"{name}/table", table, find_format("s32"))
        return self.builder.apply(name, OPERATIONS["TfliteSoftmax"](), x, constant)


def draw_model(rng: np.random.Generator, rule: type) -> Graph:
    """Layers of all kinds that the library has; what rounds twice adds and averages as well."""
    shape = (*rng.integers(5, 10, 2).tolist(), int(rng.integers(1, 7)))
    zero = int(rng.integers(-128, 128))
    builder = GraphBuilder.start("net", TensorType(shape, find_format("s8"), 0.1, zero))
    sketch = Sketch(rng, rule, builder)
    x = "input"
    for name, kind in (("one", "Conv2D"), ("two", "DepthwiseConv2D"), ("three", "Conv2D")):
        x = sketch.layer(name, kind, str(rng.choice(["s8", "s4"])), x)
    x = sketch.product("product", x)
    source = builder.type(x)
    if rule is RequantizeTwice:
        zero = source.zero_point
        epilogue = rule("s8", 0.1, int(rng.integers(-128, 128)), -128, 127)
        scales = (int(rng.integers(2**30, 2**31)), -1, int(rng.integers(2**30, 2**31)), 0)
        channels = source.shape[-1]
        tables = {"bias": 0, "multiplier": int(rng.integers(2**30, 2**31 - 1)), "exponent": -19}
        constants = [
            builder.constant(f"add/{key}", np.full(channels, tables[key]), find_format("s32"))
            for key in epilogue.names
        ]
        op = OPERATIONS["TfliteAdd"](epilogue, *scales, 1, 20, zero, zero)
        x = builder.apply("add", op, x, x, *constants)
    window = sketch.window(source.shape, dilated=False)
    if rule is RequantizeTwice and sketch.odd():
        x = builder.apply("pool", OPERATIONS["TfliteAveragePool2D"](window, -100, 120), x)
    else:
        x = builder.apply("pool", OPERATIONS["MaxPool2D"](window), x)
    size = int(np.prod(builder.type(x).shape))
    x = builder.apply("flat", OPERATIONS["Reshape"]((size,)), x)
    x = sketch.layer("narrow", "Dense", "s4", x)
    return builder.build(sketch.softmax("softmax", sketch.layer("dense", "Dense", "s8", x)))


def build_double(folder: Path, compiler: str, flags: Sequence[str]) -> Path:
    """Lay the double out as a user's folder of CMSIS-NN."""
    include = folder / "Include"
    include.mkdir(parents=True)
    for path in (DOUBLE / "Include").iterdir():
        (include / path.name).write_text(path.read_text("utf-8"))
    build = [compiler, *flags, f"-I{include}", "-c", str(DOUBLE / "double.c"), "-o", "double.o"]
    subprocess.run(build, cwd=folder, check=True)
    archiver = compiler.removesuffix("gcc") + "ar"
    subprocess.run([archiver, "rcs", "libdouble.a", "double.o"], cwd=folder, check=True)
    (folder / "double.o").unlink()
    return folder


@pytest.fixture(params=RULES)
def rule(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def library(rule: str, tmp_path: Path) -> Path:
    given = os.environ.get("TINYQ_CMSIS_NN")
    if given:
        return Path(given) / rule
    single = ("-DCMSIS_NN_USE_SINGLE_ROUNDING",) if rule == "single" else ()
    return build_double(tmp_path / "double", "gcc", (*STRICT, *SANITIZE, *single))


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("index", range(12))
def test_calls_give_the_bytes_of_the_reference(rule, library, index, seed, tmp_path):
    rng = np.random.default_rng([seed, index])
    graph = draw_model(rng, RULES[rule])
    tree = emit_for(graph, ISAS)
    for path, text in tree.files.items():
        (tmp_path / path).write_text(text)
    found = find_cmsis_nn(library, graph, ISAS)
    (tmp_path / "main.c").write_text(
        '#include "net.h"\n#include <stdio.h>\nint main(void)\n{\n'
        "    static int8_t x[NET_INPUT_BYTES], y[NET_OUTPUT_BYTES];\n"
        "    while (fread(x, 1, sizeof x, stdin) == sizeof x) {\n"
        "        net_run(x, y);\n        fwrite(y, 1, sizeof y, stdout);\n    }\n    return 0;\n}\n"
    )
    command = ["gcc", *STRICT, *SANITIZE, *found.cflags, f"-isystem{library}/Include"]
    command += ["main.c", "net.c", str(found.archive), "-o", "net.out"]
    subprocess.run(command, cwd=tmp_path, check=True)
    codes = draw_codes(rng, find_format("s8"), (SAMPLES, *graph.input.type.shape))
    program = [str(tmp_path / "net.out")]
    done = subprocess.run(program, input=codes.astype(np.int8).tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    answers = np.frombuffer(done.stdout, np.int8).reshape(SAMPLES, -1)
    np.testing.assert_array_equal(answers, run(graph, codes).reshape(SAMPLES, -1))


def test_every_layer_that_it_covers_is_its_own(rng):
    for rule_type in RULES.values():
        graph = draw_model(rng, rule_type)
        chosen = {
            node.name: select_kernel(graph, node, ISAS).kernel.isa
            for node in graph.nodes
            if node.name != "flat"
        }
        assert set(chosen.values()) == {ISA}, chosen


def test_other_formats_stay_with_tinyqs_kernels():
    from tests.mixed_model import mixed_model

    graph = mixed_model()
    for node in graph.nodes:
        if node.name != "flatten":
            assert select_kernel(graph, node, ISAS).kernel.isa == "generic"


def test_scratch_lies_apart_from_what_the_layer_reads_and_writes(rng):
    for _ in range(20):
        graph = draw_model(rng, Requantize)
        bounds = select_kernels(graph, ISAS)
        scratch = {name: it.scratch_bytes for name, it in bounds.items() if it.scratch_bytes}
        memory = plan_kernels(graph, bounds)
        assert set(memory.scratch) == set(scratch)
        for node in graph.nodes:
            if node.name not in scratch:
                continue
            start, size = memory.scratch[node.name]
            assert size >= scratch[node.name]
            assert start % 4 == 0
            assert start + size <= memory.arena_bytes
            for name in (*node.inputs, node.output):
                if name in memory.offsets:
                    first = memory.offsets[name]
                    assert first + memory.sizes[name] <= start or start + size <= first


def test_plan_without_room_is_refused(rng):
    graph = draw_model(rng, Requantize)
    with pytest.raises(TinyqError, match="bytes of scratch"):
        emit(graph, plan(graph), select_kernels(graph, ISAS))


def test_rounding_of_the_graph_decides_the_flag(rng):
    assert choose_rounding(draw_model(rng, Requantize), ISAS) == ("-DCMSIS_NN_USE_SINGLE_ROUNDING",)
    assert choose_rounding(draw_model(rng, RequantizeTwice), ISAS) == ()


def test_graph_that_rounds_in_both_ways_is_refused(rng):
    builder = GraphBuilder.start("net", TensorType((8,), find_format("s8"), 0.1, 0))
    first = Sketch(rng, Requantize, builder).layer("once", "Dense", "s8", "input")
    second = Sketch(rng, RequantizeTwice, builder).layer("again", "Dense", "s8", first)
    with pytest.raises(TinyqError, match="layers of both") as caught:
        choose_rounding(builder.build(second), ISAS)
    assert caught.value.where == "once and again"


@pytest.mark.requires("gcc")
def test_wrong_rounding_stops_the_compiler(rng, tmp_path):
    graph = draw_model(rng, Requantize)
    for path, text in emit_for(graph, ISAS).files.items():
        (tmp_path / path).write_text(text)
    command = ["gcc", "-c", "net.c", f"-I{DOUBLE}/Include"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "the graph rounds once" in done.stderr


@pytest.mark.requires("gcc")
def test_folder_without_headers_or_archive_says_so(rng, tmp_path):
    graph = draw_model(rng, Requantize)
    with pytest.raises(TinyqError, match="there is no arm_nnfunctions.h"):
        find_cmsis_nn(tmp_path, graph, ISAS)
    (tmp_path / "arm_nnfunctions.h").write_text("")
    with pytest.raises(TinyqError, match="there are 0 archives"):
        find_cmsis_nn(tmp_path, graph, ISAS)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
def test_firmware_with_the_library_answers_like_the_reference(rng, tmp_path):
    graph, board = draw_model(rng, Requantize), find_board("mps2-an386")
    flags = (*board.cflags, "-O2", "-ffreestanding", "-DCMSIS_NN_USE_SINGLE_ROUNDING")
    library = build_double(tmp_path / "double", "arm-none-eabi-gcc", flags)
    project = create_project(graph, board, tmp_path / "out", cmsis_nn=library)
    assert_answers(project.image, project.graph, rng)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm")
def test_platformio_takes_the_library_from_its_address(rng, tmp_path):
    sources = tmp_path / "CMSIS-NN"
    shutil.copytree(DOUBLE / "Include", sources / "Include")
    (sources / "Source").mkdir()
    shutil.copy(DOUBLE / "double.c", sources / "Source")
    (sources / "Tests").mkdir()
    (sources / "Tests" / "broken.c").write_text("not C")
    address = os.environ.get("TINYQ_CMSIS_NN_ADDRESS", f"file://{sources}")
    graph, board = draw_model(rng, Requantize), find_board("mps2-an386")
    with pytest.raises(TinyqError, match="gcc does not download libraries"):
        create_project(graph, board, tmp_path / "refused", cmsis_nn=address)
    assert not (tmp_path / "refused").exists()
    project = create_project(graph, board, tmp_path / "out", "platformio", address)
    assert_answers(project.image, project.graph, rng)


def assert_answers(image: Image, graph: Graph, rng: np.random.Generator) -> None:
    codes = draw_codes(rng, find_format("s8"), (3, *graph.input.type.shape))
    link = open_link(image, "qemu")
    answers = link.infer(codes.astype(np.int8).view(np.uint8).reshape(3, -1))
    link.close()
    expected = run(graph, codes).astype(np.int8).view(np.uint8)
    np.testing.assert_array_equal(answers.reshape(expected.shape), expected)


@pytest.mark.requires("arm-none-eabi-gcc", "qemu-system-arm", "gcc")
def test_both_back_ends_are_shown_side_by_side(rng, tmp_path, capsys):
    import json

    from tinyq.commands import cli
    from tinyq.graph.storage import save_graph

    graph, board = draw_model(rng, Requantize), find_board("mps2-an386")
    flags = (*board.cflags, "-O2", "-ffreestanding", "-DCMSIS_NN_USE_SINGLE_ROUNDING")
    library = build_double(tmp_path / "double", "arm-none-eabi-gcc", flags)
    model, data, out = tmp_path / "net.tqg", tmp_path / "data.npz", str(tmp_path / "out")
    save_graph(graph, model)
    np.savez(data, x=rng.normal(size=(2, *graph.input.type.shape)).astype(np.float32))
    build = ["build", str(model), "--board", board.name, "-o", out, "--kernels", "cmsis-nn"]
    assert cli.main([*build]) == 2
    assert cli.main([*build, "--cmsis-nn", str(library), "--json"]) == 0
    capsys.readouterr()
    measure = ["measure", out, "--data", str(data), "--compare-kernels"]
    assert cli.main([*measure, "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert both["mismatches"] == both["compared"]["mismatches"] == 0
    names = [[layer["name"] for layer in part["layers"]] for part in (both, both["compared"])]
    assert names[0] == names[1]
    assert both["instructions"] != both["compared"]["instructions"]
    assert cli.main([*measure, "--target", "serial:/dev/none"]) == 2
