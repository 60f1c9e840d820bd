from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("templates", "firmware", "boards.yaml")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the checkout's influence and return its standard output."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built with the hatchling of this environment."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("tinyq-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A new virtual environment with the wheel; its dependencies are this environment's."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"),
        *("--quiet", "--disable-pip-version-check", wheel),
        cwd=folder,
    )
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv"


def known_to_git() -> set[str]:
    """Return the files to ship: tracked or new, not ignored, not deleted."""
    listed = run(
        *("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *SHIPPED), cwd=ROOT
    )
    return {name for name in listed.splitlines() if (ROOT / name).is_file()}


@pytest.mark.requires("git")
def test_wheel_ships_what_git_knows(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {n.removeprefix("tinyq/_data/") for n in names if n.startswith("tinyq/_data/")}
    expected = known_to_git()
    assert {name.split("/")[0] for name in expected} == set(SHIPPED)
    assert shipped == expected


def test_wheel_holds_the_licence(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_sdist_builds_the_same_wheel(wheel, tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (archive,) = tmp_path.glob("tinyq-*.tar.gz")
    run("tar", "-xzf", archive, cwd=tmp_path)
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=source)
    (again,) = tmp_path.glob("tinyq-*.whl")
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_installed_package_is_the_wheel(environment, tmp_path):
    where = run(
        *(environment / "bin/python", "-c", "import tinyq.support.resources as r; print(r.BOARDS)"),
        cwd=tmp_path,
    )
    boards = Path(where.strip())
    assert boards.is_file()
    assert boards.is_relative_to(environment)


def test_installed_command_runs(environment, tmp_path):
    assert run(environment / "bin/tinyq", "--version", cwd=tmp_path).startswith("tinyq ")
    shown = json.loads(run(environment / "bin/tinyq", "boards", "--json", cwd=tmp_path))
    boards = shown["boards"]
    assert "stm32" in {alias for board in boards for alias in board["aliases"]}


@pytest.mark.requires("arm-none-eabi-gcc")
def test_installed_command_builds_the_demo_model(environment, tmp_path):
    """The demo's network, quantized and calibrated but not trained, becomes an ELF for stm32."""
    program = (
        "import numpy as np, tinyq\n"
        "from tinyq.training import calibrate\n"
        "from tinyq.training.networks import DIGITS_RECIPE, digits_network\n"
        "model = tinyq.quantize(digits_network(), DIGITS_RECIPE)\n"
        "calibrate(model, np.random.default_rng(0).random((64, 8, 8, 1), np.float32))\n"
        "model.save('digits.keras')\n"
    )
    run(environment / "bin/python", "-c", program, cwd=tmp_path)
    command = ("build", "digits.keras", "--board", "stm32", "-o", "out", "--json")
    built = json.loads(run(environment / "bin/tinyq", *command, cwd=tmp_path))
    assert 0 < built["flash_bytes"] < built["flash_limit_bytes"]
    assert (tmp_path / "out/firmware.elf").is_file()
    assert "void digits_run(" in (tmp_path / "out/model/digits.h").read_text()
