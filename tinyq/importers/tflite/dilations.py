"""Dilated convolutions that the converter took apart: SPACE_TO_BATCH_ND, CONV, BATCH_TO_SPACE_ND.

With an open batch the converter writes them so, and the shapes between are wrong for a batch of 1.
Each group of pixels that are one dilation apart is a sample of its own in between, so

    batch_to_space(conv(space_to_batch(x, block, paddings)), block, crops)
        = conv(x, dilation block, padding paddings - crops)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor
from tinyq.importers.tflite.window import EXPLICIT_PADDING

_FIRST, _LAST = "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_RESHAPES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
_VALID = 1


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """A space-to-batch, what follows it, and the batch-to-space that undoes it."""

    first: FileOperator
    before: tuple[FileOperator, ...]
    convolution: FileOperator
    after: tuple[FileOperator, ...]
    last: FileOperator

    @property
    def operators(self) -> tuple[FileOperator, ...]:
        return (self.first, *self.before, self.convolution, *self.after, self.last)


def fold_dilations(
    model: FileModel, operators: Sequence[FileOperator]
) -> tuple[FileModel, list[FileOperator]]:
    """Put such convolutions together again, their dilation and padding as options.

    Args:
        model: The file.
        operators: Those to convert, in execution order.

    Returns:
        The file with the shapes of a batch of 1; the operators.
    """
    tensors, found = list(model.tensors), list(operators)
    for operator in operators:
        chain = _follow(operator, operators, model) if operator.name == _FIRST else None
        folded = _fold(chain, tensors) if chain is not None else None
        if chain is None or folded is None:
            continue
        place = found.index(chain.first)
        for gone in chain.operators:
            found.remove(gone)
        found[place:place] = folded
    return replace(model, tensors=tuple(tensors)), found


def inner_tensors(model: FileModel) -> set[int]:
    """Tensors inside of such convolutions, whose pixels lie in another order in the file."""
    found: set[int] = set()
    for operator in model.operators:
        chain = _follow(operator, model.operators, model) if operator.name == _FIRST else None
        if chain is not None:
            found.update(index for one in chain.operators[:-1] for index in one.outputs)
    return found


def _follow(
    first: FileOperator, operators: Sequence[FileOperator], model: FileModel
) -> _Chain | None:
    """The chain that begins here, each of whose tensors has one reader."""
    chain, here = [first], first
    while here.name != _LAST:
        if len(here.outputs) != 1 or here.outputs[0] in model.outputs:
            return None
        readers = [one for one in operators if here.outputs[0] in one.inputs]
        if len(readers) != 1 or readers[0].inputs[0] != here.outputs[0]:
            return None
        here = readers[0]
        chain.append(here)
    places = [place for place, one in enumerate(chain) if one.name in _CONVOLUTIONS]
    others = {one.name for one in chain[1:-1]} - {*_CONVOLUTIONS, *_RESHAPES}
    if len(places) != 1 or others:
        return None
    middle = places[0]
    before, after = tuple(chain[1:middle]), tuple(chain[middle + 1 : -1])
    return _Chain(first, before, chain[middle], after, chain[-1])


def _fold(chain: _Chain, tensors: list[FileTensor]) -> list[FileOperator] | None:
    """The chain's reshapes and its convolution with dilation; None where it cannot be one."""
    options = chain.convolution.options
    plain = all(
        options.get(name, 1) == 1
        for name in ("StrideH", "StrideW", "DilationHFactor", "DilationWFactor")
    )
    block, again = _integers(chain.first, 1, tensors), _integers(chain.last, 1, tensors)
    paddings, crops = _integers(chain.first, 2, tensors), _integers(chain.last, 2, tensors)
    if not plain or options.get("Padding", 0) != _VALID or block != again:
        return None
    if len(block) not in (1, 2) or not len(paddings) == len(crops) == 2 * len(block):
        return None
    source, result = tensors[chain.first.inputs[0]], tensors[chain.last.outputs[0]]
    border = [pad - crop for pad, crop in zip(paddings, crops, strict=True)]
    if (
        min(border) < 0
        or min(block) < 1
        or not len(source.shape) == len(result.shape) == len(block) + 2
    ):
        return None
    is_wide = tensors[chain.convolution.inputs[1]].shape[1:2] == (1,)
    if len(block) == 1:
        block = [1, *block] if is_wide else [*block, 1]
        border = [0, 0, *border] if is_wide else [*border, 0, 0]
    return _connect(chain, tensors, block, border, is_wide)


def _connect(
    chain: _Chain, tensors: list[FileTensor], block: list[int], border: list[int], is_wide: bool
) -> list[FileOperator]:
    """Operators from the chain's input to its output, and right shapes between them."""
    start, end = chain.first.inputs[0], chain.last.outputs[0]
    found, data = [], start
    for one in chain.before:
        found.append(replace(one, name="RESHAPE", inputs=(data,)))
        data = one.outputs[0]
        tensors[data] = replace(tensors[data], shape=_image(tensors[start].shape, is_wide))
    more = {
        "DilationHFactor": block[0],
        "DilationWFactor": block[1],
        EXPLICIT_PADDING: tuple(border),
    }
    own = chain.convolution
    output = own.outputs[0] if chain.after else end
    options = MappingProxyType({**own.options, **more})
    found.append(replace(own, inputs=(data, *own.inputs[1:]), outputs=(output,), options=options))
    if chain.after:
        tensors[output] = replace(tensors[output], shape=_image(tensors[end].shape, is_wide))
        found.append(replace(chain.after[-1], name="RESHAPE", inputs=(output,), outputs=(end,)))
    return found


def _image(shape: tuple[int, ...], is_wide: bool) -> tuple[int, ...]:
    """A sequence (batch, steps, channels) as an image of one row or one column."""
    if len(shape) != 3:
        return shape
    return (shape[0], 1, *shape[1:]) if is_wide else (*shape[:2], 1, shape[2])


def _integers(operator: FileOperator, position: int, tensors: list[FileTensor]) -> list[int]:
    """A constant input, or nothing where it is none."""
    if position >= len(operator.inputs) or operator.inputs[position] < 0:
        return []
    tensor = tensors[operator.inputs[position]]
    if tensor.data is None or tensor.type != "INT32" or len(tensor.data) % 4:
        return []
    return [int(value) for value in np.frombuffer(tensor.data, "<i4")]
