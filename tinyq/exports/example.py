"""The example of a package: an input, and what the reference answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyq.graph import Graph, Tensor, TensorType, reference
from tinyq.graph.interface import label_ports
from tinyq.numerics.formats import Codes


def make_example(
    graph: Graph, sample: Mapping[str, Codes] | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Variables of the inputs, and of what the reference answers.

    Args:
        graph: A simplified graph.
        sample: Codes of each input by its name, int32, shape (1, *input shape); None for inputs
            that reach every code.
    """
    draw = np.random.default_rng(0)
    codes = sample or {name: _draw(draw, graph.tensors[name].type)[None] for name in graph.inputs}
    answers = reference.run_named(graph, codes)
    return _describe_buffers(graph, "input", codes), _describe_buffers(graph, "output", answers)


def _draw(draw: np.random.Generator, entry: TensorType) -> Codes:
    form = entry.format
    steps = (form.hi - form.lo) // form.step
    return (form.lo + form.step * draw.integers(0, steps + 1, entry.shape)).astype(np.int32)


def _describe_buffers(graph: Graph, side: str, codes: Mapping[str, Codes]) -> list[dict[str, Any]]:
    """Variables of an example; their names cannot be those of functions of C's library."""
    labels, found = label_ports(graph), []
    for name, values in codes.items():
        entry, end = graph.tensors[name].type, "" if len(codes) == 1 else f"_{labels[name]}"
        found.append(
            {
                "variable": f"{side}{end}",
                "expected": f"expected{end}",
                "type": entry,
                "c_type": entry.format.c_type,
                "words": entry.words,
                "tensor": Tensor(name, entry, values[0]),
            }
        )
    return found
