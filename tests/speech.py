"""Speech that espeak-ng makes, and what the micro front end gives of it."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
from scipy.signal import resample_poly

from tests.requirements import report_missing
from tinyq.graph.front_ends import build_front_end, make_front_end
from tinyq.graph.reference import run
from tinyq.numerics.formats import Codes

RATE = 16_000
_HEADER, _RATE_AT = 44, slice(24, 28)


def speak(text: str, voice: str = "en-us", words_a_minute: int = 150) -> np.ndarray:
    """A text between two half seconds of a quiet room, int16 at ``RATE``."""
    if shutil.which("espeak-ng") is None:
        report_missing("espeak-ng is not installed (apt-get install espeak-ng)")
    command = ["espeak-ng", "-v", voice, "-s", str(words_a_minute), "--stdout", text]
    sound = subprocess.run(command, capture_output=True, check=True).stdout
    rate = int.from_bytes(sound[_RATE_AT], "little")
    spoken = resample_poly(np.frombuffer(sound[_HEADER:], "<i2").astype(float), RATE, rate)
    room = np.random.default_rng(len(text)).integers(-30, 31, len(spoken) + RATE)
    room[RATE // 2 : -RATE // 2] += np.rint(spoken).astype(np.int64)
    return np.clip(room, -(2**15), 2**15 - 1).astype(np.int16)


def hear(samples: np.ndarray) -> Codes:
    """Features of the micro front end, shape (frames, 40)."""
    graph = build_front_end(make_front_end("micro"), len(samples))
    return run(graph, samples[None].astype(np.int32))[0]


def group_frames(features: Codes, shape: tuple[int, ...]) -> Codes:
    """One sequence of steps of a model whose input has that shape: (1, steps, *shape)."""
    steps = features.size // int(np.prod(shape))
    return features.reshape(-1)[: steps * int(np.prod(shape))].reshape(1, steps, *shape)
