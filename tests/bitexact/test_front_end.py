"""Front ends give the bytes of TensorFlow Lite Micro's, in NumPy, in C and step by step.

The digests are those of what other programs gave for `tests.signals.draw_signal`:

    micro    the C sources of pymicro-features 2.0.2 with other settings, as uint16
    signal   audio_preprocessor_int8.tflite, run by tflite-micro 0.dev20261023182759, as int8
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from tests.harness import SANITIZE, compile_model, differences, sequence_differences
from tests.requirements import require_module
from tests.signals import draw_signal
from tinyq.codegen import emit
from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.graph.front_ends import (
    PRESETS,
    build_front_end,
    count_frames,
    count_warm_up,
    make_front_end,
)
from tinyq.graph.reference import run, run_sequences
from tinyq.memory.planner import plan

# As pymicro-features gives them: 25.6 steps to 1.
STEP = 0.0390625
RECORDED: list[tuple[str, dict[str, Any], str]] = [
    ("micro", {}, "e9d334623b93ab8ec085eb910a71af21"),
    ("micro", {"hop_ms": 20.0}, "e66b156f3e799541ea0deda9f5518d03"),
    (
        "micro",
        {"rate": 8000, "window_ms": 25.0, "highest_hz": 3800.0},
        "04b6ffc4c982a0acece41f97cbdd37a8",
    ),
    (
        "micro",
        {"gain_control": False, "filters": 20, "smoothing_bits": 12, "log_shift": 7},
        "140a869966af1d8936bb3f3f2bb519ed",
    ),
    (
        "micro",
        {
            "rate": 44100,
            "window_ms": 40.0,
            "hop_ms": 13.0,
            "filters": 32,
            "highest_hz": 10000.0,
            "strength": 0.5,
            "offset": 10.0,
            "gain_bits": 22,
        },
        "2d325613a79a7c5b59d724ac0baaa171",
    ),
    (
        "micro",
        {
            "window_ms": 64.0,
            "hop_ms": 64.0,
            "filters": 64,
            "lowest_hz": 20.0,
            "even_smoothing": 0.9,
            "odd_smoothing": 0.001,
            "least_signal": 0.3,
        },
        "60e72fff5026ab9b780d69f0adfa56b4",
    ),
    ("signal", {"bits": 8}, "27fec6a57412dcb495ff491da9a47ca6"),
]


def compute(preset: str, samples: np.ndarray, **settings: Any) -> np.ndarray:
    graph = build_front_end(make_front_end(preset, **settings), len(samples))
    return run(graph, samples[None].astype(np.int32))[0]


@pytest.mark.parametrize(("preset", "settings", "digest"), RECORDED)
def test_features_are_those_of_other_programs(preset, settings, digest):
    settings = {"bits": 16, **settings}
    samples = draw_signal(6 * make_front_end(preset, **settings).rate)
    kind = "i1" if settings["bits"] == 8 else "<u2"
    found = compute(preset, samples, **settings).astype(kind)
    assert hashlib.sha256(found.tobytes()).hexdigest()[:32] == digest


def test_a_minute_of_the_micro_front_end_equals_its_wheel():
    wheel = require_module("pymicro_features")
    samples = draw_signal(60 * 16000, seed=1)
    front_end, wanted, place = wheel.MicroFrontend(), [], 0
    data = samples.tobytes()
    while place + 320 <= len(data):
        result = front_end.process_samples(data[place : place + 320])
        place += 2 * result.samples_read
        if result.features:
            wanted.append(result.features)
    found = compute("micro", samples, bits=16)
    np.testing.assert_array_equal(found, np.rint(np.array(wanted) / STEP))
    codes = np.clip((found * 256 + 333) // 666 - 128, -128, 127)
    np.testing.assert_array_equal(compute("micro", samples), codes)


def draw_small(preset: str) -> tuple[Any, np.ndarray]:
    """A preset with frames that are not whole hops, and a signal of some of them."""
    small = {"rate": 100, "window_ms": 250.0, "hop_ms": 100.0}
    known = {"window_ms": 25.0} if PRESETS[preset].axes == 0 else small
    front_end = make_front_end(preset, **known)
    length = 12 * front_end.hop
    shape = (length, front_end.axes) if front_end.axes else (length,)
    return front_end, draw_signal(int(np.prod(shape)), seed=3).reshape(shape)


@pytest.mark.parametrize("preset", PRESETS)
def test_steps_are_frames_of_the_whole_signal(preset):
    front_end, samples = draw_small(preset)
    whole = run(build_front_end(front_end, len(samples)), samples[None].astype(np.int32))[0]
    assert len(whole) == count_frames(front_end, len(samples))
    steps = next(iter(run_sequences(build_front_end(front_end), cut(front_end, samples)).values()))
    after = steps[0, count_warm_up(front_end) :]
    assert len(after) >= 9
    np.testing.assert_array_equal(after, whole[: len(after)])
    assert len(np.unique(whole)) > 12, "a signal whose features vary"


def cut(front_end, samples: np.ndarray) -> dict[str, np.ndarray]:
    """A signal as one sequence of hops."""
    hops = samples.reshape(1, -1, front_end.hop, *samples.shape[1:])
    return {"samples": hops.astype(np.int32)}


@pytest.mark.requires("gcc")
@pytest.mark.parametrize("preset", PRESETS)
def test_c_computes_the_same(preset):
    front_end, samples = draw_small(preset)
    whole, step = build_front_end(front_end, len(samples)), build_front_end(front_end)
    assert differences(whole, build(whole), samples[None].astype(np.int32)) == 0
    assert sequence_differences(step, build(step), cut(front_end, samples)) == 0


def build(graph: Graph):
    return compile_model(emit(graph, plan(graph)), "gcc", SANITIZE)


@pytest.mark.parametrize(
    ("preset", "settings", "message"),
    [
        ("nano", {}, "there is no front end"),
        ("micro", {"channels": 40}, "no setting 'channels'"),
        ("micro", {"rate": "fast"}, "rate is 'fast'"),
        ("micro", {"filters": True}, "filters is True"),
        ("micro", {"window_ms": 0.01}, "frames of 0 samples"),
        ("micro", {"window_ms": 300.0}, "frames of 4,800 samples"),
        ("micro", {"bits": 12}, "12 bits"),
        ("micro", {"highest_hz": 8000.0}, "leave a spectrum up to"),
        ("micro", {"gain_bits": 5}, "bits of gain"),
        ("log_mel", {"filters": 200}, "lies between two frequencies"),
        ("mfcc", {"coefficients": 30}, "30 coefficients of 20 filters"),
        ("log_mel", {"floor": 0.0}, "floor 0.0"),
        ("statistics", {"signals": 0}, "0 signals"),
    ],
)
def test_settings_that_do_not_fit_are_named(preset, settings, message):
    with pytest.raises(TinyqError, match=message):
        build_front_end(make_front_end(preset, **settings), 16000)


def test_a_signal_shorter_than_a_frame_is_refused():
    with pytest.raises(TinyqError, match="479 samples are less than a frame of 480"):
        build_front_end(make_front_end("micro"), 479)


@pytest.mark.parametrize(("preset", "most", "mean"), [("log_mel", 0.4, 0.05), ("mfcc", 0.1, 0.01)])
def test_deviation_from_the_real_formulas(preset, most, mean):
    """Of noise under an envelope; where a band lies far below a tone, 16 bits hold no more."""
    front_end = make_front_end(preset, bits=16)
    rng = np.random.default_rng(0)
    envelope = np.abs((np.arange(48000) % 16384) - 8192) / 8192
    samples = np.rint(rng.normal(0, 2500, 48000) * envelope).clip(-32768, 32767).astype(np.int16)
    found = compute(preset, samples, bits=16) * 2 / front_end.log_scale
    wanted = compute_real(front_end, samples / 2**15)
    if not front_end.coefficients:
        found, wanted = found * 10 / np.log(10), wanted * 10 / np.log(10)
    error = np.abs(found - wanted)
    assert error.max() < most
    assert error.mean() < mean


def compute_real(fe, samples: np.ndarray) -> np.ndarray:
    """Natural logarithms of mel filters, or their cosine transform, in float64."""
    turns = 2 * np.pi * np.arange(fe.size) / fe.size
    window = 0.54 - 0.46 * np.cos(turns) if fe.hamming else 0.5 - 0.5 * np.cos(turns)
    frames = np.lib.stride_tricks.sliding_window_view(samples, fe.size)[:: fe.hop] * window
    spectrum = np.abs(np.fft.rfft(frames, fe.points))
    hertz = np.arange(fe.points // 2 + 1) * fe.rate / fe.points
    if fe.slaney:
        steps = np.concatenate([np.arange(15) * 200 / 3, 1000 * 6.4 ** (np.arange(40) / 27)])
        mels = np.linspace(*np.interp([fe.lowest_hz, fe.highest_hz], *bend(steps)), fe.filters + 2)
        corners, place = np.interp(mels, *bend(steps)[::-1]), hertz
    else:
        ends = 1127 * np.log1p(np.array([fe.lowest_hz, fe.highest_hz]) / 700)
        corners, place = np.linspace(*ends, fe.filters + 2), 1127 * np.log1p(hertz / 700)
    up = (place - corners[:-2, None]) / np.diff(corners)[:-1, None]
    down = (corners[2:, None] - place) / np.diff(corners)[1:, None]
    weights = np.maximum(0, np.minimum(up, down))
    if fe.slaney:
        weights *= (2 / (corners[2:] - corners[:-2]))[:, None]
    mel = (spectrum if fe.magnitude else spectrum**2) @ weights.T
    logarithms = np.log(np.maximum(mel, fe.floor))
    if not fe.coefficients:
        return logarithms
    angle = np.pi * np.arange(fe.coefficients)[:, None] * (np.arange(fe.filters) + 0.5)
    return logarithms @ (np.cos(angle / fe.filters) * np.sqrt(2 / fe.filters)).T


def bend(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slaney's scale by points: hertz and mels, dense enough to lie straight between them."""
    mels = np.linspace(0, len(steps) - 1, 200_000)
    hertz = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    return hertz, mels
