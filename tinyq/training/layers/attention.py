"""Attention, head by head: no more than the scores of one head lie in memory."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tinyq.training.layers.dot import MatrixProduct
from tinyq.training.registry import rewrites
from tinyq.training.rewriting import Application, Rewriting

_UNKNOWN = ("query_mask", "value_mask", "key_mask", "attention_mask", "mask")


@rewrites("MultiHeadAttention")
def rewrite_attention(rewriting: Rewriting, use: Application) -> Any:
    """Query, key, value, scores and their sums of one head after the other, then the output.

    head = softmax((q W_q + b_q) (k W_k + b_k)^T / sqrt(key_dim)) (v W_v + b_v)
    """
    layer = use.layer
    query, value, key = _read_inputs(use)
    _refuse_options(use, layer.get_config())
    share = 1.0 / math.sqrt(layer.key_dim)
    heads = []
    for number in range(layer.num_heads):
        parts = [
            _project(rewriting, use, inner, (f"{word}_{number}", number, factor), tensor)
            for word, inner, factor, tensor in (
                ("query", layer.query_dense, share, query),
                ("key", layer.key_dense, 1.0, key),
                ("value", layer.value_dense, 1.0, value),
            )
        ]
        heads.append(_attend(rewriting, use, f"_{number}", parts, layer.dropout))
    name = rewriting.name(f"{use.name}_heads")
    joined = rewriting.apply(keras.layers.Concatenate(name=name), *heads) if heads[1:] else heads[0]
    kernel, *bias = (np.asarray(one) for one in layer.output_dense.get_weights())
    if len(use.shape) != 2:
        raise use.refuse("output_shape has several axes", "give output_shape one number")
    return _dense(rewriting, use.name, joined, kernel.reshape(-1, use.shape[-1]), bias, use)


@rewrites("Attention")
def rewrite_dot_attention(rewriting: Rewriting, use: Application) -> Any:
    """Products of queries and keys, softmax, sums of values."""
    layer = use.layer
    query, value, *rest = use.inputs
    if layer.score_mode != "dot" or any(use.kwargs.get(word) is not None for word in _UNKNOWN):
        raise use.refuse("scores are masked, or no products", "use score_mode='dot', no mask")
    if use.kwargs.get("use_causal_mask") or use.kwargs.get("return_attention_scores"):
        raise use.refuse("scores are masked or handed out", "leave these arguments out")
    if layer.use_scale:
        factor = float(keras.ops.convert_to_numpy(layer.scale))
        rewriting.fixed[use.name] = None
        scaled = keras.layers.Rescaling(factor, name=rewriting.name(f"{use.name}_scaled"))
        query = rewriting.apply(scaled, query)
    parts = [query, rest[0] if rest else value, value]
    return _attend(rewriting, use, "", parts, layer.dropout, use.name)


def _read_inputs(use: Application) -> tuple[Any, Any, Any]:
    """Query, value and key."""
    given = dict(zip(("query", "value", "key"), use.args, strict=False)) | use.kwargs
    for word in (*_UNKNOWN, "use_causal_mask", "return_attention_scores"):
        if given.get(word) is not None and given[word] is not False:
            raise use.refuse(f"{word} is not supported", "let each step attend to all steps")
    query, value = given["query"], given["value"]
    key = given.get("key")
    found = (query, value, value if key is None else key)
    if any(len(tensor.shape) != 3 for tensor in found):
        raise use.refuse("attends over other shapes than (steps, channels)", "reshape before it")
    return found


def _refuse_options(use: Application, config: dict[str, Any]) -> None:
    for option in ("attention_axes", "sliding_window", "use_gate"):
        if config.get(option) and list(np.reshape(config[option], -1)) != [1]:
            raise use.refuse(f"{option} is not supported", f"leave {option} out")


def _project(
    rewriting: Rewriting, use: Application, inner: Any, part: tuple[str, int, float], tensor: Any
) -> Any:
    """What one head has of a projection."""
    word, number, factor = part
    kernel, *bias = (np.asarray(one) for one in inner.get_weights())
    name = rewriting.name(f"{use.name}_{word}")
    offsets = [one[number] * factor for one in bias]
    return _dense(rewriting, name, tensor, kernel[:, number] * factor, offsets, use)


def _dense(
    rewriting: Rewriting,
    name: str,
    tensor: Any,
    kernel: np.ndarray,
    bias: list[np.ndarray],
    use: Application,
) -> Any:
    dense = keras.layers.Dense(kernel.shape[-1], use_bias=bool(bias), name=name)
    dense.build(tuple(tensor.shape))
    dense.set_weights([kernel, *bias])
    dense.trainable = use.layer.trainable
    return rewriting.apply(dense, tensor)


def _attend(
    rewriting: Rewriting,
    use: Application,
    suffix: str,
    parts: list[Any],
    dropout: float,
    name: str | None = None,
) -> Any:
    """(steps, channels) of a query, a key and a value (steps, channels)."""

    def add(layer: Any, word: str, *inputs: Any, **options: Any) -> Any:
        named = layer(**options, name=rewriting.name(f"{use.name}_{word}{suffix}"))
        return rewriting.apply(named, *inputs)

    query, key, value = parts
    rows = [
        add(keras.layers.Reshape, f"{word}_rows", tensor, target_shape=(1, *tensor.shape[1:]))
        for word, tensor in (("query", query), ("key", key), ("value", value))
    ]
    scores = add(MatrixProduct, "scores", *rows[:2])
    shares = add(keras.layers.Softmax, "shares", scores)
    if dropout:
        shares = add(keras.layers.Dropout, "dropout", shares, rate=dropout)
    columns = add(keras.layers.Permute, "columns", rows[2], dims=(1, 3, 2))
    sums = add(MatrixProduct, "sums", shares, columns)
    shape = (query.shape[1], value.shape[-1])
    end = name or rewriting.name(f"{use.name}_head{suffix}")
    return rewriting.add(keras.layers.Reshape(shape, name=end), sums)
