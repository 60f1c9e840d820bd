"""The Signal operators of TensorFlow Lite Micro, chained as in its audio preprocessor.

The file is made here, with the tables of the preset ``signal``, whose codes are held against those
of TFLite Micro in test_front_end.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.harness import SANITIZE, compile_model, sequence_differences
from tests.signals import draw_signal
from tinyq.codegen import emit
from tinyq.errors import ModelError
from tinyq.graph import Graph
from tinyq.graph.front_ends import build_front_end, make_front_end
from tinyq.graph.reference import run, run_sequences
from tinyq.importers.tflite import import_tflite
from tinyq.memory.planner import plan

SIZE, HOP, CHANNELS, POINTS = 480, 320, 40, 512
NOISE = {
    "smoothing": 409,
    "one_minus_smoothing": 15975,
    "alternate_smoothing": 983,
    "alternate_one_minus_smoothing": 15401,
    "min_signal_remaining": 819,
    "smoothing_bits": 10,
    "spectral_subtraction_bits": 14,
    "clamping": False,
}
Operators = list[tuple[str, list[str], list[str], dict[str, Any]]]


class Chain:
    """A file in the making; tensors are known by name."""

    def __init__(self) -> None:
        from tensorflow.lite.python import schema_py_generated as schema

        self.schema = schema
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.buffers, self.tensors, self.operators = [schema.BufferT()], [], []
        self.codes: dict[str, int] = {}
        self.places: dict[str, int] = {}

    def tensor(self, name: str, kind: str, shape: tuple[int, ...], data=None) -> None:
        tensor, buffer = self.schema.TensorT(), self.schema.BufferT()
        tensor.shape, tensor.type = list(shape), getattr(self.schema.TensorType, kind)
        tensor.name, tensor.buffer = name.encode(), len(self.buffers)
        if data is not None:
            dtype = {"INT16": "<i2", "INT32": "<i4"}[kind]
            packed = np.asarray(data).astype(dtype).tobytes()
            buffer.data = np.frombuffer(packed, np.uint8)
        self.places[name] = len(self.tensors)
        self.tensors.append(tensor)
        self.buffers.append(buffer)

    def apply(self, name: str, reads: list[str], writes: list[str], **options: Any) -> None:
        from flatbuffers import flexbuffers

        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(name, len(self.codes))
        operator.inputs = [self.places[each] for each in reads]
        operator.outputs = [self.places[each] for each in writes]
        if name.startswith("Signal"):
            operator.customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)
        self.operators.append(operator)

    def write(self, path, start: str, end: str | list[str]) -> None:
        import flatbuffers

        ends = [self.places[name] for name in ([end] if isinstance(end, str) else end)]
        codes = []
        for name in self.codes:
            code, custom = self.schema.OperatorCodeT(), name.startswith("Signal")
            number = getattr(self.schema.BuiltinOperator, "CUSTOM" if custom else name)
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            code.customCode = name if custom else None
            codes.append(code)
        self.graph.tensors, self.graph.operators = self.tensors, self.operators
        self.graph.inputs, self.graph.outputs = [self.places[start]], ends
        self.model.version, self.model.operatorCodes = 3, codes
        self.model.subgraphs, self.model.buffers = [self.graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))


def write_chain(path, noise: dict[str, Any] = NOISE, kind: int = 7, end: str = "codes") -> Graph:
    """The audio preprocessor; returns the graph of the preset for one frame."""
    known = build_front_end(make_front_end("signal"), SIZE)
    tables = {name: t.codes for name, t in known.tensors.items() if t.codes is not None}
    chain = Chain()
    chain.tensor("frame", "INT16", (1, SIZE))
    for name in ("window_table", "falling", "rising", "gains"):
        chain.tensor(name, "INT16", tables[name].shape, tables[name])
    for place, name in enumerate(("starts", "places", "widths")):
        segments = tables["segments"]
        chain.tensor(name, "INT16", (CHANNELS + 1,), segments[:, place])
    for name, number in (
        ("scale", 256),
        ("half", 333),
        ("step", 666),
        ("zero", -128),
        ("top", 127),
    ):
        chain.tensor(name, "INT32", (), [number])
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "windowed": ("INT16", (1, SIZE)),
        "flat": ("INT16", (SIZE,)),
        "scaled": ("INT16", (SIZE,)),
        "bits": ("INT32", ()),
        "spectrum": ("INT16", (POINTS + 2,)),
        "power": ("UINT32", (POINTS // 2 + 1,)),
        "integers": ("INT32", (POINTS // 2 + 1,)),
        "energies": ("UINT32", (POINTS // 2 + 1,)),
        "sums": ("UINT64", (CHANNELS,)),
        **dict.fromkeys(("energy", "signal", "estimate", "gained"), ("UINT32", (CHANNELS,))),
        "logarithm": ("INT16", (CHANNELS,)),
        **{f"wide{place}": ("INT32", (CHANNELS,)) for place in range(7)},
        "codes": ("INT8", (CHANNELS,)),
    }
    for name, (dtype, shape) in shapes.items():
        chain.tensor(name, dtype, shape)
    gain = next(node.op for node in known.nodes if node.name == "gain")
    limits = next(node.op for node in known.nodes if node.name == "power")
    operators: Operators = [
        ("SignalWindow", ["frame", "window_table"], ["windowed"], {"shift": 12}),
        ("RESHAPE", ["windowed"], ["flat"], {}),
        ("SignalFftAutoScale", ["flat"], ["scaled", "bits"], {}),
        ("SignalRfft", ["scaled"], ["spectrum"], {"T": kind, "fft_length": POINTS}),
        (
            "SignalEnergy",
            ["spectrum"],
            ["power"],
            {"start_index": limits.first, "end_index": limits.end},
        ),
        ("CAST", ["power"], ["integers"], {}),
        ("CAST", ["integers"], ["energies"], {}),
        (
            "SignalFilterBank",
            ["energies", "falling", "rising", "starts", "places", "widths"],
            ["sums"],
            {"num_channels": CHANNELS},
        ),
        ("SignalFilterBankSquareRoot", ["sums", "bits"], ["energy"], {}),
        ("SignalFilterBankSpectralSubtraction", ["energy"], ["signal", "estimate"], noise),
        ("SignalPCAN", ["signal", "estimate", "gains"], ["gained"], {"snr_shift": gain.shift}),
        (
            "SignalFilterBankLog",
            ["gained"],
            ["logarithm"],
            {"output_scale": 64, "input_correction_bits": 3},
        ),
        ("CAST", ["logarithm"], ["wide0"], {}),
        ("MUL", ["wide0", "scale"], ["wide1"], {}),
        ("ADD", ["wide1", "half"], ["wide2"], {}),
        ("DIV", ["wide2", "step"], ["wide3"], {}),
        ("ADD", ["wide3", "zero"], ["wide4"], {}),
        ("MINIMUM", ["wide4", "top"], ["wide5"], {}),
        ("MAXIMUM", ["wide5", "zero"], ["wide6"], {}),
        ("CAST", ["wide6"], ["codes"], {}),
    ]
    for name, reads, writes, options in operators:
        chain.apply(name, reads, writes, **options)
    chain.write(path, "frame", end)
    return known


@pytest.mark.requires("gcc")
def test_the_chain_is_the_preset_frame_by_frame(tmp_path):
    """All of CUSTOM:Signal and the integers around it; the estimate of noise is a state."""
    path = tmp_path / "preprocessor.tflite"
    write_chain(path)
    graph = import_tflite(path)
    assert [state.first.max() for state in graph.states] == [0]
    samples = draw_signal(40 * HOP + SIZE, seed=2)
    whole = build_front_end(make_front_end("signal"), len(samples))
    wanted = run(whole, samples[None].astype(np.int32))[0]
    starts = range(0, len(samples) - SIZE + 1, HOP)
    frames = np.stack([samples[at : at + SIZE] for at in starts]).astype(np.int32)
    frames = {graph.inputs[0]: frames[None]}
    (found,) = run_sequences(graph, frames).values()
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)
    assert len(np.unique(wanted)) > 50
    program = compile_model(emit(graph, plan(graph)), "gcc", SANITIZE)
    assert sequence_differences(graph, program, frames) == 0


OPERATORS = (
    *("CUSTOM:SignalWindow", "CUSTOM:SignalFftAutoScale", "CUSTOM:SignalRfft"),
    *("CUSTOM:SignalEnergy", "CUSTOM:SignalFilterBank", "CUSTOM:SignalFilterBankSquareRoot"),
    *("CUSTOM:SignalFilterBankSpectralSubtraction", "CUSTOM:SignalPCAN"),
    *("CUSTOM:SignalFilterBankLog", "CAST"),
)


def test_the_chain_has_all_of_them(tmp_path):
    from tinyq.importers.tflite.reader import read_model

    path = tmp_path / "preprocessor.tflite"
    write_chain(path)
    names = {operator.name for operator in read_model(path).operators}
    assert names >= set(OPERATORS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": {**NOISE, "smoothing": 410}}, "do not add up to 1"),
        ({"noise": {**NOISE, "smoothing": "much"}}, "option smoothing is no integer"),
        ({"noise": {**NOISE, "spectral_subtraction_bits": 40}}, "40 spectral_subtraction_bits"),
        ({"noise": {**NOISE, "min_signal_remaining": 1 << 15}}, "what remains at least"),
        ({"kind": 0}, "only spectra of INT16"),
    ],
)
def test_what_cannot_be_computed_is_refused(tmp_path, changes, message):
    path = tmp_path / "odd.tflite"
    write_chain(path, **changes)
    with pytest.raises(ModelError, match=message):
        import_tflite(path)


def test_damaged_options_are_refused(tmp_path):
    path = tmp_path / "damaged.tflite"
    write_chain(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"fft_length")
    data[at : at + 10] = b"fft_Length"
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="option fft_length is no integer or missing"):
        import_tflite(path)
