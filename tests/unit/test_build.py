from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path, PurePath

import pytest

from tinyq.errors import BudgetError, TinyqError, ToolMissing
from tinyq.firmware import build as build_module
from tinyq.firmware.build import BuildOptions, Image, build, check_budget, find_compiler
from tinyq.hardware.boards import find_board

STM32 = find_board("stm32")
MODEL = {
    PurePath("tiny.h"): "#include <stdint.h>\nextern const uint32_t tiny_weights[256];\n",
    PurePath("tiny.c"): '#include "tiny.h"\nconst uint32_t tiny_weights[256] = {1, 2, 3};\n',
    PurePath("tq_model_instance.c"): """\
#include "tiny.h"
#include "tq_model.h"

static uint8_t arena[600];

static void run(const void *input, void *output)
{
    TQ_MARK(0);
    arena[0] = (uint8_t)tiny_weights[*(const uint8_t *)input];
    *(volatile uint8_t *)output = *(volatile uint8_t *)arena;
    TQ_MARK(1);
}

const tq_model tq_model_instance = {"tiny", {0}, 1, 1, 600, 1, run, 0, 0, 0, 0, 0};
""",
}
WITH_ARM_GCC = pytest.mark.requires("arm-none-eabi-gcc")


def build_strictly(out: Path, **options: object) -> Image:
    return build(MODEL, STM32, out, BuildOptions(cflags=("-Werror",), **options))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_strictly(tmp_path_factory.mktemp("build") / "out")


def image_of(flash_bytes: int, ram_bytes: int) -> Image:
    return Image(Path("firmware.elf"), STM32, 0, 0, 0, flash_bytes, ram_bytes, "gcc", "00")


def test_missing_compiler_is_told_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="arm-none-eabi-gcc is not installed") as caught:
        find_compiler(STM32)
    assert "apt install gcc-arm-none-eabi" in str(caught.value.remedy)
    assert "brew install" in str(caught.value.remedy)
    with pytest.raises(ToolMissing):
        build(MODEL, STM32, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_unknown_toolchain_is_told():
    with pytest.raises(TinyqError, match="'mips' is not known"):
        find_compiler(dataclasses.replace(STM32, toolchain="mips"))


def test_budget_holds_up_to_the_last_byte():
    check_budget(image_of(STM32.flash_bytes, STM32.ram_bytes))
    check_budget(dataclasses.replace(image_of(10**9, 10**9), board=find_board("host")))


def test_excess_names_bytes_and_the_three_costliest_layers():
    costs = [("a", 5), ("b", 1000), ("c", 7), ("d", 30)]
    with pytest.raises(BudgetError) as caught:
        check_budget(image_of(STM32.flash_bytes + 24, 0), costs)
    assert "1,048,600 bytes of flash, 24 more than 1,048,576" in caught.value.message
    assert caught.value.message.endswith("b (1,000), d (30), c (7)")
    with pytest.raises(BudgetError, match=r"of RAM.*x \(9\)") as caught:
        check_budget(image_of(0, STM32.ram_bytes + 1), costs, [("x", 9)])
    assert "flash" not in caught.value.message


@WITH_ARM_GCC
@pytest.mark.parametrize(
    ("memory", "size", "words"),
    [("flash_bytes", 1024, "of flash"), ("ram_bytes", 5000, "of RAM")],
)
def test_over_budget_tells_by_how_much_and_leaves_nothing(tmp_path, image, memory, size, words):
    small = dataclasses.replace(STM32, **{memory: size})
    options = BuildOptions(flash_costs=[("tiny", 1024)], ram_costs=[("tiny", 600)])
    with pytest.raises(BudgetError) as caught:
        build(MODEL, small, tmp_path / "out", options)
    assert words in caught.value.message
    assert f"{getattr(image, memory):,} bytes" in caught.value.message
    assert "tiny" in caught.value.message
    assert list(tmp_path.iterdir()) == []


@WITH_ARM_GCC
def test_same_input_gives_the_same_bytes_in_any_folder(tmp_path, image):
    other = build_strictly(tmp_path / "elsewhere" / "deeper")
    first, second = image.elf.parent, other.elf.parent
    names = sorted(path.relative_to(first) for path in first.rglob("*"))
    assert names == sorted(path.relative_to(second) for path in second.rglob("*"))
    for name in names:
        if (first / name).is_file():
            assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert other.firmware_digest == image.firmware_digest


@WITH_ARM_GCC
def test_folder_of_sources_builds_the_same(tmp_path, image):
    folder = tmp_path / "generated"
    folder.mkdir()
    for path, text in MODEL.items():
        (folder / path).write_text(text, "utf-8")
    other = build(folder, STM32, tmp_path / "out", BuildOptions(cflags=("-Werror",)))
    assert other.elf.read_bytes() == image.elf.read_bytes()


@WITH_ARM_GCC
def test_sizes_are_those_of_the_model_and_the_files(image):
    smaller = {**MODEL, PurePath("tiny.c"): MODEL[PurePath("tiny.c")].replace("256", "128")}
    smaller[PurePath("tiny.h")] = MODEL[PurePath("tiny.h")].replace("256", "128")
    instance = PurePath("tq_model_instance.c")
    smaller[instance] = MODEL[instance].replace("arena[600]", "arena[200]")
    out = image.elf.parent.parent / "smaller"
    other = build(smaller, STM32, out, BuildOptions(cflags=("-Werror",)))
    assert image.text_bytes - other.text_bytes == 512
    assert image.bss_bytes - other.bss_bytes == 400
    assert image.flash_bytes == (image.elf.parent / "firmware.bin").stat().st_size
    assert image.ram_bytes == image.data_bytes + image.bss_bytes + STM32.stack_bytes
    assert "gcc" in image.toolchain
    assert "tiny_weights" in (image.elf.parent / "firmware.map").read_text("utf-8")


@WITH_ARM_GCC
def test_digest_changes_with_source_setting_and_flag_and_is_in_the_image(tmp_path, image):
    changed = {**MODEL, PurePath("tiny.h"): MODEL[PurePath("tiny.h")] + "\n"}
    digests = {
        image.firmware_digest,
        build(changed, STM32, tmp_path / "a", BuildOptions(cflags=("-Werror",))).firmware_digest,
        build_strictly(tmp_path / "b", payload_bytes=2048).firmware_digest,
        build(MODEL, STM32, tmp_path / "c").firmware_digest,
    }
    assert len(digests) == 4
    assert bytes.fromhex(image.firmware_digest) in image.elf.read_bytes()
    assert len(image.firmware_digest) == 2 * hashlib.sha256().digest_size


@WITH_ARM_GCC
def test_capacities_reach_the_firmware(image, tmp_path):
    other = build_strictly(tmp_path / "out", payload_bytes=4096, reply_bytes=512)
    assert other.bss_bytes - image.bss_bytes == (4096 - 1024) + (512 - 1024)


@WITH_ARM_GCC
def test_compiler_error_names_file_and_line_and_keeps_the_old_build(tmp_path):
    out = tmp_path / "out"
    before = build_strictly(out).elf.read_bytes()
    broken = {**MODEL, PurePath("tiny.c"): "int main(void)\n{\n    return missing;\n}\n"}
    with pytest.raises(TinyqError, match=r"model/tiny\.c:3:.*missing"):
        build(broken, STM32, out)
    assert (out / "firmware.elf").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert build_strictly(out).elf.read_bytes() == before


@WITH_ARM_GCC
@pytest.mark.parametrize("kind", ["file", "folder", "below a file"])
def test_foreign_output_is_left_alone(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.txt").write_text("years of work")
    else:
        out.write_text("years of work")
    with pytest.raises(TinyqError):
        build_strictly(out / "deeper" if kind == "below a file" else out)
    kept = out / "thesis.txt" if kind == "folder" else out
    assert kept.read_text() == "years of work"


def test_missing_port_is_told(tmp_path):
    with pytest.raises(TinyqError, match="no port 'abacus'"):
        build({}, dataclasses.replace(find_board("host"), port="abacus"), tmp_path / "out")


def test_missing_source_folder_is_told(tmp_path):
    with pytest.raises(TinyqError, match="not a folder"):
        build(tmp_path / "none", STM32, tmp_path / "out")


def test_generated_files_name_no_folder_of_this_machine(image):
    texts = {
        path.name: path.read_text("utf-8")
        for path in image.elf.parent.rglob("*")
        if path.suffix in {"", ".c", ".h", ".ld", ".map"} and path.is_file()
    }
    for name in ("Makefile", "board.ld", "tq_build.h"):
        assert not re.search(r"(?<![\w*])/(home|tmp|root|work|usr)/", texts[name]), name
    assert str(build_module.FIRMWARE).encode() not in image.elf.read_bytes()
    assert str(image.elf.parent.parent).encode() not in image.elf.read_bytes()
