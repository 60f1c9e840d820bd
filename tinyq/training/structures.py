"""Changes to a float network that methods of few bits ask for: more filters, gated shortcuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from tinyq.errors import ModelError, TinyqError

_WIDTHS = ("filters", "units")


def widen(model: keras.Model, factor: float) -> keras.Model:
    """A float network of the same form with more filters, not yet trained.

        filters' = round(factor * filters) of every layer but the last one before an output

    Args:
        model: Functional or Sequential float model; it is left as it is.
        factor: Positive; less than 1 makes it narrower.

    Raises:
        ModelError: A layer in it has a fixed number of channels.
        TinyqError: The factor is not positive.

    Reference: Mishra et al. 2018, arXiv:1709.01134; Chin et al. 2020, One weight bitwidth to rule
        them all.
    """
    if not factor > 0.0:
        raise TinyqError(f"{factor} is no factor", where="widen", remedy="give a positive number")
    kept = {layer.name for tensor in model.outputs for layer in _find_last(tensor)}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        for key in _WIDTHS:
            if key in config and layer.name not in kept:
                config[key] = max(1, round(factor * config[key]))
        return layer.__class__.from_config(config)

    try:
        return keras.models.clone_model(model, clone_function=clone)
    except ValueError as error:
        raise ModelError(
            f"a layer cannot have other channels: {str(error).splitlines()[0]}",
            where=model.name,
            remedy="make the wide network by hand",
        ) from None


def _find_last(tensor: Any) -> Iterator[keras.layers.Layer]:
    """The layers with a width of their own that come last before a tensor."""
    layer = tensor._keras_history.operation
    if any(hasattr(layer, key) for key in _WIDTHS):
        yield layer
        return
    for source in keras.tree.flatten(getattr(layer, "input", None) or []):
        if source is not tensor:
            yield from _find_last(source)


def gate_shortcuts(model: keras.Model) -> keras.Model:
    """The same network with a trained factor for every channel of its shortcuts.

        y = f(x) + g_c x,  g = 1 at first

    A shortcut is what an Add reads of a tensor that something else reads, too. A gate is a
    depthwise convolution of one position, so that it has weights of the recipe's method on the
    device.

    Args:
        model: Functional float model with images or sequences; it is left as it is.

    Raises:
        ModelError: There is no shortcut.

    Reference: Shen et al. 2020, arXiv:1909.12117, eq. 12.
    """
    gates = dict(_list_gates(model))
    if not gates:
        raise ModelError(
            "the model has no shortcut to gate",
            where=model.name,
            remedy="give a model with an Add of a tensor that another layer reads, too",
        )

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        for place, gate in enumerate(gates.get(layer.name, ())):
            if gate is not None:
                inputs = list(args[0])
                inputs[place] = gate(inputs[place])
                args = (inputs, *args[1:])
        return layer(*args, **options)

    gated = keras.models.clone_model(model, call_function=call)
    for layer in model.layers:
        gated.get_layer(layer.name).set_weights(layer.get_weights())
    return gated


def _list_gates(model: keras.Model) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Name of each Add that has shortcuts, and a gate or None for each of its inputs."""
    kinds = {3: keras.layers.DepthwiseConv1D, 4: keras.layers.DepthwiseConv2D}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Add):
            continue
        gates = tuple(
            kinds[len(tensor.shape)](
                1,
                use_bias=False,
                depthwise_initializer="ones",
                name=f"{layer.name}_gate_{place}",
            )
            if len(tensor.shape) in kinds and _count_readers(tensor) > 1
            else None
            for place, tensor in enumerate(layer.input)
        )
        if any(gate is not None for gate in gates):
            yield layer.name, gates


def _count_readers(tensor: Any) -> int:
    return len(tensor._keras_history.operation._outbound_nodes)
