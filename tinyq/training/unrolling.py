"""Models and layers of a user's class, followed through their ``call`` into functional models.

``call`` is run once on symbolic tensors, as Keras does when it builds a functional model. What it
does to them is recorded; what depends on their values cannot be.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tinyq.errors import ModelError
from tinyq.support.limits import describe
from tinyq.training.tracing import is_functional

_REMEDY = "build it from layers with the functional API, or write `call` with layers and keras.ops"


def unroll(model: Any) -> Any:
    """A functional model with the layers and weights of a model of a class; others as they are.

    Args:
        model: A model that was built or called, so that its input shapes are known.

    Raises:
        ModelError: The shapes are not known, or ``call`` cannot be followed.
    """
    if not isinstance(model, keras.Model) or is_functional(model):
        return model
    shapes = _input_shapes(model)
    if shapes is None:
        raise ModelError(
            "the model has no fixed input shape",
            where=model.name,
            remedy="call it once on a batch, or build it: model.build((None, *shape))",
        )
    return follow_call(model, _name_inputs(shapes))


def follow_call(layer: Any, inputs: Any) -> keras.Model:
    """The functional model of what a layer's ``call`` does to symbolic inputs.

    Raises:
        ModelError: It cannot be followed.
    """
    options = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}
    try:
        outputs = layer.call(inputs, **options)
        return keras.Model(inputs, outputs, name=layer.name)
    except ModelError:
        raise
    except Exception as error:  # whatever the user's code raises when it meets a symbolic tensor
        raise ModelError(
            f"the `call` of {type(layer).__name__} cannot be followed: {describe(error)}",
            where=layer.name,
            remedy=_REMEDY,
        ) from None


def follow_use(layer: Any, tensors: Sequence[Any]) -> keras.Model:
    """The same for one use of a layer, on new inputs like the tensors that it reads."""
    inputs = [keras.Input(tuple(tensor.shape)[1:], dtype=tensor.dtype) for tensor in tensors]
    return follow_call(layer, inputs if len(inputs) > 1 else inputs[0])


def _name_inputs(shapes: Any) -> Any:
    """Symbolic inputs of shapes that are one, a list or a mapping."""
    if isinstance(shapes, Mapping):
        return {key: keras.Input(tuple(one)[1:], name=str(key)) for key, one in shapes.items()}
    if shapes and isinstance(shapes[0], list | tuple):
        return [
            keras.Input(tuple(one)[1:], name=f"input_{number}")
            for number, one in enumerate(shapes, start=1)
        ]
    return keras.Input(tuple(shapes)[1:], name="input")


def _input_shapes(model: Any) -> Any:
    """Shapes that the model was built for, nested as its inputs; None where there are several."""
    known = getattr(model, "_build_shapes_dict", None)
    if not known:
        return None
    shapes = [shape for shape in known.values() if shape is not None]
    return shapes[0] if len(shapes) == 1 else None
