"""Options, seed and skip rules of all suites."""

from __future__ import annotations

import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.requirements import report_missing

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SEED = pytest.StashKey[int]()
CHOSEN = pytest.StashKey[bool]()
TESTS = Path(__file__).resolve().parent
# Quick suites without Keras run first, so that a fault shows early.
ORDER = (
    "architecture",
    "unit",
    "contract",
    "property",
    "bitexact",
    "golden",
    "fuzz",
    "faults",
    "package",
    "emulator",
    "hil",
)
# What these draw is held against exact answers, so that any seed will do: each day has its own.
# The others train or count, and their limits are for seed 0.
ROLLING = {"bitexact", "emulator", "fuzz", "hil", "property"}
COUNTED = {"test_estimates.py"}
MARKED = {"emulator", "fuzz", "hil", "package"}
EMULATOR_TOOLS = ("qemu-system-arm", "arm-none-eabi-gcc")

# A test that fixes max_examples in its own @settings is not changed by a profile.
settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "fuzz",
    parent=settings.get_profile("default"),
    max_examples=int(os.environ.get("TINYQ_EXAMPLES", "20000")),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tinyq")
    group.addoption("--bench", metavar="FILE", help="the boards plugged in here, for tests/hil")
    group.addoption(
        "--seed", help="seed of the random tests, a number or `random`; that of the day by default"
    )
    group.addoption("--update-golden", action="store_true", help="rewrite the golden files")


def pytest_configure(config: pytest.Config) -> None:
    wanted = config.getoption("--seed")
    today = int(datetime.now(UTC).strftime("%Y%m%d"))
    seed = secrets.randbits(32) if wanted == "random" else int(wanted or today)
    config.stash[SEED] = getattr(config, "workerinput", {}).get("seed", seed)
    config.stash[CHOSEN] = wanted is not None


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.stash[SEED]
    where = "" if config.stash[CHOSEN] else f" in {', '.join(sorted(ROLLING))}, else 0"
    return f"seed: {seed}{where} (--seed={seed} repeats it)"


def seed_of(config: pytest.Config, path: Path) -> int:
    """The seed of the tests in a file."""
    rolls = config.stash[CHOSEN] or (suite_of(path) in ROLLING and path.name not in COUNTED)
    return config.stash[SEED] if rolls else 0


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker of pytest-xdist the seed of all others."""
    node.workerinput["seed"] = node.config.stash[SEED]


def suite_of(path: Path) -> str:
    """Return the folder below tests/ that a test file is in."""
    return path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        suite = suite_of(item.path)
        if suite in MARKED:
            item.add_marker(suite)
        if suite == "emulator":
            item.add_marker(pytest.mark.requires(*EMULATOR_TOOLS))
        if config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(
        key=lambda item: ORDER.index(suite) if (suite := suite_of(item.path)) in ORDER else -1
    )


def group_of(item: pytest.Item) -> str:
    """What `--dist loadgroup` keeps on one worker: a file, or one case of a test that is spread."""
    stem = f"{suite_of(item.path)}/{item.path.stem}"
    return f"{stem}/{item.name}" if item.get_closest_marker("spread") else stem


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("requires"):
        absent = [tool for tool in mark.args if shutil.which(tool) is None]
        if not absent:
            continue
        reason = f"{', '.join(absent)} not installed; `tinyq doctor` says how to install"
        report_missing(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.failed and "seed" in getattr(item, "fixturenames", ()):
        report.sections.append(("seed", f"repeat with --seed={seed_of(item.config, item.path)}"))
    return report


@pytest.fixture(scope="module")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run, printed when a test that uses it fails."""
    return seed_of(request.config, request.path)


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A random generator of its own for each test."""
    return np.random.default_rng(seed)


@pytest.fixture
def bench_file(request: pytest.FixtureRequest) -> Path:
    """The file that names the boards plugged in here."""
    return Path(request.config.getoption("--bench"))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are rewritten instead of compared."""
    return bool(request.config.getoption("--update-golden"))
