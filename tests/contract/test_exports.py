"""Every kind of package, checked by the tool that it is for where that is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path, PurePath

import numpy as np
import pytest
import yaml

from tests.mixed_model import _Model, mixed_model
from tests.requirements import report_missing
from tinyq.commands.export import export as command
from tinyq.errors import TinyqError
from tinyq.exports import (
    EXPORTS,
    Extras,
    Request,
    describe_kernels,
    export,
    export_kinds,
    find_cores,
    make_library,
)
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw, Threshold
from tinyq.graph.passes import simplify
from tinyq.graph.reference import quantize_input
from tinyq.hardware.boards import find_board
from tinyq.measurement.run import measure
from tinyq.numerics.formats import find_format
from tinyq.project import create_project, open_project
from tinyq.support.datasets import Dataset

FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
ANSWER = "as the reference"
AVR = Path("/usr/share/arduino/hardware/arduino/avr")
# GCC 5 of Debian's avr package does not define DECIMAL_DIG for C++11, which the core asks for.
AVR_FLAGS = [
    *("-Os", "-ffunction-sections", "-fdata-sections", "-fno-threadsafe-statics"),
    *("-mmcu=atmega2560", "-DF_CPU=16000000L", "-DARDUINO=10819", "-DARDUINO_ARCH_AVR"),
    *("-DARDUINO_AVR_MEGA2560", "-DDECIMAL_DIG=__DECIMAL_DIG__"),
    *(f"-I{AVR}/cores/arduino", f"-I{AVR}/variants/mega"),
]
TWENTY_LINES = """\
#include "mixed.h"
#include <stdio.h>

int main(void)
{
    int8_t input[MIXED_INPUT_BYTES] = {0};
    int8_t output[MIXED_OUTPUT_BYTES];
    mixed_run(input, output);
    for (int i = 0; i < MIXED_OUTPUT_BYTES; i++) {
        printf("%d ", output[i]);
    }
    return 0;
}
"""


def binary_model() -> Graph:
    """Two XNOR layers that fit, with their constants, into the RAM of an ATmega2560."""
    model = _Model("tiny")
    builder = GraphBuilder.start("tiny", TensorType((96,), find_format("b1")))
    model.builder = builder
    x = "input"
    for name, size in (("hidden_1", (64, 96)), ("hidden_2", (48, 64))):
        x = model.apply(
            *(name, "Dense", (Threshold(),), x),
            model.weights(name, size, "b1"),
            *model.tables(name, Threshold(), size[0]),
        )
    x = model.apply(
        *("logits", "Dense", (Raw(0.25),), x),
        model.weights("logits", (10, 48), "s8"),
        *model.tables("logits", Raw(), 10),
    )
    return builder.build(x)


@pytest.fixture(params=export_kinds())
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_kind_is_named_in_the_help():
    import typing

    hints = typing.get_type_hints(command, include_extras=True)
    text = hints["kind"].__metadata__[0].help
    assert re.findall(r"[a-z-]+", text.replace(" or ", ", ")) == list(export_kinds())


def test_author_sees_one_header(kind, tmp_path):
    files = export(mixed_model(), kind, tmp_path / "out")
    sources = [path for path in files if "Measure" not in path.parts]
    assert [path.name for path in sources].count("mixed.h") == 1
    (header,) = (path for path in sources if path.name == "mixed.h")
    beside = [path for path in files if path.parent == header.parent and path.suffix == ".h"]
    assert beside == [header]
    text = (tmp_path / "out" / header).read_text("utf-8")
    assert re.findall(r"^\w+ (\w+)\(", text, re.MULTILINE) == ["mixed_run", "mixed_invoke"]


def test_no_marker_and_no_placeholder_is_left(kind, tmp_path):
    files = export(mixed_model(), kind, tmp_path / "out")
    for path in files:
        assert not set(path.parts) & {"HEADER", "SOURCES", "FIRMWARE", "PROJECT", "NAME"}
        if path.suffix != ".tqg":
            assert "{{" not in (tmp_path / "out" / path).read_text("utf-8")


def test_same_model_gives_the_same_package(kind, tmp_path):
    first = export(mixed_model(), kind, tmp_path / "first")
    second = export(mixed_model(), kind, tmp_path / "second")
    assert first == second
    for path in first:
        assert (tmp_path / "first" / path).read_bytes() == (tmp_path / "second" / path).read_bytes()


def test_folder_of_something_else_is_left_alone(kind, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TinyqError, match="not an exported package"):
        export(mixed_model(), kind, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_package_is_replaced_whole(kind, tmp_path):
    export(mixed_model(), kind, tmp_path / "out")
    (tmp_path / "out" / "old.c").write_text("from before")
    export(mixed_model(), kind, tmp_path / "out")
    assert not (tmp_path / "out" / "old.c").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_unknown_kind_lists_the_known_ones(tmp_path):
    with pytest.raises(TinyqError, match="'rust'") as caught:
        export(mixed_model(), "rust", tmp_path / "out")
    assert "arduino, c, cmake, cmsis-pack, platformio, zephyr" in str(caught.value.remedy)


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("kind", [kind for kind in export_kinds() if kind != "arduino"])
def test_example_program_gives_the_answer_of_the_reference(kind, tmp_path):
    folder = tmp_path / "out"
    export(mixed_model(), kind, folder)
    (example,) = folder.rglob("main.c")
    sources = [*map(str, sorted((folder / "src").glob("*.c"))), str(example)]
    run(["gcc", *FLAGS, f"-I{folder}/include", *sources, "-o", str(tmp_path / "example")])
    assert ANSWER in run([str(tmp_path / "example")]).splitlines()


@pytest.mark.requires("cmake", "gcc")
def test_cmake_package_is_used_by_a_program(tmp_path):
    export(mixed_model(), "cmake", tmp_path / "mixed")
    (tmp_path / "main.c").write_text(TWENTY_LINES)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES C)\n"
        "add_subdirectory(mixed)\nadd_executable(user main.c)\n"
        "target_link_libraries(user PRIVATE mixed::mixed)\n"
    )
    build = tmp_path / "build"
    run(["cmake", "-S", str(tmp_path), "-B", str(build)])
    run(["cmake", "--build", str(build)])
    answer = [int(word) for word in run([str(build / "user")]).split()]
    assert answer == expect(mixed_model(), np.zeros((1, 8, 8, 1), np.int32))


@pytest.mark.requires("cmake", "gcc")
def test_cmake_package_is_tested_installed_and_found(tmp_path):
    export(mixed_model(), "cmake", tmp_path / "mixed")
    build, prefix, user = tmp_path / "build", tmp_path / "prefix", tmp_path / "user"
    run(["cmake", "-S", str(tmp_path / "mixed"), "-B", str(build)])
    run(["cmake", "--build", str(build)])
    run(["ctest", "--test-dir", str(build), "--output-on-failure"])
    run(["cmake", "--install", str(build), "--prefix", str(prefix)])
    user.mkdir()
    (user / "main.c").write_text(TWENTY_LINES)
    (user / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES C)\n"
        "find_package(mixed REQUIRED)\nadd_executable(user main.c)\n"
        "target_link_libraries(user PRIVATE mixed::mixed)\n"
    )
    run(["cmake", "-S", str(user), "-B", str(user / "build"), f"-DCMAKE_PREFIX_PATH={prefix}"])
    run(["cmake", "--build", str(user / "build")])
    assert run([str(user / "build" / "user")])


def test_platformio_packs_the_library(tmp_path):
    export(mixed_model(), "platformio", tmp_path / "mixed")
    settings = {"PLATFORMIO_CORE_DIR": str(tmp_path / "core"), "CI": "true"}
    pack = [sys.executable, "-m", "platformio", "pkg", "pack", "-o", str(tmp_path / "mixed.tar.gz")]
    run([*pack, str(tmp_path / "mixed")], settings)
    with tarfile.open(tmp_path / "mixed.tar.gz") as archive:
        names = set(archive.getnames())
        manifest = json.load(archive.extractfile("library.json"))
    sources = {f"src/mixed_{isa}.c" for isa in ("mve", "armv7em", "armv7m", "armv6m", "generic")}
    assert {"include/mixed.h", "examples/inference/main.c", *sources} <= names
    assert manifest["headers"] == "mixed.h"


def test_pack_description_names_files_that_exist(tmp_path):
    export(mixed_model(), "cmsis-pack", tmp_path)
    root = ET.parse(tmp_path / "tinyq.mixed.pdsc").getroot()
    assert [child.tag for child in root] == [
        *("vendor", "name", "description", "url", "releases", "keywords", "components")
    ]
    files = root.findall(".//file")
    assert all((tmp_path / file.attrib["name"]).exists() for file in files)
    listed = {file.attrib["name"] for file in files}
    assert {f"src/{path.name}" for path in (tmp_path / "src").glob("*.c")} <= listed
    schema = os.environ.get("TINYQ_PACK_SCHEMA")
    if schema and shutil.which("xmllint"):
        run(["xmllint", "--noout", "--schema", schema, str(tmp_path / "tinyq.mixed.pdsc")])


def test_zephyr_module_has_what_zephyr_asks_for(tmp_path):
    export(mixed_model(), "zephyr", tmp_path)
    module = yaml.safe_load((tmp_path / "zephyr" / "module.yml").read_text("utf-8"))
    assert module["name"] == "mixed"
    assert (tmp_path / module["build"]["kconfig"]).is_file()
    assert (tmp_path / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert all((tmp_path / folder).is_dir() for folder in module["samples"])
    symbol = re.search(r"^config (\w+)$", (tmp_path / "Kconfig").read_text(), re.MULTILINE)[1]
    assert f"CONFIG_{symbol}" in (tmp_path / "CMakeLists.txt").read_text()
    assert f"CONFIG_{symbol}=y" in (tmp_path / "samples/inference/prj.conf").read_text()


def compiled_by_zephyr(folder: Path) -> set[str]:
    """What Zephyr's own list says, read by CMake."""
    text = (folder / "CMakeLists.txt").read_text("utf-8")
    (found,) = re.findall(r"zephyr_library_sources\(([^)]*)\)", text)
    return set(found.split())


def compiled_by_platformio(folder: Path) -> set[str]:
    """All sources of the folder that the manifest names: it sets no filter."""
    build = json.loads((folder / "library.json").read_text("utf-8"))["build"]
    assert "srcFilter" not in build
    return relative(folder, (folder / build["srcDir"]).rglob("*.c"))


def compiled_by_pack(folder: Path) -> set[str]:
    root = ET.parse(next(folder.glob("*.pdsc"))).getroot()
    return {
        file.attrib["name"]
        for file in root.iter("file")
        if file.attrib["category"].startswith("source") and file.attrib.get("attr") != "template"
    }


def compiled_by_cmake(folder: Path) -> set[str]:
    text = (folder / "CMakeLists.txt").read_text("utf-8")
    return set(re.findall(r"src/\w+\.c", text))


def compiled_whole(folder: Path) -> set[str]:
    """Arduino compiles all of src/; so does the command in the README of plain C."""
    return relative(folder, (folder / "src").rglob("*.c"))


COMPILED = {
    "arduino": compiled_whole,
    "c": compiled_whole,
    "cmake": compiled_by_cmake,
    "cmsis-pack": compiled_by_pack,
    "platformio": compiled_by_platformio,
    "zephyr": compiled_by_zephyr,
}


def relative(folder: Path, paths) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in paths}


def test_build_systems_compile_what_was_generated(kind, tmp_path):
    """Neither a source that nothing compiles, nor one that is not there."""
    files = export(mixed_model(), kind, tmp_path / "out")
    generated = {
        str(path)
        for path in files
        if path.suffix == ".c" and not {"example", "examples", "samples"} & set(path.parts)
    }
    assert generated
    assert COMPILED[kind](tmp_path / "out") == generated


@pytest.mark.requires("cmake", "gcc")
def test_zephyr_module_is_built_by_cmake(tmp_path):
    """Zephyr's three functions as it documents them, around the module's own CMakeLists.txt."""
    export(mixed_model(), "zephyr", tmp_path / "mixed")
    (tmp_path / "main.c").write_text(TWENTY_LINES)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user LANGUAGES C)\nset(CONFIG_MIXED 1)\n"
        "function(zephyr_include_directories folder)\n"
        "  include_directories(${CMAKE_CURRENT_SOURCE_DIR}/${folder})\nendfunction()\n"
        "macro(zephyr_library_named name)\n  set(library ${name})\n"
        "  add_library(${name} STATIC)\nendmacro()\n"
        "macro(zephyr_library_sources)\n  target_sources(${library} PRIVATE ${ARGN})\nendmacro()\n"
        "add_subdirectory(mixed)\nadd_executable(user main.c)\n"
        "target_include_directories(user PRIVATE mixed/include)\n"
        "target_link_libraries(user PRIVATE mixed)\n"
    )
    build = tmp_path / "build"
    run(["cmake", "-S", str(tmp_path), "-B", str(build)])
    run(["cmake", "--build", str(build)])
    answer = [int(word) for word in run([str(build / "user")]).split()]
    assert answer == expect(mixed_model(), np.zeros((1, 8, 8, 1), np.int32))


def test_packages_say_what_their_kernels_are(kind, tmp_path):
    """The same in README and on the terminal."""
    for cores in (("cortex-m4",), ("generic",), ("cortex-m3", "generic")):
        request = Request(cores=cores)
        export(mixed_model(), kind, tmp_path / "out", request)
        text = (tmp_path / "out" / "README.md").read_text("utf-8")
        said = describe_kernels(find_cores(request))
        assert said in text
        assert ("portable" in said) == (cores != ("cortex-m4",))


TOOLS = {
    "cortex-m55": ("arm-none-eabi-gcc", ("-mcpu=cortex-m55", "-mfloat-abi=hard")),
    "cortex-m4": ("arm-none-eabi-gcc", ("-mcpu=cortex-m4", "-mthumb")),
    "cortex-m7": ("arm-none-eabi-gcc", ("-mcpu=cortex-m7", "-mthumb")),
    "cortex-m33": ("arm-none-eabi-gcc", ("-mcpu=cortex-m33", "-mthumb")),
    "cortex-m3": ("arm-none-eabi-gcc", ("-mcpu=cortex-m3", "-mthumb")),
    "cortex-m0plus": ("arm-none-eabi-gcc", ("-mcpu=cortex-m0plus", "-mthumb")),
    "cortex-a9": ("arm-none-eabi-gcc", ("-mcpu=cortex-a9", "-mthumb")),
    "rv32imac": ("riscv64-unknown-elf-gcc", ("-march=rv32imac", "-mabi=ilp32", "-ffreestanding")),
    "avr": ("avr-gcc", ("-mmcu=atmega2560",)),
}
KERNELS = {
    **{"cortex-m55": "mve", "cortex-m3": "armv7m", "cortex-m0plus": "armv6m"},
    **dict.fromkeys(("cortex-m4", "cortex-m7", "cortex-m33"), "armv7em"),
}


@pytest.mark.requires("arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "avr-gcc")
@pytest.mark.parametrize("core", TOOLS)
def test_the_compiler_decides_between_cores(core, tmp_path):
    """Every source compiles, and the one of the core alone has the network."""
    export(mixed_model(), "c", tmp_path)
    compiler, flags = TOOLS[core]
    holding = []
    for source in sorted((tmp_path / "src").glob("*.c")):
        target = tmp_path / f"{source.stem}.o"
        common = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-c", str(source)]
        run([compiler, *flags, *common, f"-I{tmp_path / 'include'}", "-o", str(target)])
        if b"mixed_run" in target.read_bytes():
            holding.append(source.stem)
    assert holding == [f"mixed_{KERNELS.get(core, 'generic')}"]


def test_cores_are_those_asked_for(tmp_path):
    graph = mixed_model()
    named = {core: find_cores(Request(cores=(core,)))[0].isa for core in KERNELS}
    assert named == KERNELS
    two = find_cores(Request(cores=("cortex-m0", "cortex-m4")))
    assert [core.isa for core in two] == ["armv7em", "armv6m", "generic"]
    assert [it.isa for it in find_cores(Request(board=find_board("pico")))] == ["armv6m"]
    assert [it.isa for it in find_cores(Request(board=find_board("arduino-uno")))] == ["generic"]
    with pytest.raises(TinyqError, match="'z80'"):
        export(graph, "c", tmp_path / "out", Request(cores=("z80",)))
    with pytest.raises(TinyqError, match="a board has one core"):
        find_cores(Request(find_board("pico"), ("cortex-m0",)))


def test_a_library_has_the_kernels_of_a_build(tmp_path):
    """The same text, which therefore takes the same instructions."""
    graph = simplify(mixed_model())
    project = create_project(mixed_model(), find_board("mps2-an386"), tmp_path / "build")
    chosen = [it.kernel for it in project.kernels if it.chosen]
    for request in (Request(), Request(cores=("cortex-m4",)), Request(project.image.board)):
        library = make_library(graph, request)
        isas = [core.isa for core in library.cores]
        bounds = library.choices[isas.index("armv7em")].bounds.values()
        assert [bound.kernel.name for bound in bounds] == chosen
    sources = make_library(graph, Request(project.image.board)).tree.files
    for name in ("mixed.c", "mixed_kernels.h", "mixed_weights.h"):
        assert (tmp_path / "build/model" / name).read_text("utf-8") == sources[PurePath(name)]


@pytest.mark.requires("gcc")
def test_a_sample_and_classes_of_the_user(tmp_path, rng):
    graph = mixed_model()
    code = rng.integers(-128, 128, (1, *graph.input.type.shape)).astype(np.int32)
    names = tuple(f'class "{i}" \\ ü??/' for i in range(graph.output.type.shape[-1]))
    extras = Extras({graph.inputs[0]: code}, names)
    export(graph, "c", tmp_path, extras=extras)
    text = (tmp_path / "example/main.c").read_text("utf-8")
    table = re.search(r"input\[\d+\] = \{(.*?)\};", text, re.DOTALL)[1]
    assert [int(word) for word in re.findall(r"-?\d+", table)] == code.ravel().tolist()
    (tmp_path / "names.c").write_text(
        f'#include "mixed.h"\n#include <stdio.h>\nint main(void)\n{{\n'
        f"    for (int32_t i = 0; i < {len(names)}; i++) {{ puts(mixed_class(i)); }}\n"
        "    return 0;\n}\n",
        "utf-8",
    )
    program = str(tmp_path / "names")
    run(["gcc", *FLAGS, f"-I{tmp_path}/include", str(tmp_path / "names.c"), "-o", program])
    assert run([program]).splitlines() == list(names)
    with pytest.raises(TinyqError, match="1 classes are named"):
        export(graph, "c", tmp_path, extras=Extras(classes=("one",)))


@pytest.mark.requires("gcc", "g++")
@pytest.mark.parametrize("compiler", [("gcc", *FLAGS), ("g++", "-x", "c++", "-Wall", "-Wextra")])
def test_helpers_of_the_header_compute_what_the_reference_does(compiler, tmp_path):
    graph = mixed_model()
    export(graph, "c", tmp_path)
    kind = graph.input.type
    values = (np.arange(-300, 300, dtype=np.float32) + np.float32(0.25)) * np.float32(kind.scale)
    listed = ", ".join(f"{value!r}f" for value in values.tolist())
    (tmp_path / "helpers.c").write_text(
        '#include "mixed.h"\n#include <stdio.h>\n'
        f"static const float values[] = {{{listed}}};\n"
        "static const int8_t codes[MIXED_OUTPUT_BYTES] = {1, 3, 3};\n"
        "int main(void)\n{\n"
        f"    for (int i = 0; i < {len(values)}; i++) {{\n"
        '        printf("%d ", mixed_quantize_input(values[i]));\n    }\n'
        '    printf("%d\\n", (int)mixed_argmax_output(codes));\n    return 0;\n}\n',
        "utf-8",
    )
    program = str(tmp_path / "helpers")
    run([*compiler, f"-I{tmp_path}/include", str(tmp_path / "helpers.c"), "-o", program])
    *found, best = (int(word) for word in run([program]).split())
    wanted = quantize_input(np.broadcast_to(values[:, None, None, None], (600, *kind.shape)), kind)
    assert found == wanted[:, 0, 0, 0].tolist()
    assert best == 1


def test_arduino_library_describes_itself(tmp_path):
    export(mixed_model(), "arduino", tmp_path)
    lines = (tmp_path / "library.properties").read_text("utf-8").splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert list(fields) == [
        *("name", "version", "author", "maintainer", "sentence", "paragraph"),
        *("category", "url", "architectures", "includes"),
    ]
    assert (tmp_path / "src" / fields["includes"]).is_file()


@pytest.mark.requires("avr-gcc", "avr-g++")
def test_arduino_sketches_answer_in_simavr(tmp_path, rng):
    if not AVR.is_dir():
        report_missing("Debian's arduino-core-avr is not installed")
    from tinyq.targets.session import Session
    from tinyq.targets.simavr import build_runner
    from tinyq.targets.streams import ProcessStream

    library, graph = tmp_path / "tiny", binary_model()
    export(graph, "arduino", library)
    core = compile_core(tmp_path)
    for sketch in ("Inference", "Measure"):
        link_sketch(library, sketch, core, tmp_path / f"{sketch}.elf")

    runner = [str(build_runner()), "mcu=atmega2560", "clock=16000000"]
    stream = ProcessStream([*runner, f"image={tmp_path / 'Inference.bin'}"])
    received = b""
    while b" us" not in received:
        received += stream.read(1.0)
    stream.close()
    assert ANSWER in received.decode().splitlines()

    inputs = rng.integers(0, 2, (5, 96)).astype(np.int32) * 2 - 1
    command = [*runner, f"image={tmp_path / 'Measure.bin'}"]
    link = Session(lambda: ProcessStream(command), "simavr")
    packed = graph.input.type.format.pack(inputs).reshape(5, -1)
    answers = link.infer(packed)
    cycles = link.profile(packed[0])
    link.close()
    np.testing.assert_array_equal(
        answers.reshape(5, -1).view("<i4"), [expect(graph, row[None]) for row in inputs]
    )
    assert cycles is not None and len(cycles) == 3 and min(cycles) > 0


def test_measuring_sketch_lies_in_a_folder_that_can_be_measured(tmp_path):
    export(binary_model(), "arduino", tmp_path)
    project = open_project(tmp_path / "examples" / "Measure")
    digest = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(project.image.firmware_digest)[:8])
    assert digest in (tmp_path / "examples/Measure/src/tq_build.h").read_text("utf-8")
    with pytest.raises(TinyqError, match="no such serial port"):
        measure(project, "serial:/dev/none", Dataset(np.ones((1, 96), np.float32), None))


def test_kinds_are_folders():
    assert [path.name for path in sorted(EXPORTS.iterdir()) if path.is_dir()] == list(
        export_kinds()
    )


def compile_core(folder: Path) -> Path:
    objects = folder / "core"
    objects.mkdir()
    for path in sorted((AVR / "cores" / "arduino").glob("*.[cS]*")):
        compile_avr(path, objects / f"{path.name}.o", "-w")
    archive = folder / "core.a"
    run(["avr-ar", "rcs", str(archive), *map(str, sorted(objects.iterdir()))])
    return archive


def link_sketch(library: Path, sketch: str, core: Path, elf: Path) -> None:
    folder = library / "examples" / sketch
    main = elf.with_suffix(".cpp")
    main.write_text("#include <Arduino.h>\n" + (folder / f"{sketch}.ino").read_text("utf-8"))
    own = folder / "src"
    sources = sorted((own if own.is_dir() else library / "src").rglob("*.c*"))
    objects = []
    for path in (main, *sources):
        objects.append(elf.with_name(f"{sketch}-{path.name}.o"))
        compile_avr(path, objects[-1], f"-I{library}/src")
    flags = ["-Os", "-mmcu=atmega2560", "-Wl,--gc-sections"]
    run(["avr-gcc", *flags, *map(str, objects), str(core), "-o", str(elf)])
    binary = str(elf.with_suffix(".bin"))
    run(["avr-objcopy", "-O", "binary", "-R", ".eeprom", str(elf), binary])


def compile_avr(source: Path, target: Path, *flags: str) -> None:
    if source.suffix == ".cpp":
        command = ["avr-g++", "-std=gnu++11", "-fno-exceptions", "-fpermissive"]
    elif source.suffix == ".S":
        command = ["avr-gcc", "-x", "assembler-with-cpp"]
    else:
        command = ["avr-gcc", "-std=gnu11"]
    run([*command, *AVR_FLAGS, *flags, "-c", str(source), "-o", str(target)])


def expect(graph: Graph, codes: np.ndarray) -> list[int]:
    from tinyq.graph.passes import simplify
    from tinyq.graph.reference import run as reference

    return [int(code) for code in reference(simplify(graph), codes).reshape(-1)]


def run(command: list[str], variables: dict[str, str] | None = None) -> str:
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
