"""What the importers of files of operators do alike before a graph is handed out."""

from __future__ import annotations

import re

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph
from tinyq.selection import GENERIC, list_rivals


def check_kernels(path: str, graph: Graph) -> None:
    """Refuse formats for which no C exists, before anything is written.

    Raises:
        ModelError: A node has no kernel; the message names file and node.
    """
    for node in graph.nodes:
        try:
            list_rivals(graph, node, GENERIC)
        except TinyqError as error:
            place = f"{path}, {node.name}"
            raise ModelError(error.message, where=place, remedy=error.remedy) from None


def name_graph(stem: str) -> str:
    """A graph's name, an identifier of C, from that of a file."""
    name = re.sub(r"\W", "_", stem, flags=re.ASCII).strip("_") or "model"
    return f"m_{name}" if name[0].isdigit() else name
