"""Advice on the structure of a quantized model: practices of the literature that it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tinyq.numerics.formats import find_format
from tinyq.quantizers import find_weights, scales
from tinyq.training.base import FinishedLayer
from tinyq.training.layers.add import QuantizedAdd
from tinyq.training.layers.prelu import QuantizedPReLU
from tinyq.training.registry import is_preserving
from tinyq.training.tracing import Step, walk
from tinyq.training.weighted import WeightedLayer

END_BITS = 8
_U4 = "u4"
FEW_BITS = 2
HIGHEST_RATE: Mapping[str, float] = {"SGD": 0.05}
"""Highest learning rate for weights of one or two bits, by optimizer; 0.005 for all others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a model that costs accuracy where weights or activations have few bits.

    Attributes:
        layer: Layer that it is about; the model's name where it is about all.
        what: What was found.
        remedy: What to do.
    """

    layer: str
    what: str
    remedy: str

    def render(self) -> str:
        """One line for people."""
        return f"{self.layer}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Structure:
    """A quantized model as the checks see it.

    Attributes:
        model: The model.
        steps: Its layers from input to output, by name.
        weighted: Those with weights, in the same order.
    """

    model: keras.Model
    steps: Mapping[str, Step]
    weighted: tuple[WeightedLayer, ...]

    def producer(self, name: str) -> Any:
        """The layer that computed what the first input of a layer holds, behind pools and such."""
        layer = self.steps[self.steps[name].inputs[0]].layer
        return self.producer(layer.name) if is_preserving(layer) else layer


def advise(model: keras.Model) -> tuple[Finding, ...]:
    """What the literature advises against in a quantized model.

    Pooling of signs, ends of few bits, sums of signs without a scale, chains of binary layers
    without shortcuts, weight decay on kernels of few bits, bit planes of few channels; with an
    optimizer, its learning rate.

    Args:
        model: Model from ``tinyq.quantize``, compiled or not.

    Returns:
        Findings from input to output; none is an error.

    Raises:
        ModelError: The model is not functional.
    """
    steps = {step.name: step for step in walk(model)}
    weighted = tuple(s.layer for s in steps.values() if isinstance(s.layer, WeightedLayer))
    structure = Structure(model, steps, weighted)
    return tuple(finding for check in CHECKS for finding in check(structure))


def bits_of_weights(layer: WeightedLayer) -> int:
    """Stored bits of a weight."""
    return find_format(find_weights(layer.weight_method).format).bits


def bits_of_inputs(layer: WeightedLayer) -> int:
    """Stored bits of an activation that the layer reads."""
    return layer.input_encoding().format.bits


def check_pooling(structure: Structure) -> Iterator[Finding]:
    """The largest of some signs is +1 nearly always.

    Reference: Rastegari et al. 2016, arXiv:1603.05279, section 3.2.
    """
    for step in structure.steps.values():
        if not type(step.layer).__name__.startswith(("MaxPooling", "GlobalMaxPooling")):
            continue
        source = structure.producer(step.name)
        if isinstance(source, FinishedLayer) and source.encoding().format.step == 2:
            yield Finding(
                step.name,
                "takes the largest of signs, which is +1 nearly everywhere",
                f"put the pooling before the BatchNormalization of {source.name}, so that the sign "
                "is taken of centered values",
            )


def check_ends(structure: Structure) -> Iterator[Finding]:
    """First and last layer are small, and lose most.

    Reference: Zhou et al. 2016, arXiv:1606.06160, section 2.7.
    """
    ends = dict.fromkeys(("first", "last"))
    if structure.weighted:
        ends = {"first": structure.weighted[0], "last": structure.weighted[-1]}
    for place, layer in ends.items():
        if layer is None or (place == "last" and layer is structure.weighted[0]):
            continue
        weights, inputs = bits_of_weights(layer), bits_of_inputs(layer)
        if min(weights, inputs) < END_BITS:
            yield Finding(
                layer.name,
                f"the {place} layer has weights of {weights} and inputs of {inputs} bits",
                f"give it 8: `{place}: int8` in the recipe",
            )


def check_scales(structure: Structure) -> Iterator[Finding]:
    """Signs without a scale add up to large whole numbers.

    Reference: Tang et al. 2017, "How to train a compact binary neural network with high accuracy?",
        sections 3.2 and 3.4.
    """
    sloped = {
        structure.producer(step.name).name
        for step in structure.steps.values()
        if isinstance(step.layer, QuantizedPReLU)
    }
    for layer in structure.weighted:
        bare = getattr(find_weights(layer.weight_method), "scale", None) is scales.no_scale
        scaled = layer.batch_norm is not None or layer.name in sloped
        if not bare or scaled or not _is_binary(layer):
            continue
        if layer is structure.weighted[-1]:
            yield Finding(
                layer.name,
                "the logits are sums of signs, so that softmax sees large whole numbers",
                "put BatchNormalization after the last layer; it is folded into its epilogue",
            )
        else:
            yield Finding(
                layer.name,
                "weights without a scale, and nothing after the layer has one",
                "put BatchNormalization or PReLU after it, which take the scale up at no cost",
            )


def check_shortcuts(structure: Structure) -> Iterator[Finding]:
    """A chain of binary layers hands on nothing but signs.

    Reference: Liu et al. 2018, arXiv:1808.00278, section 3.1.
    """
    if any(isinstance(step.layer, QuantizedAdd) for step in structure.steps.values()):
        return
    chained = [
        layer
        for layer in structure.weighted
        if _is_binary(layer)
        and isinstance(source := structure.producer(layer.name), WeightedLayer)
        and _is_binary(source)
    ]
    if chained:
        yield Finding(
            chained[0].name,
            f"{len(chained)} binary layers see only the signs of the binary layer before them",
            "add the input of each to its output before the sign (Add of 8 bits, Bi-Real)",
        )


def check_decay(structure: Structure) -> Iterator[Finding]:
    """Decay pulls weights across the border of their level.

    Reference: Tang et al. 2017, "How to train a compact binary neural network with high accuracy?",
        section 3.3.
    """
    for layer in structure.weighted:
        if bits_of_weights(layer) >= END_BITS:
            continue
        if layer.kernel.regularizer is not None:
            yield Finding(
                layer.name,
                f"weight decay on weights of {bits_of_weights(layer)} bits",
                "leave `weight_decay` out of the recipe, and prefer a method with a penalty",
            )
    optimizer = getattr(structure.model, "optimizer", None)
    few = [layer for layer in structure.weighted if bits_of_weights(layer) < END_BITS]
    if few and optimizer is not None and optimizer.weight_decay:
        decayed = [layer for layer in few if _decays(optimizer, layer.kernel)]
        if decayed:
            yield Finding(
                decayed[0].name,
                f"the optimizer decays {len(decayed)} kernels of few bits",
                "exclude them: optimizer.exclude_from_weight_decay(var_names=['kernel'])",
            )


def check_rate(structure: Structure) -> Iterator[Finding]:
    """Large steps make weights of few bits jump between their levels.

    Reference: Tang et al. 2017, "How to train a compact binary neural network with high accuracy?",
        section 3.1.
    """
    optimizer = getattr(structure.model, "optimizer", None)
    few = [layer for layer in structure.weighted if bits_of_weights(layer) <= FEW_BITS]
    if optimizer is None or not few:
        return
    rate = float(ops.convert_to_numpy(optimizer.learning_rate))
    highest = HIGHEST_RATE.get(type(optimizer).__name__, 0.005)
    if rate > highest:
        yield Finding(
            few[0].name,
            f"a learning rate of {rate:g} makes weights of {bits_of_weights(few[0])} bits jump "
            "between their levels",
            f"begin with {highest / 5:g} or less; tinyq.training.CodeFlipRate shows the jumps",
        )


def check_planes(structure: Structure) -> Iterator[Finding]:
    """Bit planes are words of 32 channels, however few there are."""
    for step in structure.steps.values():
        if not isinstance(step.layer, FinishedLayer):
            continue
        number_format = step.layer.encoding().format
        if number_format.planes == 1:
            continue
        own, other = (
            entry.row_bytes(step.shape[-1]) for entry in (number_format, find_format(_U4))
        )
        if own > other:
            yield Finding(
                step.name,
                f"{step.shape[-1]} channels in bit planes take {own} bytes, in {_U4} {other}",
                "use the method without planes, or give the layer a multiple of 32 channels",
            )


def _decays(optimizer: Any, kernel: Any) -> bool:
    """Whether no name or variable that is excluded from the decay is that of a kernel."""
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    variables = getattr(optimizer, "_exclude_from_weight_decay", ())
    by_name = pattern is not None and pattern.search(kernel.name) is not None
    return not by_name and optimizer._var_key(kernel) not in variables


def _is_binary(layer: WeightedLayer) -> bool:
    return bits_of_weights(layer) == 1 and bits_of_inputs(layer) == 1


Check = Callable[[Structure], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    check_pooling,
    check_ends,
    check_scales,
    check_shortcuts,
    check_decay,
    check_rate,
    check_planes,
)
