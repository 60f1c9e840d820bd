"""Streaming: a network over a window of frames becomes a step that takes the newest frames alone.

Exact by proof, not by training: each tensor keeps the columns that later frames still need, each
layer computes its new columns alone, sums over the window are kept.
"""

from __future__ import annotations

from tinyq.graph.streaming.savings import list_savings
from tinyq.graph.streaming.transform import Streamed, stream

__all__ = ["Streamed", "list_savings", "stream"]
