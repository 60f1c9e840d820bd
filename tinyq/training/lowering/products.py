"""Products of two computed tensors: what their lowerings share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyq.graph import Op
from tinyq.training.lowering.emission import Lowering, Value, zero_of
from tinyq.training.lowering.windows import plain
from tinyq.training.tracing import Step


def lower_product_of(
    operation: Callable[..., Op], lowering: Lowering, step: Step, inputs: tuple[Value, ...]
) -> Value:
    """An operation of two operands by its epilogue and both zero points."""
    layer: Any = step.layer
    zeros = [zero_of(layer.input_encoding(index)) for index in range(2)]
    epilogue, constants = lowering.epilogue(step, layer.code_map(), step.shape[-1])
    names = [plain(value, step) for value in inputs]
    return lowering.apply(step, operation(epilogue, *zeros), *names, *constants)
