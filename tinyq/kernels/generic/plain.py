"""Generic kernels whose operations name the formats: their text needs no word of the formats.

The text has the operation's name and is complete as it stands, or operations with the same loops
share one, and a table has what each of them computes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tinyq.graph.ops import OPERATIONS
from tinyq.kernels.base import Binder, Bound
from tinyq.kernels.generic import elements, lstm, signals, softmax, terms
from tinyq.kernels.generic.products import bind_shared
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.registry import kernel


def bind_plain(layer: LayerSpec) -> Bound:
    """The text of the operation's name, without values."""
    return bind_shared(layer)


# Operations whose loops are those of others: their text, and what fills it in.
_SHARED: Mapping[str, tuple[str, Binder]] = MappingProxyType(
    {
        **dict.fromkeys(elements.ELEMENTS, (elements.TEXT, elements.bind_element)),
        **dict.fromkeys(lstm.LSTMS, (lstm.TEXT, lstm.bind_lstm)),
        **dict.fromkeys(signals.SIGNALS, (signals.TEXT, signals.bind_signal)),
        **dict.fromkeys(softmax.SOFTMAXES, (softmax.TEXT, softmax.bind_softmax)),
        **dict.fromkeys(terms.TERMS, (terms.TEXT, terms.bind_terms)),
    }
)

for _name, _formats in sorted(
    {(it.kernel, formats) for it in OPERATIONS.values() for formats in it.formats}
):
    _text, _binder = _SHARED.get(_name, (f"generic/{_name}", bind_plain))
    kernel(_name, *_formats, text=_text, shared=True)(_binder)
