"""Special kernels within a flash budget: fast ones may have several times the constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyq.codegen.special import Special
from tinyq.codegen.variants import list_special
from tinyq.graph import Graph
from tinyq.plan import find_views

_SHARE = 0.75  # of the flash, for constants; the rest is code


def fit_flash(graph: Graph, isas: Sequence[str], flash_bytes: int) -> Mapping[str, str]:
    """Overrides with which the constants fit in flash, as fast as a greedy search finds.

    Starts from the cheapest kernels; while the constants are too large, the node changes that
    saves most bytes per added instruction.

    Args:
        graph: A verified graph.
        isas: Instruction sets whose kernels may be used, best first.
        flash_bytes: Size of the code memory, 0 for no limit.

    Returns:
        File name of a kernel by node; empty where nothing need change. Constants that cannot be
        made small enough stay as small as they get: the linker says by how much they are too large.
    """
    views = find_views(graph)
    ranked = {
        node.name: sorted(
            (s for s in list_special(graph, node, isas) if isinstance(s, Special)),
            key=lambda special: (special.cost, special.kernel.path.name),
        )
        for node in graph.nodes
        if flash_bytes and node.name not in views
    }
    chosen = {name: found[0] for name, found in ranked.items() if found}
    start = dict(chosen)
    fixed = sum(graph.constant_bytes(node) for node in graph.nodes if node.name not in chosen)
    while fixed + sum(map(_table_bytes, chosen.values())) > _SHARE * flash_bytes:
        steps = [
            ((_table_bytes(old) - _table_bytes(new)) / max(new.cost - old.cost, 1), name, new)
            for name, old in chosen.items()
            for new in ranked[name]
            if _table_bytes(new) < _table_bytes(old)
        ]
        if not steps:
            break
        _, name, new = max(steps, key=lambda step: step[:2])
        chosen[name] = new
    return {
        name: special.kernel.path.name
        for name, special in chosen.items()
        if special is not start[name]
    }


def _table_bytes(special: Special) -> int:
    return sum(table.words.nbytes for table in special.arrangement.tables)
