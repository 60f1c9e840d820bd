"""Every micro-kernel is called alone by tests/emulator/test_micro_kernels.py, or stands below."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest

from tests.emulator.test_micro_kernels import CHECKS as FIRST
from tests.micro_checks import CHECKS as MORE
from tinyq.kernels.unpacking import PACKINGS, UNPACKINGS

KERNELS = Path(__file__).resolve().parents[2] / "tinyq" / "kernels"
# Macros that nothing calls alone yet: whole layers on the emulator are their test. The list only
# shrinks: a new micro-kernel gets a check in tests/micro_checks.py.
WITH_WHOLE_LAYERS = frozenset(
    (
        "armv6m/conv_winograd4.j2:code",
        "armv6m/conv_winograd4.j2:product",
        "armv6m/planes.j2:channel",
        "armv7em/conv_winograd4.j2:down",
        "armv7em/conv_winograd4.j2:finish",
        "armv7em/conv_winograd4.j2:six",
        "armv7em/packed_blocks.j2:collect",
        "armv7em/packed_blocks.j2:multiply",
        "armv7em/packed_tiles.j2:job",
        "armv7em/packed_tiles.j2:multiply",
        "armv7em/packed_tiles.j2:transform",
        "armv7em/rowpairs.j2:rows",
        "armv7em/rowpairs.j2:spread",
        "armv7em/rowpairs.j2:strided",
        "armv7em/rowpairs.j2:unpack",
        "armv7em/tfliteadd.j2:list_terms",
        "armv7em/tfliteadd.j2:sums",
        "armv7em/winograd2.j2:product",
        "armv7m/conv_winograd4.j2:code",
        "armv7m/conv_winograd4.j2:product",
        "armv7m/planes.j2:channel",
        "common/epilogue.j2:finish",
        "common/winograd_tiles.j2:down",
        "common/winograd_tiles.j2:six",
        "mve/depthwise_octets.j2:multiply",
        "armv7em/columns.j2:collect",
        "armv7em/columns.j2:column",
        "armv7em/columns.j2:copy",
        "armv7em/dense_sums.j2:finish",
        "armv7em/dense_sums.j2:product",
        "armv7em/moves.j2:copy",
        "armv7em/moves.j2:join",
        "armv7em/moves.j2:set",
        "armv7em/pools.j2:add_up",
        "armv7em/pools.j2:largest",
        "armv7em/strips.j2:expand",
        "armv7em/strips.j2:filter",
        "armv7em/strips.j2:spread",
        "armv7em/wide.j2:finish",
    )
)


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
            named = isinstance(source, ast.Name)
            file = getattr(module, source.id) if named else ast.literal_eval(source)
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
