"""Did the generated text change? `pytest tests/golden --update-golden` accepts a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mixed_model import mixed_model, raw_model
from tinyq.codegen import emit
from tinyq.memory.planner import plan

GOLDEN = Path(__file__).resolve().parent
MODELS = {"mixed": mixed_model, "raw": raw_model}


@pytest.mark.parametrize("name", MODELS)
def test_sources_are_those_kept(name, update_golden):
    graph = MODELS[name](name)
    tree = emit(graph, plan(graph))
    # The runtime headers go as they are, so keeping a copy would only double them.
    generated = {path: text for path, text in tree.files.items() if path.name in _kept(name)}
    assert set(map(str, generated)) == _kept(name)
    folder = GOLDEN / name
    if update_golden:
        folder.mkdir(exist_ok=True)
        for path, text in generated.items():
            (folder / path).write_text(text, "utf-8")
    for path, text in generated.items():
        kept = (folder / path).read_text("utf-8")
        assert text == kept, f"{name}/{path} changed; if so meant: pytest {GOLDEN} --update-golden"


def _kept(name: str) -> set[str]:
    suffixes = (".h", ".c", "_weights.h", "_kernels.h")
    return {f"{name}{suffix}" for suffix in suffixes} | {"tq_model_instance.c"}
