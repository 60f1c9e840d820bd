"""The names of proxies."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinyq.exploration.names import explain_unknown
from tinyq.exploration.network import Network
from tinyq.exploration.space import Assignment, Space

Make = Callable[[Network, Space, Assignment, int, int], Any]
"""The quantized model of an assignment, from a number of epochs and a seed."""

_FORM = re.compile(r"(?P<name>[a-z_]+)(?::(?P<epochs>[0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class Proxy:
    """How a model is made of an assignment, before it is judged on the validation data.

    Attributes:
        name: What the user calls it.
        make: Makes the model.
        epochs: Epochs where none are said; 0 for a proxy that does not train.
    """

    name: str
    make: Make
    epochs: int = 0

    @property
    def trains(self) -> bool:
        """Whether it needs labels or targets."""
        return self.epochs > 0

    def __str__(self) -> str:
        """As the user may write it."""
        return f"{self.name}:{self.epochs}" if self.trains else self.name


PROXIES: dict[str, Proxy] = {}


def proxy(name: str, epochs: int = 0) -> Callable[[Make], Make]:
    """Enter a proxy under a name."""

    def enter(function: Make) -> Make:
        PROXIES[name] = Proxy(name, function, epochs)
        return function

    return enter


def find_proxy(text: str) -> Proxy:
    """A proxy by its name, or by name and epochs: ``ptq``, ``train:3``.

    Raises:
        TinyqError: There is none.
    """
    match = _FORM.fullmatch(text)
    found = PROXIES.get(match["name"]) if match else None
    epochs = match["epochs"] if match else None
    if found is not None and (epochs is None or found.trains and int(epochs) > 0):
        return Proxy(found.name, found.make, int(epochs or found.epochs))
    forms = ", ".join(f"{it.name}:EPOCHS" if it.trains else it.name for it in PROXIES.values())
    raise explain_unknown(text, PROXIES, "proxy", forms)
