"""Chains of layers by rows: layers that hand each other rows, so that no tensor between is whole.

Takes a graph and which layers go together; gives what is computed when, the rings of rows between
the layers, and the graph in which a chain is one node.
"""

from __future__ import annotations

from tinyq.memory.rows.chain import (
    Chain,
    Member,
    Ring,
    check_chain,
    list_granules,
    make_chain,
)
from tinyq.memory.rows.folding import find_owners, fold, fold_scratch
from tinyq.memory.rows.reading import Reading, cut_rows, find_readings
from tinyq.memory.rows.schedule import COMPUTE, COPY, FILL, MOVE, Action, Read

__all__ = [
    "COMPUTE",
    "COPY",
    "FILL",
    "MOVE",
    "Action",
    "Chain",
    "Member",
    "Read",
    "Reading",
    "Ring",
    "check_chain",
    "cut_rows",
    "find_owners",
    "find_readings",
    "fold",
    "fold_scratch",
    "list_granules",
    "make_chain",
]
