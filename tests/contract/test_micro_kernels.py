"""Every micro-kernel is called alone by tests/emulator/test_micro_kernels.py."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.emulator.test_micro_kernels import CHECKS
from tinyq.kernels.unpacking import PACKINGS, UNPACKINGS

KERNELS = Path(__file__).resolve().parents[2] / "tinyq" / "kernels"


def _read_name(module: ModuleType, source: ast.expr) -> str:
    """What an argument says: a constant or a module's own name."""
    if isinstance(source, ast.Name):
        return str(getattr(module, source.id))
    return str(ast.literal_eval(source))


def list_parts() -> dict[str, str]:
    """Every ``template:macro`` of a Part in the sources, and where it is made."""
    found = {}
    for path in sorted(KERNELS.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        place = path.relative_to(KERNELS.parents[1]).with_suffix("").as_posix()
        module = importlib.import_module(place.replace("/", "."))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Part"):
                continue
            source, macro = node.args[:2]
            where = f"{path.relative_to(KERNELS.parents[1])}:{node.lineno}"
            file = _read_name(module, source)
            if isinstance(macro, ast.Constant):
                found[f"{file}:{macro.value}"] = where
            else:
                assert file == "unpacking/codes.j2", f"{where}: the macro's name is no constant"
                for length in (4, 5, 32):
                    for unpack in UNPACKINGS.values():
                        found[f"{file}:{unpack(1, length).function}"] = where
                    for pack in PACKINGS.values():
                        found[f"{file}:pack_{pack(1, length).function}"] = where
    return found


def list_called() -> set[str]:
    """Every ``template:macro`` that a check calls, or that one needs."""
    rng = np.random.default_rng(0)
    return {
        f"{part.source}:{part.macro}"
        for entries in CHECKS.values()
        for check in entries
        for _, call in check(rng)
        for part in (call.part, *call.needs)
    }


PARTS = list_parts()


@pytest.fixture(scope="module")
def called() -> set[str]:
    return list_called()


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_micro_kernel_is_called_alone(name: str, called: set[str]) -> None:
    assert name in called, (
        f"the micro-kernel {name} ({PARTS[name]}) is called by no test: write a check with "
        "random operands and what NumPy says to a file tests/micro_*.py"
    )
