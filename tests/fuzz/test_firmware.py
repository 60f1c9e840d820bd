"""All of firmware/core under sanitizers: any line leaves it whole, and every reply is sound.

Lines are drawn, and libFuzzer looks for others by what they reach: ``make fuzz`` gives it more than
two seconds (``TINYQ_FUZZ_SECONDS``). What it finds stays in build/fuzz/firmware.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.test_wire import draw_line
from tinyq.support.resources import FIRMWARE

LINES = int(os.environ.get("TINYQ_EXAMPLES", "3000"))
SECONDS = int(os.environ.get("TINYQ_FUZZ_SECONDS", "2"))
CORPUS = Path(__file__).parents[2] / "build" / "fuzz" / "firmware"
BATCH = 1000
SOURCES = [
    *(FIRMWARE / "core" / name for name in ("main.c", "profile.c", "wire.c")),
    Path(__file__).parent / "firmware_fuzzer.c",
]
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")


def compile_fuzzer(compiler: str, folder: Path, *flags: str) -> Path:
    (folder / "tq_build.h").write_text(
        "#define TQ_MAIN firmware_main\n#define TQ_PAYLOAD_BYTES 64\n"
        f"#define TQ_REPLY_BYTES 164\n#define TQ_FIRMWARE_DIGEST {', '.join(['7'] * 32)}\n"
    )
    program = folder / "firmware_fuzzer"
    includes = (f"-I{folder}", f"-I{FIRMWARE / 'core'}")
    command = [compiler, "-std=c99", *SANITIZE, *flags, *includes, *map(str, SOURCES)]
    done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def draw_requests(chance: random.Random) -> bytes:
    """Requests as firmware_fuzzer.c takes them: mostly the known ones, greeted first."""
    parts = [bytes([0]), bytes([0, 1, 1, 0, 0, 0])]
    for number in range(chance.randrange(12)):
        mode = chance.choice([0, 0, 0, 4, 1, 2, 8, chance.randrange(256)])
        length = chance.choice([0, 4, 12, 24, 60, 64, 65, 156, 160, 161, chance.randrange(4096)])
        sequence = chance.choice([number, 1, chance.randrange(65536)])
        head = bytes([mode, chance.randrange(9)]) + sequence.to_bytes(2, "little")
        parts.append(head + length.to_bytes(2, "little") + chance.randbytes(length))
    return b"".join(parts)


@pytest.mark.requires("gcc")
def test_drawn_lines_leave_the_firmware_whole(seed, tmp_path):
    program = compile_fuzzer("gcc", tmp_path, "-DFUZZ_FILES")
    for start in range(0, LINES, BATCH):
        chance = random.Random(seed + start)
        inputs = [
            draw_requests(chance)
            if chance.random() < 0.7
            else b"\x01" + b"".join(draw_line(chance) for _ in range(chance.randrange(6)))
            for _ in range(BATCH)
        ]
        line = b"".join(len(data).to_bytes(4, "little") + data for data in inputs)
        done = subprocess.run([str(program)], input=line, capture_output=True)
        assert done.returncode == 0, f"start={start}\n{done.stderr.decode()[-3000:]}"


def run_libfuzzer(program: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run libFuzzer as the child of a shell, which is small.

    Linux hands the peak memory of a process on to the program that takes its place, and libFuzzer
    holds that peak against its limit: after gigabytes of tests it would call itself out of memory.
    """
    command = ["sh", "-c", '"$@"; exit $?', "sh", str(program), "-rss_limit_mb=2048", *options]
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


@pytest.mark.requires("clang")
def test_libfuzzer_finds_no_line_that_breaks_the_firmware(seed, tmp_path):
    program = compile_fuzzer("clang", tmp_path, "-fsanitize=fuzzer")
    CORPUS.mkdir(parents=True, exist_ok=True)
    for number in range(64):
        (CORPUS / f"drawn_{number}").write_bytes(draw_requests(random.Random(number)))
    limits = (f"-max_total_time={SECONDS}", f"-seed={seed + 1}", "-max_len=4096")
    done = run_libfuzzer(program, *limits, f"-artifact_prefix={CORPUS}/", str(CORPUS))
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.requires("clang")
def test_only_memory_of_the_fuzzer_is_held_against_its_limit(tmp_path):
    program = compile_fuzzer("clang", tmp_path, "-fsanitize=fuzzer")
    held = b"\1" * (512 << 20)
    done = run_libfuzzer(program, "-runs=1")
    assert done.returncode == 0, done.stderr[-4000:]
    peaks = [int(peak) << 20 for peak in re.findall(r"rss: (\d+)Mb", done.stderr)]
    assert peaks
    assert max(peaks) < len(held) // 2, done.stderr
    done = run_libfuzzer(
        program, "-max_total_time=9", "-rss_limit_mb=16", f"-artifact_prefix={tmp_path}/"
    )
    assert done.returncode != 0
    assert "libFuzzer: out-of-memory" in done.stderr
