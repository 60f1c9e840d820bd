"""Every micro-kernel is called alone by tests/emulator/test_micro_kernels.py, or stands below."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from tests.emulator.test_micro_kernels import CHECKS as FIRST
from tests.micro_checks import CHECKS as MORE
from tinyq.kernels.unpacking import UNPACKINGS

KERNELS = Path(__file__).resolve().parents[2] / "tinyq" / "kernels"
# Macros that nothing calls alone yet: whole layers on the emulator are their test. The list only
# shrinks: a new micro-kernel gets a check in tests/micro_checks.py.
WITH_WHOLE_LAYERS = frozenset([])


def list_parts() -> dict[str, str]:
    """Every ``template:macro`` of a Part in the sources, and where it is made."""
    found = {}
    for path in sorted(KERNELS.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        names = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Part"):
                continue
            source, macro = node.args[:2]
            where = f"{path.relative_to(KERNELS.parents[1])}:{node.lineno}"
            file = names[source.id] if isinstance(source, ast.Name) else ast.literal_eval(source)
            if isinstance(macro, ast.Constant):
                found[f"{file}:{macro.value}"] = where
            else:
                assert file == "unpacking/codes.j2", f"{where}: the macro's name is no constant"
                for unpack in UNPACKINGS.values():
                    for length in (4, 5, 32):
                        found[f"{file}:{unpack(1, length).function}"] = where
    return found


def list_called() -> set[str]:
    """Every ``template:macro`` that a check calls, or that one needs."""
    rng = np.random.default_rng(0)
    return {
        f"{part.source}:{part.macro}"
        for checks in (FIRST, MORE)
        for entries in checks.values()
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
    if name in WITH_WHOLE_LAYERS:
        assert name not in called, f"{name} is checked: take it from WITH_WHOLE_LAYERS"
        return
    assert name in called, (
        f"the micro-kernel {name} ({PARTS[name]}) is called by no test: write a check with "
        "random operands and what NumPy says to tests/micro_checks.py"
    )


def test_what_is_left_exists() -> None:
    assert PARTS.keys() >= WITH_WHOLE_LAYERS
