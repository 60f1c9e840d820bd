"""What all converters of Keras layers use: values, names, constants, epilogues."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops

from tinyq.errors import ModelError, TinyqError
from tinyq.graph import GraphBuilder, Op, Shape, TensorType
from tinyq.graph.epilogues import Epilogue, Requantize, RoundEven, Steps, Threshold
from tinyq.graph.ops.reshape import Reshape
from tinyq.numerics import rounding
from tinyq.numerics.formats import Format, find_format
from tinyq.quantizers import Encoding
from tinyq.training.tracing import Step

NO_PADDING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph under construction.

    Attributes:
        name: Name of the tensor.
        padding: Zeros around the image that the next convolution must add (top, bottom, left,
            right): binary images have no code for them.
    """

    name: str
    padding: tuple[int, int, int, int] = NO_PADDING


@dataclass(slots=True)
class Lowering:
    """The graph under construction, and the names that Keras layers have in it."""

    name: str
    names: Mapping[str, str]
    single_input: bool = True
    builder: GraphBuilder | None = None
    parts: set[str] = field(default_factory=set)

    @property
    def graph(self) -> GraphBuilder:
        """The builder, which exists once the input is converted."""
        if self.builder is None:
            raise ModelError(
                "the model does not begin with a quantized input",
                where=self.name,
                remedy="quantize it with tinyq.quantize first",
            )
        return self.builder

    def identify(self, layer_name: str) -> str:
        """The C identifier of a layer, unique in the graph."""
        return self.names[layer_name]

    def start(self, layer_name: str, layer: Any, shape: Shape) -> Value:
        """Begin the graph with an input, or add another one."""
        return self.begin(layer_name, type_of(layer.encoding(), shape))

    def begin(self, layer_name: str, kind: TensorType) -> Value:
        """Begin the graph with an input of a type, or add another one."""
        name = self.identify(layer_name)
        if self.builder is None:
            self.builder = GraphBuilder.start(self.name, kind, name)
        else:
            self.builder.add_input(name, kind)
        return Value(name)

    def is_raw(self, layer_name: str) -> bool:
        """Whether nothing of that name is in the graph yet: an input that no layer has encoded."""
        return self.builder is None or not self.builder.has(self.identify(layer_name))

    def apply(self, step: Step, operation: Op, *inputs: str, suffix: str = "") -> Value:
        """Add a node called after its layer; ``suffix`` marks all but a layer's last node."""
        return Value(self.graph.apply(self._part(step, suffix), operation, *inputs))

    def _part(self, step: Step, suffix: str) -> str:
        """Name of a part of a layer, which is neither that of a layer nor of another part."""
        name = self.identify(step.name)
        if not suffix:
            return name
        found, number = f"{name}_{suffix}", 2
        while found in self.names.values() or found in self.parts:
            found, number = f"{name}_{suffix}_{number}", number + 1
        self.parts.add(found)
        return found

    def constant(
        self,
        step: Step,
        suffix: str,
        codes: Any,
        number_format: str | Format,
        scale: float | None = None,
    ) -> str:
        """Add a constant of a layer."""
        name = self._part(step, suffix)
        if isinstance(number_format, str):
            number_format = find_format(number_format)
        return self.graph.constant(name, codes, number_format, scale)

    def type(self, value: Value) -> TensorType:
        """Type of a value."""
        return self.graph.type(value.name)

    def reshape(self, step: Step, value: Value, shape: Shape, suffix: str = "") -> Value:
        """The same codes under another shape."""
        return self.apply(step, Reshape(shape), value.name, suffix=suffix)

    def image(self, step: Step, value: Value) -> Value:
        """A sequence (length, channels) as an image of height 1; an image as it is."""
        shape = self.type(value).shape
        if len(shape) != 2:
            return value
        return self.reshape(step, value, (1, *shape), "rows")

    def restore(self, step: Step, image: Value) -> Value:
        """An image under the shape that the layer's output has, called after the layer."""
        return self.reshape(step, image, step.shape)

    def on_image(self, step: Step, value: Value, operation: Op, *constants: str) -> Value:
        """Apply an operation on images; sequences and flat outputs are reshaped around it."""
        image = self.image(step, value)
        types = (self.type(image), *(self.graph.type(name) for name in constants))
        if operation.infer(*types).shape == step.shape:
            return self.apply(step, operation, image.name, *constants)
        inner = self.apply(step, operation, image.name, *constants, suffix="image")
        return self.restore(step, inner)

    def epilogue(
        self, step: Step, code_map: tuple[Any, Any], channels: int, suffix: str = ""
    ) -> tuple[Epilogue, tuple[str, ...]]:
        """Epilogue of a finished layer and the names of its constants."""
        layer = step.layer
        gain, offset = (
            np.broadcast_to(ops.convert_to_numpy(part), (channels,)) for part in code_map
        )
        encoding = layer.encoding()
        prefix = f"{suffix}_" if suffix else ""
        try:
            if encoding.format.step == 2:
                epilogue: Epilogue = Threshold(1.0)
                constants: tuple[Any, ...] = rounding.fold_threshold(gain, offset)
            elif encoding.levels:
                epilogue = Steps(encoding.format.name, *_meaning(encoding), encoding.levels)
                borders = ops.convert_to_numpy(layer.borders())
                constants = rounding.fold_steps(gain, offset, borders)
            else:
                epilogue = _requantize(layer, encoding)
                constants = _scaling(layer, gain, offset)
        except TinyqError as error:
            raise ModelError(error.message, where=step.name, remedy=error.remedy) from None
        names = tuple(
            self.constant(step, prefix + name, codes, "s32")
            for name, codes in zip(epilogue.names, constants, strict=True)
        )
        return epilogue, names


def identifier(name: str) -> str:
    """A C identifier made of any name: letters, digits and single underscores.

    Raises:
        ModelError: Nothing is left of the name.
    """
    found = re.sub(r"_+", "_", re.sub(r"\W", "_", name, flags=re.ASCII)).strip("_")
    if not found:
        raise ModelError(f"the name {name!r} has no letter", remedy="give it a plain name")
    if found[0].isdigit() or keyword.iskeyword(found):
        found = f"layer_{found}"
    return found


def identifiers(steps: Iterable[Step]) -> dict[str, str]:
    """A C identifier for each layer, all different; a number is added where two would be equal."""
    names: dict[str, str] = {}
    for step in steps:
        wanted = identifier(step.name)
        found, number = wanted, 2
        while found in names.values():
            found, number = f"{wanted}_{number}", number + 1
        names[step.name] = found
    return names


def type_of(encoding: Encoding, shape: Shape) -> TensorType:
    """Type of a tensor with a layer's encoding."""
    return TensorType(shape, encoding.format, *_meaning(encoding))


def zero_of(encoding: Encoding) -> int:
    """Zero point as an integer."""
    return _meaning(encoding)[1]


def _meaning(encoding: Encoding) -> tuple[float, int]:
    scale = float(ops.convert_to_numpy(encoding.scale))
    return scale, int(ops.convert_to_numpy(encoding.zero_point))


def _scaling(layer: Any, gain: Any, offset: Any) -> tuple[Any, ...]:
    """Constants of the epilogue that ``_requantize`` gives."""
    if layer.rounds_to_even:
        folded, even = rounding.fold_even(gain, offset)
        return folded.bias, folded.multiplier, folded.shift, even
    folded = rounding.fold_affine(gain, offset)
    return folded.bias, folded.multiplier, folded.shift


def _requantize(layer: Any, encoding: Encoding) -> Requantize | RoundEven:
    scale, zero_point = _meaning(encoding)
    lo, hi = (int(ops.convert_to_numpy(bound)) for bound in layer.clip_range())
    epilogue = RoundEven if layer.rounds_to_even else Requantize
    return epilogue(encoding.format.name, scale, zero_point, lo, hi)
