"""Generic kernels whose text is complete as it stands: their operations name the formats."""

from __future__ import annotations

from tinyq.graph.ops import OPERATIONS
from tinyq.kernels.base import Bound
from tinyq.kernels.generic.products import bind_shared
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel


def bind_plain(layer: LayerSpec) -> Bound:
    """The text of the operation's name, without values."""
    return bind_shared(layer)


for _name, _formats in sorted(
    {(it.kernel, formats) for it in OPERATIONS.values() for formats in it.formats}
):
    kernel(_name, *_formats, text=f"generic/{_name}", shared=True)(bind_plain)
