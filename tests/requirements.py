"""What is missing here: a reason to skip, but in CI, where all is installed, a failure."""

from __future__ import annotations

import importlib
import os
from typing import Any, NoReturn

import pytest


def report_missing(reason: str) -> NoReturn:
    """End the test, or the module where it stands in none."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{reason}. In CI nothing may be missing.", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def require_module(name: str, remedy: str = "pip install .[dev]") -> Any:
    """A module that the project can do without, and its tests cannot."""
    try:
        return importlib.import_module(name)
    except ImportError:
        report_missing(f"{name} is not installed ({remedy})")
