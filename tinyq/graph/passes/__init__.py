"""Passes: from a graph to an equal, simpler graph. Each is one pure function in a file of its name.

``PIPELINE`` lists them in the order in which they run. A pass keeps the codes of the graph's output
for every input.
"""

from __future__ import annotations

from collections.abc import Callable

from tinyq.graph import Graph
from tinyq.graph.passes.drop_dead_nodes import drop_dead_nodes
from tinyq.graph.passes.drop_identity import drop_identity
from tinyq.graph.passes.fold_constants import fold_constants
from tinyq.graph.passes.fold_padding import fold_padding
from tinyq.graph.passes.form_rings import form_rings
from tinyq.graph.passes.fuse_lookups import fuse_lookups
from tinyq.graph.passes.merge_duplicates import merge_duplicates
from tinyq.graph.passes.merge_reshapes import merge_reshapes
from tinyq.graph.passes.remove_constant_channels import remove_constant_channels
from tinyq.graph.passes.tabulate_constants import tabulate_constants

Pass = Callable[[Graph], Graph]

PIPELINE: tuple[Pass, ...] = (
    fold_constants,
    merge_duplicates,
    merge_reshapes,
    drop_identity,
    form_rings,
    fold_padding,
    tabulate_constants,
    fuse_lookups,
    remove_constant_channels,
    drop_dead_nodes,
)


def simplify(graph: Graph) -> Graph:
    """Run all passes in order; the result is verified after each.

    Raises:
        ModelError: The graph is not well formed.
    """
    graph.verify()
    for transform in PIPELINE:
        graph = transform(graph)
        graph.verify()
    return graph
