"""Regions: parts of a quantized model with one input and one output, that are fitted one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import keras

from tinyq.training.tracing import Step, walk
from tinyq.training.weighted import WeightedLayer

Extent = Literal["layer", "block"]
EXTENTS: tuple[Extent, ...] = ("layer", "block")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a quantized model.

    Attributes:
        source: Layer whose output it reads.
        end: Layer whose output is its own.
        weighted: Names of its layers with weights, from input to output.
    """

    source: str
    end: str
    weighted: tuple[str, ...]


def find_regions(model: keras.Model, extent: Extent) -> tuple[Region, ...]:
    """The regions of a model, from input to output.

    Args:
        model: Quantized model.
        extent: ``layer`` for one region a layer with weights; ``block`` for what lies between two
            places where a single tensor holds all that the rest of the model reads, such as a
            residual block. A depthwise convolution and what follows it are one block.

    Reference: Li et al. 2021, arXiv:2102.05426, section 3.2.
    """
    steps = walk(model)
    if extent == "layer":
        return tuple(
            Region(step.inputs[0], step.name, (step.name,))
            for step in steps
            if isinstance(step.layer, WeightedLayer)
        )
    return tuple(_list_blocks(steps))


def _list_blocks(steps: tuple[Step, ...]) -> Iterator[Region]:
    """Regions between cuts; what has no weights, or a depthwise layer alone, goes to the next."""
    source, weighted = steps[0].name, list[Step]()
    for step, cut in zip(steps[1:], _find_cuts(steps)[1:], strict=True):
        if isinstance(step.layer, WeightedLayer):
            weighted.append(step)
        if cut and weighted and not (len(weighted) == 1 and _is_depthwise(weighted[0])):
            yield Region(source, step.name, tuple(one.name for one in weighted))
            source, weighted = step.name, []
        elif cut and not weighted:
            source = step.name
    if weighted:
        yield Region(source, steps[-1].name, tuple(one.name for one in weighted))


def _find_cuts(steps: tuple[Step, ...]) -> list[bool]:
    """Whether, behind each step, its output is the only tensor that is still read."""
    last: Mapping[str, int] = {
        name: place for place, step in enumerate(steps) for name in step.inputs
    }
    places = {step.name: place for place, step in enumerate(steps)}
    return [
        not any(place < here < last.get(name, -1) for name, place in places.items())
        for here in range(len(steps))
    ]


def _is_depthwise(step: Step) -> bool:
    """Whether each output channel reads one input channel."""
    layer = step.layer
    groups = int(getattr(layer, "groups", 1) or 1)
    return isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.DepthwiseConv1D) or (
        groups > 1 and groups == step.shapes[0][-1]
    )
