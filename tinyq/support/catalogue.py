"""The catalogue of quantization methods: what each is, and what can be done with it today."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import yaml

from tinyq.errors import TinyqError

CATALOGUE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True, slots=True)
class Entry:
    """One method of the literature.

    Attributes:
        id: Name in the catalogue.
        title: Name for people.
        year: Year of the paper.
        reference: Authors and title of the paper.
        wave: Place in the order of building, A to E; "-" for tinyq's own combinations.
        summary: One line for people.
        formulas: Formulas, one per line.
        weights: Its methods for weights by the names that recipes use, with their formats.
        activations: The same for activations.
        layers: Keras layers that are its method, with the formats of their output.
        leaves_out: What of the paper these methods lack, or an empty text.
        missing: Why there is no method yet, or an empty text.
    """

    id: str
    title: str
    year: int
    reference: str
    wave: str
    summary: str
    formulas: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    activations: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)
    leaves_out: str = ""
    missing: str = ""

    @property
    def trains(self) -> bool:
        """Whether a model can have it; what trains is exported, too."""
        return bool(self.weights or self.activations or self.layers)


@functools.cache
def load_catalogue(path: Path = CATALOGUE) -> Mapping[str, Entry]:
    """All rows, by id, in the order of the file.

    Raises:
        TinyqError: The file does not hold rows of these fields.
    """
    rows = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
    try:
        entries = [_read_row(row) for row in rows]
    except TypeError as error:
        raise TinyqError(f"a row is wrong: {error}", where=str(path)) from None
    return MappingProxyType({entry.id: entry for entry in entries})


def _read_row(row: Mapping[str, object]) -> Entry:
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
    return Entry(**fields)  # type: ignore[arg-type]


def find_entry(name: str) -> Entry:
    """The row with an id, or the row that a recipe's method belongs to.

    Raises:
        TinyqError: There is none.
    """
    catalogue = load_catalogue()
    if name in catalogue:
        return catalogue[name]
    for entry in catalogue.values():
        if name in entry.weights or name in entry.activations:
            return entry
    near = difflib.get_close_matches(name, catalogue, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise TinyqError(
        f"there is no method {name!r}", remedy=f"{hint}`tinyq methods` lists all of them"
    )
