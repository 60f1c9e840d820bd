"""What a user sees when something is wrong: one message, an exit code, nothing half written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.bench_layers import Layer, make_graph
from tests.random_graphs import draw_graph
from tinyq.commands.cli import main
from tinyq.graph import Graph, GraphBuilder, TensorType
from tinyq.graph.epilogues import Raw, Requantize
from tinyq.graph.ops.dense import Dense
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.numerics.formats import find_format
from tinyq.project import create_project

pytestmark = pytest.mark.requires("gcc")


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tqg"
    save_graph(draw_graph(np.random.default_rng(1)), path)
    return path


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    graph = draw_graph(np.random.default_rng(1))
    np.savez(path, x=np.zeros((4, *graph.input.type.shape)), y=np.zeros(4))
    return path


def complain(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail with a message; returns the message."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_unknown_board(
    capsys: pytest.CaptureFixture[str], graph_file: Path, tmp_path: Path
) -> None:
    message = complain(capsys, "build", graph_file, "--board", "smt32", "-o", tmp_path / "out")
    assert "stm32" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.requires("arm-none-eabi-gcc")
@pytest.mark.parametrize(("out_channels", "memory"), [(1200, "flash"), (140000, "RAM")])
def test_model_too_large(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out_channels: int, memory: str
) -> None:
    in_channels = 1000 if memory == "flash" else 1
    path = tmp_path / "large.tqg"
    save_graph(_large(in_channels, out_channels), path)
    message = complain(capsys, "build", path, "--board", "stm32", "-o", tmp_path / "out")
    assert memory in message
    assert "wide_layer" in message
    assert [entry.name for entry in tmp_path.iterdir()] == ["large.tqg"]


def _large(in_channels: int, out_channels: int) -> Graph:
    """Two dense layers, of which the first is the costly one."""
    builder = GraphBuilder.start("large", TensorType((in_channels,), find_format("s8"), 0.1))
    weights = 1 + np.arange(out_channels * in_channels).reshape(out_channels, -1) % 100
    constants = [builder.constant("wide.weights", weights, find_format("s8"))]
    constants += [
        builder.constant(f"wide.{key}", np.full(out_channels, value), find_format("s32"))
        for key, value in (("bias", 0), ("multiplier", 2**30), ("shift", 31))
    ]
    stage = Requantize("s8", 0.1, 0, -128, 127)
    wide = builder.apply("wide_layer", Dense(stage), "input", *constants)
    weights = np.ones((2, out_channels), np.int32)
    narrow = (
        builder.constant("narrow.weights", weights, find_format("b1")),
        builder.constant("narrow.bias", np.zeros(2), find_format("s32")),
    )
    return builder.build(builder.apply("narrow_layer", Dense(Raw()), wide, *narrow))


def test_missing_compiler(
    capsys: pytest.CaptureFixture[str],
    graph_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    message = complain(capsys, "build", graph_file, "--board", "stm32", "-o", tmp_path / "out")
    assert "arm-none-eabi-gcc is not installed" in message
    assert "apt install gcc-arm-none-eabi" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.requires("arm-none-eabi-gcc")
def test_missing_emulator(
    capsys: pytest.CaptureFixture[str],
    data_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = draw_graph(np.random.default_rng(1))
    create_project(graph, find_board("stm32"), tmp_path / "build")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    message = complain(capsys, "measure", tmp_path / "build", "--data", data_file)
    assert "qemu-system-arm" in message
    assert "install" in message


@pytest.fixture
def project(tmp_path: Path) -> Path:
    graph = draw_graph(np.random.default_rng(1))
    return create_project(graph, find_board("host"), tmp_path / "build").folder


def test_no_such_serial_port(
    capsys: pytest.CaptureFixture[str], project: Path, data_file: Path
) -> None:
    message = complain(
        capsys, "measure", project, "--data", data_file, "--target", "serial:/dev/ttyNONE7"
    )
    assert "/dev/ttyNONE7" in message


def test_wrong_input_shape(
    capsys: pytest.CaptureFixture[str], project: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, x=np.zeros((4, 3, 3, 3, 3)))
    message = complain(capsys, "measure", project, "--data", path, "--target", "host")
    assert "the model takes" in message


def test_wrong_input_type(
    capsys: pytest.CaptureFixture[str], project: Path, data_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "words.npz"
    np.savez(path, x=np.load(data_file)["x"].astype("U4"))
    message = complain(capsys, "measure", project, "--data", path, "--target", "host")
    assert "dtype" in message


@pytest.mark.parametrize("name", ["model.onnx", "model", "model.KERAS"])
def test_unknown_model_files(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    message = complain(capsys, "inspect", tmp_path / name)
    assert "no such file" in message or ".keras" in message


def test_truncated_graph(capsys: pytest.CaptureFixture[str], graph_file: Path) -> None:
    graph_file.write_bytes(graph_file.read_bytes()[:-40])
    assert "damaged" in complain(capsys, "inspect", graph_file)


def test_output_folder_cannot_be_written(
    capsys: pytest.CaptureFixture[str], graph_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    complain(capsys, "build", graph_file, "--board", "host", "-o", tmp_path / "file" / "out")
    complain(capsys, "build", graph_file, "--board", "host", "-o", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "not a folder"


def test_build_and_inspect_print_json(
    capsys: pytest.CaptureFixture[str], graph_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(["build", str(graph_file), "--board", "host", "-o", str(out), "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert Path(built["elf"]).is_file()
    assert main(["inspect", str(graph_file), "--json"]) == 0
    inspected = json.loads(capsys.readouterr().out)
    assert inspected["graph_digest"] == built["graph_digest"]
    assert shutil.which("gcc", path=os.environ["PATH"])


def test_silent_device(
    capsys: pytest.CaptureFixture[str],
    project: Path,
    data_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tinyq.targets import exchange

    monkeypatch.setattr(exchange, "_GREETING_SECONDS", 0.1)
    near, far = os.openpty()
    try:
        target = f"serial:{os.ttyname(far)}"
        message = complain(capsys, "measure", project, "--data", data_file, "--target", target)
    finally:
        os.close(near)
        os.close(far)
    assert "silent" in message
    assert "check cable" in message


def test_busy_port(capsys: pytest.CaptureFixture[str], project: Path, data_file: Path) -> None:
    import serial

    near, far = os.openpty()
    try:
        name = os.ttyname(far)
        with serial.Serial(name, exclusive=True):
            target = f"serial:{name}"
            message = complain(capsys, "measure", project, "--data", data_file, "--target", target)
    finally:
        os.close(near)
        os.close(far)
    assert name in message
    assert "another program" in message or "in use" in message or "busy" in message


@pytest.mark.requires("arm-none-eabi-gcc")
def test_json_names_the_kernel_of_each_layer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    graph = make_graph(Layer("Conv2D", (8, 8, 16), 8), "model", "s8", "s8")
    path = tmp_path / "model.tqg"
    save_graph(graph, path)
    arguments = ["--board", "stm32", "--optimize", "speed", "--json"]
    assert main(["build", str(path), "-o", str(tmp_path / "out"), *arguments]) == 0
    built = json.loads(capsys.readouterr().out)
    assert main(["inspect", str(path), *arguments]) == 0
    shown = json.loads(capsys.readouterr().out)["kernels"]
    assert built["layers"] == shown
    (chosen,) = (entry for entry in shown if entry["chosen"])
    assert chosen["instructions"] == min(entry["instructions"] for entry in shown)
    assert built["optimize"] == "speed"
    assert all(entry["table_bytes"] > 0 and not entry["counted"] for entry in shown)


def test_an_unknown_objective(
    capsys: pytest.CaptureFixture[str], graph_file: Path, tmp_path: Path
) -> None:
    message = complain(
        *(capsys, "build", graph_file, "--board", "host", "--optimize", "fast"),
        *("-o", tmp_path / "out"),
    )
    assert "balanced, speed, size, ram" in message
