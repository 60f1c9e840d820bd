"""Public wake words: those of the wheel pymicro-wakeword, and others of a folder.

``TINYQ_WAKE_WORDS`` names the folder, such as a checkout of esphome/micro-wake-word-models.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tests.requirements import report_missing

WHEEL = "pymicro_wakeword"
NAMES = ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")
# Voices of espeak-ng that the networks were not trained on, and know all the same.
VOICES = {
    "alexa": "en-gb",
    "hey_jarvis": "en-us+f3",
    "hey_mycroft": "en-gb-scotland",
    "okay_nabu": "en-us+m3",
}
HEARD, NOTHING = 250 - 128, 128 - 128  # codes of 250 and 128 of 255


def find_wake_word(name: str) -> Path:
    """The file of one of ``NAMES``."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        report_missing("pymicro-wakeword is not installed (pip install .[dev])")
    return Path(found.origin).parent / "models" / f"{name}.tflite"


def list_others() -> list[Path]:
    """Files of the folder."""
    folder = os.environ.get("TINYQ_WAKE_WORDS")
    return sorted(Path(folder).rglob("*.tflite")) if folder else []
