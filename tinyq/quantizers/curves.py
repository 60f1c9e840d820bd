"""The curve of a quantizer: levels and the slope that training uses, over the real numbers.

`python -m tinyq.quantizers.curves` writes those of all methods into the table of
tinyq.quantizers.explanations, which is read without Keras.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tinyq.quantizers.explanations import (
    Curve,
    Explanation,
    spread_samples,
    write_explanations,
)
from tinyq.quantizers.finding import METHODS, find_method
from tinyq.quantizers.method import ROLES, Role
from tinyq.quantizers.weights import WeightParts


def trace(name: str, role: Role) -> Curve:
    """The curve of a method on values that are distributed normally with deviation 1.

    Args:
        name: Name that a recipe may say.
        role: ``weights`` or ``activations``.
    """
    x = spread_samples()
    tensor = tf.constant(x[:, None])
    quantizer: Any
    if role == "weights":
        parts = find_method(name, role).weights
        assert parts is not None
        quantizer = parts.build((0,))
        quantizer.build(tensor.shape)
        y = quantizer.quantized(tensor)
        slope = _slope(quantizer, tensor)
    else:
        activations = find_method(name, role).activations
        assert activations is not None
        quantizer = activations.build(name="quantizer")
        quantizer(tensor, training=True)
        y = quantizer(tensor)
        slope = _slope(lambda values: quantizer(values, training=True), tensor)
    return Curve(x, np.asarray(y)[:, 0], slope)


def _slope(function: Any, tensor: Any) -> np.ndarray:
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = function(tensor)
    return np.asarray(tape.gradient(y, tensor))[:, 0]


def name_parts(name: str, role: Role) -> dict[str, str]:
    """What a method is made of, by the names of the functions and classes.

    Args:
        name: Name that a recipe may say.
        role: ``weights`` or ``activations``.
    """
    method = find_method(name, role)
    if role == "activations":
        assert method.activations is not None
        quantizer = method.activations.build(name="quantizer")
        slopes = quantizer.estimators().items()
        named = {"gradient" if by == "x" else f"gradient by {by}": _name(f) for by, f in slopes}
        return {"quantizer": type(quantizer).__name__, **named}
    parts = method.weights
    assert parts is not None
    return _name_weights(parts)


def _name_weights(parts: WeightParts) -> dict[str, str]:
    found = {
        "levels": _describe_levels(parts),
        "step": _name(parts.step),
        "scale": _name(parts.scale),
        "gradient": _name(parts.gradient),
        "scales": "per tensor" if parts.per_tensor else "per channel",
    }
    if parts.learned is not None:
        found["gradient by step"] = _name(parts.learned.slope)
    procedure = parts.procedure
    options = {
        "prepare": parts.prepare,
        "draw": procedure.draw,
        "penalty": procedure.penalty,
        "update": procedure.update,
        "schedule": procedure.schedule,
    }
    found |= {key: _name(part) for key, part in options.items() if part is not None}
    if procedure.forward != "quantized":
        found["forward"] = procedure.forward
    return found


def _describe_levels(parts: WeightParts) -> str:
    """The level set; for levels that come from the weights, how they are found and trained."""
    table = getattr(parts, "table", None)
    if table is not None:
        return f"{table.count} of {_name(table.fit)}, chosen by {_name(table.choose)}"
    signs = getattr(parts, "signs", None)
    if signs is not None:
        return f"sums with {_name(signs)}"
    return repr(parts.levels)


def _name(part: Any) -> str:
    return str(part.__qualname__.split(".")[0])


def explain(name: str, role: Role) -> Explanation:
    """What a method is made of, how training goes with it, and its curve.

    Args:
        name: Name that a recipe may say.
        role: ``weights`` or ``activations``.
    """
    parts = find_method(name, role).weights if role == "weights" else None
    phases = () if parts is None else parts.procedure.phases
    return Explanation(name_parts(name, role), phases, trace(name, role))


def main() -> None:
    """Write the table of all methods."""
    found: dict[tuple[str, Role], Explanation] = {}
    for name, method in METHODS.items():
        for role in ROLES:
            if getattr(method, role) is not None:
                found[name, role] = explain(name, role)
    write_explanations(found)


if __name__ == "__main__":
    main()
