"""EinsumDense whose equation is that of Dense."""

from __future__ import annotations

from typing import Any

import keras

from tinyq.training.registry import rewrites
from tinyq.training.rewriting import Application, Rewriting


@rewrites("EinsumDense")
def rewrite_einsum_dense(rewriting: Rewriting, use: Application) -> Any:
    """A Dense layer, where one axis is summed, the last one, and one takes its place."""
    layer = use.layer
    equation = layer.equation.replace(" ", "")
    inputs, _, rest = equation.partition(",")
    kernel, _, outputs = rest.partition("->")
    alike = len(kernel) == 2 and inputs[-1:] == kernel[0] and kernel[1] not in inputs
    if not alike or outputs != inputs[:-1] + kernel[1]:
        raise use.refuse(
            f"EinsumDense with the equation {layer.equation!r} is not supported",
            "sum the last axis, as in 'abc,cd->abd', or use Dense",
        )
    if layer.bias is not None and tuple(layer.bias.shape) != (use.shape[-1],):
        raise use.refuse("EinsumDense with a bias over several axes", "use bias_axes of the last")
    dense = keras.layers.Dense(
        use.shape[-1],
        activation=layer.activation,
        use_bias=layer.bias is not None,
        kernel_regularizer=layer.kernel_regularizer,
        trainable=layer.trainable,
        name=use.name,
    )
    dense.build(tuple(use.inputs[0].shape))
    dense.set_weights(layer.get_weights())
    return rewriting.apply(dense, *use.inputs)
