"""The part of a network between named tensors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tinyq.errors import ModelError
from tinyq.graph import Graph, Node, Tensor

_NEAR, _CUTOFF = 5, 0.3


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a network is cut.

    Attributes:
        inputs: Names of the tensors that become inputs, in their order; those of the model's own
            inputs that the part reads where empty.
        outputs: Names of the tensors that become outputs, in their order; the model's own where
            empty.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is cut."""
        return bool(self.inputs or self.outputs)


WHOLE = Cut()
"""The cut of a whole network."""


def make_cut(inputs: Iterable[str] | str | None, outputs: Iterable[str] | str | None) -> Cut:
    """A cut at the names of a list, or of a text with commas.

    Raises:
        ModelError: A name is empty or there twice.
    """
    sides = []
    for option, names in (("--inputs", inputs), ("--outputs", outputs)):
        listed = names.split(",") if isinstance(names, str) else list(names or ())
        stripped = tuple(str(name).strip() for name in listed)
        if "" in stripped or len(set(stripped)) < len(stripped):
            raise ModelError(
                "a name is empty or there twice",
                where=option,
                remedy="give different names of tensors with commas between them",
            )
        sides.append(stripped)
    return Cut(*sides)


def explain_unknown(name: str, known: Sequence[str], where: str) -> ModelError:
    """The error of a name that no tensor has, with the nearest that there are."""
    near = difflib.get_close_matches(name, known, _NEAR, _CUTOFF) or list(known[:_NEAR])
    return ModelError(
        f"there is no tensor {name!r}",
        where=where,
        remedy=f"use one of the nearest: {', '.join(near)}; `tinyq inspect` shows all",
    )


def explain_dependence(name: str, where: str) -> ModelError:
    """The error of an output that needs an input that is none of the part's."""
    return ModelError(
        f"the outputs depend on {name!r}, which is none of the inputs",
        where=where,
        remedy=f"add {name} to --inputs, or cut behind where it is read",
    )


def explain_unused(name: str, where: str) -> ModelError:
    """The error of an input on which no output depends."""
    return ModelError(
        f"no output depends on {name!r}",
        where=where,
        remedy="take it from --inputs, or cut further on",
    )


def cut_graph(graph: Graph, cut: Cut) -> Graph:
    """The part of a graph that computes some of its tensors from others.

    Args:
        graph: A verified graph.
        cut: Where; the names are those of tensors.

    Raises:
        ModelError: There is no such tensor, it is a constant, an output needs more than the inputs,
            or an input is not needed.
    """
    if not cut:
        return graph
    activations = [name for name, tensor in graph.tensors.items() if not tensor.is_constant]
    for name in (*cut.inputs, *cut.outputs):
        if name not in activations:
            raise explain_unknown(name, activations, graph.name)
    outputs = cut.outputs or graph.outputs
    producers = {node.output: node for node in graph.nodes}
    needed, reached, kept = _follow(graph, outputs, {*cut.inputs}, producers)
    for name in (*outputs, *reached):
        if name in outputs and name not in needed:
            raise ModelError(
                f"output {name!r} is an input of the part, which computes nothing for it",
                where=graph.name,
                remedy="take it from --outputs",
            )
        if cut.inputs and name in reached and name not in cut.inputs:
            raise explain_dependence(name, graph.name)
    for name in cut.inputs:
        if name not in reached:
            raise explain_unused(name, graph.name)
    nodes = tuple(node for node in graph.nodes if node.output in needed)
    states = tuple(state for state in graph.states if state.name in kept)
    inputs = cut.inputs or tuple(name for name in graph.inputs if name in reached)
    if not inputs:
        raise ModelError("the part reads no input", where=graph.name, remedy="cut further on")
    part = replace(graph, inputs=inputs, outputs=outputs, nodes=nodes, states=states)
    part = replace(part, tensors=_keep(part))
    part.verify()
    return part


def _follow(
    graph: Graph, outputs: Iterable[str], stops: set[str], producers: Mapping[str, Node]
) -> tuple[set[str], set[str], set[str]]:
    """Tensors that are computed for some outputs, inputs that are reached on the way, and states.

    What is computed for a state is computed for the outputs of later steps.
    """
    needed: set[str] = set()
    reached: set[str] = set()
    kept: set[str] = set()
    following = {state.name: state.next for state in graph.states}
    left = list(outputs)
    while left:
        name = left.pop()
        if name in following and name not in stops:
            if name not in kept:
                kept.add(name)
                left.append(following[name])
        elif name in stops or name not in producers:
            if not graph.tensors[name].is_constant:
                reached.add(name)
        elif name not in needed:
            needed.add(name)
            left += producers[name].inputs
    return needed, reached, kept


def _keep(graph: Graph) -> dict[str, Tensor]:
    used = {*graph.sources, *graph.results}
    for node in graph.nodes:
        used.update((*node.inputs, node.output))
    return {name: tensor for name, tensor in graph.tensors.items() if name in used}
