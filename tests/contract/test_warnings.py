"""No compiler warns about a generated model, at the levels where it looks through all calls."""

from __future__ import annotations

import itertools
import subprocess

import numpy as np
import pytest

from tests.harness import STRICT
from tests.random_graphs import draw_graph
from tinyq.codegen import emit
from tinyq.graph import Graph
from tinyq.memory.planner import plan

MODELS = 25
DEVICE = ("-mthumb", "-mcpu=cortex-m4")
BUILDS = {
    "arm-none-eabi-gcc": [("-O2", *DEVICE), ("-Os", *DEVICE)],
    "gcc": [("-O3",)],
    "clang": [("-O2",)],
}


def is_degenerate(graph: Graph) -> bool:
    """Whether a tensor is so small that GCC warns of what cannot happen.

    Kernels take four codes at a time while four are left. Where a whole buffer holds fewer, GCC
    sees that those reads would leave it, and not that they are never made.
    """
    return any(tensor.type.packed_bytes < 8 for tensor in graph.tensors.values())


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    drawn = (draw_graph(np.random.default_rng((11, seed)), f"model_{seed}") for seed in range(1000))
    for graph in itertools.islice((g for g in drawn if not is_degenerate(g)), MODELS):
        for path, text in emit(graph, plan(graph)).files.items():
            (folder / path).write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        pytest.param(compiler, flags, marks=pytest.mark.requires(compiler), id=compiler + flags[0])
        for compiler, choices in BUILDS.items()
        for flags in choices
    ],
)
def test_random_models_compile_without_a_warning(sources, compiler, flags):
    names = sorted(path.name for path in sources.glob("model_*[0-9].c"))
    assert len(names) == MODELS
    done = subprocess.run(
        [compiler, *STRICT, *flags, "-c", *names], cwd=sources, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:4000]
