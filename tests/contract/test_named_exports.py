"""Packages of a network with several inputs and outputs: their examples give the known answers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contract.test_exports import AVR, FLAGS, compile_core, link_sketch, report_missing, run
from tests.networks import pair_network
from tinyq.exports import export, export_kinds
from tinyq.graph.interface import pack_codes
from tinyq.graph.reference import run_named


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("kind", [kind for kind in export_kinds() if kind != "arduino"])
def test_the_example_calls_the_model_by_its_header(kind, tmp_path):
    folder = tmp_path / "out"
    export(pair_network(), kind, folder)
    (example,) = folder.rglob("main.c")
    sources = [*map(str, sorted((folder / "src").glob("*.c"))), str(example)]
    run(["gcc", *FLAGS, f"-I{folder}/include", *sources, "-o", str(tmp_path / "example")])
    lines = run([str(tmp_path / "example")]).splitlines()
    assert lines[-1] == "as the reference"
    assert len(lines[0].split()) == 2 + 5 + 1
    readme = (folder / "README.md").read_text("utf-8")
    assert "pair_run(image, mask_0, boxes, scores, best)" in readme.replace("\n", " ")


@pytest.mark.requires("avr-gcc", "avr-g++")
def test_arduino_sketches_answer_in_simavr(tmp_path, rng):
    if not AVR.is_dir():
        report_missing("Debian's arduino-core-avr is not installed")
    from tinyq.targets.session import Session
    from tinyq.targets.simavr import build_runner
    from tinyq.targets.streams import ProcessStream

    library, graph = tmp_path / "pair", pair_network()
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
    assert "as the reference" in received.decode().splitlines()

    inputs = {
        "image": rng.integers(-128, 128, (4, 12)).astype(np.int32),
        "mask:0": rng.integers(0, 16, (4, 7)).astype(np.int32),
    }
    link = Session(lambda: ProcessStream([*runner, f"image={tmp_path / 'Measure.bin'}"]), "simavr")
    info = link.hello()
    answers = link.infer(pack_codes(graph, inputs))
    link.close()
    assert [(port.name, port.size_bytes) for port in (*info.inputs, *info.outputs)] == [
        ("image", 12),
        ("mask_0", 4),
        ("boxes", 8),
        ("scores", 5),
        ("best", 4),
    ]
    expected = pack_codes(graph, run_named(graph, inputs))
    np.testing.assert_array_equal(answers, expected)
