"""Data of a model that keeps state: sequences of steps, one behind the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError
from tinyq.graph import Graph, Shape
from tinyq.graph.interface import label_ports
from tinyq.numerics.formats import Codes
from tinyq.support.datasets import Answers, Array, Dataset, make_answers


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """Samples of a model: steps of sequences; without state each sample is a sequence of one step.

    Attributes:
        data: All steps, sequence after sequence, with the answers to those that are scored.
        count: Sequences.
        steps: Of each.
        last: Whether the last step of each sequence alone has an answer.
        notes: What a reader should know about them.
    """

    data: Dataset
    count: int
    steps: int
    last: bool = False
    notes: tuple[str, ...] = ()

    def take_scored(self, codes: Codes) -> Codes:
        """Of the codes of all steps those that have answers."""
        return codes[self.steps - 1 :: self.steps] if self.last else codes

    def split(self, codes: Mapping[str, Codes]) -> dict[str, Codes]:
        """Codes of all steps as shapes (sequences, steps, …)."""
        return {
            name: values.reshape(self.count, self.steps, *values.shape[1:])
            for name, values in codes.items()
        }


def split_sequences(graph: Graph, data: Dataset) -> Sequences:
    """Take data for a graph apart into steps.

    Args:
        graph: The model. Without state all samples are on their own.
        data: Inputs of shape (sequences, steps, *input shape); or (samples, *input shape), each a
            sequence of one step, as for a graph without state; or one signal that is as long as
            several inputs one behind the other. Answers are for each step, or for each sequence,
            whose last step is then scored.

    Raises:
        DataError: The data are no sequences for the model.
    """
    if not graph.states:
        return Sequences(data, len(data), 1)
    labels = label_ports(graph)
    given = data.match_inputs({name: labels[name] for name in graph.inputs})
    shaped = {
        name: _shape_steps(values, graph.tensors[name].type.shape, name)
        for name, values in given.items()
    }
    sizes = {name: values.shape[:2] for name, (values, _) in shaped.items()}
    count, steps = next(iter(sizes.values()))
    for name, size in sizes.items():
        if size != (count, steps):
            raise DataError(
                f"{count} sequences of {steps} steps, but {size[0]} of {size[1]} of {name!r}",
                where=data.name,
                remedy="give as many steps of each input",
            )
    flat = {name: values.reshape(-1, *values.shape[2:]) for name, (values, _) in shaped.items()}
    answers = {
        name: _split_answers(answer, count, steps, data.name)
        for name, answer in data.answers.items()
    }
    last = any(of_sequences for _, of_sequences in answers.values())
    if last and not all(of_sequences for _, of_sequences in answers.values()):
        raise DataError(
            "some outputs have answers for each step, others for each sequence",
            where=data.name,
            remedy="give all of them for each step",
        )
    notes = list(dict.fromkeys(note for _, notes in shaped.values() for note in notes))
    if last and steps > 1:
        notes.append(f"scored is the last of the {steps:,} steps of each sequence")
    made = Dataset(flat, {name: answer for name, (answer, _) in answers.items()}, name=data.name)
    return Sequences(made, count, steps, last and steps > 1, tuple(notes))


def _shape_steps(values: Array, shape: Shape, name: str) -> tuple[Array, tuple[str, ...]]:
    """Values as (sequences, steps, *shape), and what was made of them."""
    if values.ndim == len(shape) + 2 and values.shape[2:] == shape and values.shape[1]:
        return values, ()
    if values.shape[1:] == shape:
        note = "each input is the first step of a sequence; longer ones are (sequences, steps, …)"
        return values[:, None], (note,)
    if shape and values.shape[1:] == shape[1:] and len(values) >= shape[0]:
        steps = len(values) // shape[0]
        left = len(values) - steps * shape[0]
        rest = f"; its last {left:,} fill no step" if left else ""
        note = f"x was taken as one signal: {steps:,} steps of {shape[0]:,}{rest}"
        return values[: steps * shape[0]].reshape(1, steps, *shape), (note,)
    raise DataError(
        f"has shape {values.shape}, and a step takes {shape}",
        where=f"input {name!r}",
        remedy="give arrays of shape (sequences, steps, *shape of a step)",
    )


def _split_answers(
    answer: Answers, count: int, steps: int, where: str | None
) -> tuple[Answers, bool]:
    """Answers of steps, or of sequences, and which of the two they are."""
    given = answer.given
    if given is None:
        return answer, False
    if steps == 1 and len(given) == count:
        return answer, False
    if given.shape[:2] == (count, steps):
        flat: npt.NDArray[np.generic] = given.reshape(count * steps, *given.shape[2:])
        return make_answers(flat, count * steps, where), False
    if count == 1 and len(given) == steps:
        return make_answers(given, steps, where), False
    if len(given) == count:
        return answer, True
    raise DataError(
        f"`y` has shape {given.shape} for {count:,} sequences of {steps:,} steps",
        where=where,
        remedy="give answers of shape (sequences, steps, …), or one for each sequence",
    )
