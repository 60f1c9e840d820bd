"""One small network for each situation of Keras layers that users bring: names, shapes, bodies.

A new layer needs one more line here, ``situation(name, shape, body)``; a contract test asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from tests.small_models import L
from tinyq.training.registry import kind_of

IMAGE, SEQUENCE, VECTOR = (8, 8, 4), (12, 4), (10,)
Body = Callable[[Any], Any]
Shape = tuple[int, ...] | dict[str, tuple[int, ...]]
SITUATIONS: dict[str, tuple[Shape, Body]] = {}


def situation(name: str, shape: Shape, body: Body) -> None:
    """Register a network; of several inputs ``shape`` has the shape of each by its name."""
    assert name not in SITUATIONS, name
    SITUATIONS[name] = (shape, body)


def make_model(name: str) -> keras.Model:
    """The float network of a situation, with weights that are not tiny."""
    shape, body = SITUATIONS[name]
    keras.utils.set_random_seed(sum(map(ord, name)))
    inputs: Any = (
        {key: keras.Input(one, name=key) for key, one in shape.items()}
        if isinstance(shape, dict)
        else keras.Input(shape, name="input")
    )
    model = keras.Model(inputs, body(inputs), name="situation")
    rng = np.random.default_rng(sum(map(ord, name)))
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, L.BatchNormalization):
            channels = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.3, channels))
            layer.moving_variance.assign(rng.uniform(0.3, 2.0, channels))
            if layer.scale:
                layer.gamma.assign(rng.normal(1, 0.3, channels))
        elif isinstance(getattr(layer, "bias", None), keras.Variable):
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    return model


def draw_inputs(name: str, samples: int, seed: int = 0) -> Any:
    """Inputs of a situation: an array, or one for each of several inputs by its name."""
    rng = np.random.default_rng(seed)
    shape = SITUATIONS[name][0]
    if name == "Embedding":
        return rng.integers(0, 20, (samples, *shape)).astype(np.float32)
    if isinstance(shape, dict):
        return {
            key: rng.normal(0, 1, (samples, *one)).astype(np.float32) for key, one in shape.items()
        }
    return rng.normal(0, 1, (samples, *shape)).astype(np.float32)


def fresh(middle: Body) -> Body:
    """A new layer of the same options, or the function."""
    if isinstance(middle, L.Layer):
        return type(middle).from_config(middle.get_config())  # type: ignore[no-any-return]
    return middle


def image(middle: Body) -> Body:
    """A layer between a convolution and a fully connected one."""

    def body(x: Any) -> Any:
        x = L.Conv2D(6, 3, padding="same", name="stem")(x)
        return L.Dense(3, name="head")(L.Flatten(name="flat")(fresh(middle)(x)))

    return body


def sequence(middle: Body) -> Body:
    """The same over time."""

    def body(x: Any) -> Any:
        x = L.Conv1D(6, 3, padding="same", name="stem")(x)
        return L.Dense(3, name="head")(L.Flatten(name="flat")(fresh(middle)(x)))

    return body


def vector(middle: Body) -> Body:
    """The same with fully connected layers."""

    def body(x: Any) -> Any:
        return L.Dense(3, name="head")(L.Flatten()(fresh(middle)(L.Dense(12, name="stem")(x))))

    return body


def _twice(x: Any, join: Body, images: bool = True) -> Any:
    if images:
        return join([x, L.Conv2D(x.shape[-1], 1, name="branch")(x)])
    return join([x, L.Dense(x.shape[-1], name="branch")(x)])


def _excited(x: Any) -> Any:
    """Squeeze and excite."""
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    return L.Multiply()([x, L.Conv2D(6, 1, activation="sigmoid")(gate)])


def transformer(x: Any) -> Any:
    """Two blocks."""
    for _ in range(2):
        y = L.LayerNormalization()(x)
        x = L.Add()([x, L.MultiHeadAttention(2, 4)(y, y)])
        y = L.LayerNormalization()(x)
        x = L.Add()([x, L.Dense(6)(L.Dense(12, activation="gelu")(y))])
    return x


def _nested(x: Any) -> Any:
    inner = keras.Sequential(
        [keras.Input((8, 8, 6)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU()], name="inner"
    )
    return inner(x)


def _shared(x: Any) -> Any:
    layer = L.Dense(12, activation="relu", name="shared")
    return layer(layer(x))


def _shared_model(x: Any) -> Any:
    part = keras.Input((6,))
    inner = keras.Model(part, L.Dense(4, activation="tanh")(part), name="tower")
    return L.Concatenate()([inner(x[:, :6]), inner(x[:, 6:])])


situation("Dense", VECTOR, vector(L.Dense(8, activation="relu")))
situation("Dense on rows", SEQUENCE, sequence(L.Dense(5)))
situation("Conv1D", SEQUENCE, sequence(L.Conv1D(5, 3)))
situation("Conv1D causal", SEQUENCE, sequence(L.Conv1D(5, 3, padding="causal", dilation_rate=2)))
situation("Conv1D groups", SEQUENCE, sequence(L.Conv1D(6, 3, groups=2)))
situation("Conv2D", IMAGE, image(L.Conv2D(5, 3, activation="relu")))
situation("Conv2D groups", IMAGE, image(L.Conv2D(9, 3, groups=3, activation="relu")))
situation("Conv2D groups of one", IMAGE, image(L.Conv2D(12, 3, groups=6, padding="same")))
situation("Conv2D dilated", IMAGE, image(L.Conv2D(5, 3, dilation_rate=(2, 1))))
situation("DepthwiseConv1D", SEQUENCE, sequence(L.DepthwiseConv1D(3, depth_multiplier=2)))
situation("DepthwiseConv2D", IMAGE, image(L.DepthwiseConv2D(3, strides=2, padding="same")))
situation("SeparableConv1D", SEQUENCE, sequence(L.SeparableConv1D(5, 3, activation="relu")))
situation("SeparableConv2D", IMAGE, image(L.SeparableConv2D(5, 3, padding="same")))
situation("LSTM", SEQUENCE, sequence(L.LSTM(5)))
situation("LSTM over all steps", SEQUENCE, sequence(L.LSTM(5, return_sequences=True, dropout=0.2)))
situation("LSTM backwards", SEQUENCE, sequence(L.LSTM(4, go_backwards=True, use_bias=False)))
situation("GRU", SEQUENCE, sequence(L.GRU(5, return_sequences=True)))
situation("GRU reset before", SEQUENCE, sequence(L.GRU(5, reset_after=False)))
situation("SimpleRNN", SEQUENCE, sequence(L.SimpleRNN(5, activation="hard_tanh")))
situation("RNN", SEQUENCE, sequence(L.RNN(L.LSTMCell(5, recurrent_activation="hard_sigmoid"))))
situation(
    "Bidirectional",
    SEQUENCE,
    sequence(L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode="sum")),
)
situation("Bidirectional joined", SEQUENCE, sequence(L.Bidirectional(L.SimpleRNN(4))))
situation("MultiHeadAttention", SEQUENCE, sequence(lambda x: L.MultiHeadAttention(2, 4)(x, x)))
situation("cross attention", SEQUENCE, sequence(lambda x: L.MultiHeadAttention(1, 4)(x[:, :5], x)))
situation("Attention", SEQUENCE, sequence(lambda x: L.Attention(use_scale=True)([x, x])))
situation("positions", SEQUENCE, sequence(lambda x: x + np.sin(np.arange(72.0)).reshape(12, 6)))
situation("transformer", SEQUENCE, sequence(transformer))
situation("Embedding", (12,), lambda x: L.Dense(3)(L.GRU(6)(L.Embedding(20, 8)(x))))
situation("Conv1DTranspose", SEQUENCE, sequence(L.Conv1DTranspose(5, 3, strides=2)))
situation(
    "Conv2DTranspose",
    IMAGE,
    image(L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")),
)
situation("Conv2DTranspose valid", IMAGE, image(L.Conv2DTranspose(5, (2, 3), strides=(3, 2))))
situation("BatchNormalization", IMAGE, image(L.BatchNormalization()))
situation("no weighted layer", IMAGE, lambda x: L.BatchNormalization()(x))
situation("no layer with weights at all", IMAGE, lambda x: L.MaxPooling2D()(x))
situation("ReLU", IMAGE, image(L.ReLU()))
situation("ReLU6", IMAGE, image(L.ReLU(6.0)))
situation("ReLU of other limits", IMAGE, image(L.ReLU(1.0, negative_slope=0.1, threshold=0.2)))
situation("LeakyReLU", IMAGE, image(L.LeakyReLU(negative_slope=0.2)))
situation("ELU", IMAGE, image(L.ELU(0.7)))
situation("PReLU", IMAGE, image(L.PReLU("random_uniform", shared_axes=[1, 2])))
situation("PReLU per position", IMAGE, image(L.PReLU("random_uniform")))
situation("Softmax", VECTOR, vector(L.Softmax()))
situation("Softmax of another axis", SEQUENCE, sequence(L.Softmax(axis=1)))
for _name in (
    *("relu", "relu6", "softmax", "linear", "sigmoid", "tanh", "elu", "selu", "softplus", "gelu"),
    *("silu", "hard_sigmoid", "hard_silu", "leaky_relu", "exponential", "softsign", "mish"),
    *("hard_tanh", "celu", "log_sigmoid", "tanh_shrink"),
):
    situation(f"Activation {_name}", VECTOR, vector(L.Activation(_name)))
situation("Dense sigmoid at the end", VECTOR, lambda x: L.Dense(1, activation="sigmoid")(x))
situation(
    "softmax in the middle",
    VECTOR,
    lambda x: L.Dense(3)(L.Dense(6, activation="softmax")(L.Dense(8, activation="relu")(x))),
)
situation("MaxPooling1D", SEQUENCE, sequence(L.MaxPooling1D(3, 2, padding="same")))
situation("MaxPooling2D", IMAGE, image(L.MaxPooling2D()))
situation("AveragePooling1D", SEQUENCE, sequence(L.AveragePooling1D(2)))
situation("AveragePooling2D", IMAGE, image(L.AveragePooling2D(3, 2, padding="same")))
situation("GlobalAveragePooling1D", SEQUENCE, sequence(L.GlobalAveragePooling1D()))
situation("GlobalAveragePooling2D", IMAGE, image(L.GlobalAveragePooling2D(keepdims=True)))
situation("GlobalMaxPooling1D", SEQUENCE, sequence(L.GlobalMaxPooling1D()))
situation("GlobalMaxPooling2D", IMAGE, image(L.GlobalMaxPooling2D()))
situation("Add", IMAGE, image(lambda x: _twice(x, L.Add())))
situation("Add of 3", IMAGE, image(lambda x: _twice(x, lambda p: L.Add()([*p, p[0]]))))
situation(
    "Add of a broadcast tensor",
    IMAGE,
    image(lambda x: L.Add()([x, L.GlobalAveragePooling2D(keepdims=True)(x)])),
)
situation("Subtract", IMAGE, image(lambda x: _twice(x, L.Subtract())))
situation("Multiply", IMAGE, image(lambda x: _twice(x, L.Multiply())))
situation("squeeze and excite", IMAGE, image(_excited))
situation("Average", IMAGE, image(lambda x: _twice(x, L.Average())))
situation("Average of 3", VECTOR, vector(lambda x: _twice(x, lambda p: L.Average()([*p, p[0]]), 0)))
situation("Maximum", VECTOR, vector(lambda x: _twice(x, L.Maximum(), False)))
situation("Minimum", IMAGE, image(lambda x: _twice(x, L.Minimum())))
situation("Concatenate", IMAGE, image(lambda x: _twice(x, L.Concatenate())))
situation("Concatenate of 3", IMAGE, image(lambda x: _twice(x, lambda p: L.Concatenate()([*p, x]))))
situation("Concatenate axis 1", IMAGE, image(lambda x: _twice(x, L.Concatenate(axis=1))))
situation("Concatenate axis 2", IMAGE, image(lambda x: _twice(x, L.Concatenate(axis=-2))))
situation("Dot", SEQUENCE, sequence(lambda x: _twice(x, L.Dot(axes=(2, 2)), False)))
situation("Dot of axes 1", SEQUENCE, sequence(lambda x: _twice(x, L.Dot(axes=1), False)))
situation("ZeroPadding1D", SEQUENCE, sequence(L.ZeroPadding1D((1, 2))))
situation("ZeroPadding2D", IMAGE, image(L.ZeroPadding2D(((1, 0), (2, 1)))))
situation("Flatten", IMAGE, image(L.Flatten()))
situation("Reshape", IMAGE, image(L.Reshape((16, -1))))
situation("Permute", IMAGE, image(L.Permute((3, 1, 2))))
situation("RepeatVector", VECTOR, vector(L.RepeatVector(3)))
situation("Cropping1D", SEQUENCE, sequence(L.Cropping1D((1, 2))))
situation("Cropping2D", IMAGE, image(L.Cropping2D(((1, 0), (2, 1)))))
situation("CenterCrop", IMAGE, image(L.CenterCrop(4, 5)))
situation("UpSampling1D", SEQUENCE, sequence(L.UpSampling1D(2)))
situation("UpSampling2D", IMAGE, image(L.UpSampling2D((2, 3))))
situation("UpSampling2D bilinear", IMAGE, image(L.UpSampling2D(2, interpolation="bilinear")))
situation("Resizing", IMAGE, image(L.Resizing(5, 11)))
situation("Resizing nearest", IMAGE, image(L.Resizing(5, 11, interpolation="nearest")))
situation("Dropout", VECTOR, vector(L.Dropout(0.3)))
situation("SpatialDropout1D", SEQUENCE, sequence(L.SpatialDropout1D(0.3)))
situation("SpatialDropout2D", IMAGE, image(L.SpatialDropout2D(0.3)))
situation("GaussianNoise", VECTOR, vector(L.GaussianNoise(0.1)))
situation("GaussianDropout", VECTOR, vector(L.GaussianDropout(0.1)))
situation("AlphaDropout", VECTOR, vector(L.AlphaDropout(0.1)))
situation("ActivityRegularization", VECTOR, vector(L.ActivityRegularization(1e-3)))
situation("Identity", VECTOR, vector(L.Identity()))
situation("RandomFlip", IMAGE, lambda x: image(L.ReLU())(L.RandomFlip("horizontal")(x)))
for _name, _arguments in {
    **dict.fromkeys(("RandomRotation", "RandomContrast", "RandomZoom", "RandomBrightness"), (0.1,)),
    **dict.fromkeys(("RandomPerspective", "RandomErasing", "RandomHue"), (0.1,)),
    **dict.fromkeys(("RandomSaturation", "RandomSharpness", "RandomInvert"), (0.1,)),
    **dict.fromkeys(("RandomColorDegeneration", "RandomPosterization"), (1,)),
    "RandomTranslation": (0.1, 0.1),
    "RandomGrayscale": (),
    "RandomColorJitter": (),
    "RandomElasticTransform": (),
    "RandomGaussianBlur": (),
}.items():
    situation(
        _name,
        (8, 8, 3),
        lambda x, n=_name, a=_arguments: image(L.ReLU())(getattr(L, n)(*a)(x)),
    )
situation("Rescaling", IMAGE, lambda x: image(L.ReLU())(L.Rescaling(1 / 4, offset=-0.5)(x)))
situation("Rescaling without offset", IMAGE, lambda x: image(L.ReLU())(L.Rescaling(1 / 4)(x)))
situation(
    "Normalization",
    IMAGE,
    lambda x: image(L.ReLU())(
        L.Normalization(mean=[0.1, -0.2, 0.3, 0.0], variance=[1, 2, 3, 4])(x)
    ),
)
situation("TimeDistributed Dense", SEQUENCE, sequence(L.TimeDistributed(L.Dense(5))))
situation(
    "TimeDistributed Conv1D",
    (5, 12, 4),
    lambda x: L.Dense(3)(L.Flatten()(L.TimeDistributed(L.Conv1D(5, 3, activation="relu"))(x))),
)
situation("SpectralNormalization", VECTOR, vector(L.SpectralNormalization(L.Dense(6))))
situation("UnitNormalization", VECTOR, vector(L.UnitNormalization()))
situation("UnitNormalization of rows", SEQUENCE, sequence(L.UnitNormalization()))
situation("LayerNormalization", VECTOR, vector(L.LayerNormalization()))
situation("LayerNormalization of rows", SEQUENCE, sequence(L.LayerNormalization()))
situation("RMSNormalization", SEQUENCE, sequence(L.RMSNormalization()))
situation("GroupNormalization", IMAGE, image(L.GroupNormalization(2)))
situation("EinsumDense", SEQUENCE, sequence(L.EinsumDense("abc,cd->abd", (12, 5), bias_axes="d")))
situation("model in a model", IMAGE, image(_nested))
situation("layer used twice", VECTOR, vector(_shared))
situation("model used twice", VECTOR, vector(_shared_model))
situation("plus operator", VECTOR, vector(lambda x: L.Dense(12)(x) + x))
situation("minus and times operators", VECTOR, vector(lambda x: (L.Dense(12)(x) - x) * x))
situation("operators with constants", VECTOR, vector(lambda x: 1.0 - (2.0 * x + 0.5) / 3.0))
situation("ops.concatenate", VECTOR, vector(lambda x: ops.concatenate([x, L.Dense(4)(x)], -1)))
situation("ops.reshape", IMAGE, image(lambda x: ops.reshape(x, (-1, 16, 24))))
situation("activations.softmax", VECTOR, lambda x: keras.activations.softmax(L.Dense(4)(x)))
situation("ops.relu and ops.sigmoid", VECTOR, vector(lambda x: ops.sigmoid(ops.relu(x))))
situation("slices", IMAGE, image(lambda x: x[:, 1:7:2, ::-1, 1:]))
situation("ops.take", IMAGE, image(lambda x: ops.take(x, [3, 0, 0, 2, -1], axis=2)))
situation("one row", IMAGE, image(lambda x: x[:, 2]))
situation("ops.transpose", IMAGE, image(lambda x: ops.transpose(x, (0, 3, 1, 2))))
situation("ops.mean", IMAGE, image(lambda x: ops.mean(x, axis=(1, 2))))
situation("ops.split", VECTOR, vector(lambda x: ops.add(*ops.split(x, 2, axis=1))))
situation("ops.stack", VECTOR, vector(lambda x: ops.stack([x, L.Dense(12)(x)], axis=1)))
situation("ops.matmul", SEQUENCE, sequence(lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1)))))
situation("ops.clip", VECTOR, vector(lambda x: ops.clip(x, -0.5, 0.7)))
situation("x * x", VECTOR, vector(lambda x: x * x))
situation("x + x", VECTOR, vector(lambda x: x + x))
situation("ops.max", SEQUENCE, sequence(lambda x: ops.max(x, axis=1, keepdims=True)))
situation("ops.average", SEQUENCE, sequence(lambda x: ops.average(x, axis=1)))
situation("ops.maximum", VECTOR, vector(lambda x: ops.maximum(x, L.Dense(12)(x))))
situation("ops.minimum", VECTOR, vector(lambda x: ops.minimum(ops.maximum(x, -0.3), 0.4)))
situation("ops.pad", IMAGE, image(lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)))))
situation("ops.flip", IMAGE, image(lambda x: ops.flip(x, axis=2)))
situation("ops.squeeze", VECTOR, vector(lambda x: ops.squeeze(ops.expand_dims(x, 1), 1)))
situation("ops.swapaxes", IMAGE, image(lambda x: ops.swapaxes(ops.moveaxis(x, 1, 2), 2, 3)))
situation(
    "ops.divide", VECTOR, vector(lambda x: ops.negative(ops.divide(ops.true_divide(x, 2), 3)))
)
situation("ops.copy", VECTOR, vector(lambda x: ops.stop_gradient(ops.copy(ops.cast(x, "float32")))))
situation("activations.relu", VECTOR, vector(lambda x: keras.activations.relu(x, max_value=6)))
situation("ops.clip to 6", VECTOR, vector(lambda x: ops.clip(x, 0, 6)))
situation("normalized TimeDistributed", IMAGE, image(L.TimeDistributed(L.Flatten())))
for _name in (
    *("absolute", "celu", "cos", "elu", "exp", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "leaky_relu", "log_sigmoid", "relu6", "selu", "sign", "silu", "sin"),
    *("soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "square"),
    *("squareplus", "tanh", "tanh_shrink"),
):
    situation(f"ops.{_name}", VECTOR, vector(lambda x, n=_name: getattr(ops, n)(x)))
situation("ops.threshold", VECTOR, vector(lambda x: ops.threshold(x, 0.1, -0.2)))


def _two_inputs(x: Any) -> Any:
    image = L.GlobalAveragePooling2D()(L.Conv2D(6, 3, activation="relu")(x["image"]))
    return L.Dense(3)(L.Concatenate()([L.Dense(5, activation="tanh")(x["vector"]), image]))


def _detector(x: Any) -> Any:
    """Two inputs; outputs that are a ReLU behind a convolution, a softmax, and read inside too."""
    y = L.Conv2D(6, 3, padding="same", name="stem")(x["image"])
    y = L.ReLU(name="heat")(L.BatchNormalization(name="norm")(y))
    mask = L.Dense(6, activation="sigmoid", name="gate")(x["vector"])
    z = L.Flatten()(L.Multiply()([y, L.Reshape((1, 1, 6))(mask)]))
    return {"heat": y, "gate": mask, "scores": L.Dense(3, activation="softmax", name="scores")(z)}


def _own_output(x: Any) -> Any:
    """An output that is the input, and one tensor as two outputs."""
    y = L.Dense(4, name="head")(x)
    return [y, x, y, L.Dense(2, name="tail")(y)]


class Block(keras.layers.Layer):
    """A user's layer that is made of layers of Keras and of operations."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.first = L.Dense(units, activation="relu")
        self.second = L.Dense(units)

    def call(self, inputs: Any, training: bool = False) -> Any:
        del training
        return ops.relu(self.second(self.first(inputs)) + inputs)


class Tower(keras.Model):
    """A user's model inside of another one."""

    def __init__(self) -> None:
        super().__init__(name="tower")
        self.block = Block(12)
        self.out = L.Dense(6)

    def call(self, inputs: Any) -> Any:
        return self.out(self.block(inputs))


def _channels_first(x: Any) -> Any:
    """A network as it was written for GPUs of old: every layer has its channels first."""
    first = {"data_format": "channels_first"}
    x = ops.transpose(x, (0, 3, 1, 2))
    x = L.Conv2D(6, 3, padding="same", **first)(x)
    x = L.ReLU()(L.BatchNormalization(axis=1)(x))
    y = L.DepthwiseConv2D(3, padding="same", **first)(x)
    x = L.Concatenate(axis=1)([L.Add()([x, y]), y])
    x = L.MaxPooling2D(2, **first)(x)
    return L.Dense(3)(L.Flatten(**first)(x))


situation("channels first", IMAGE, _channels_first)
situation(
    "channels first to the end",
    (4, 6, 5),
    lambda x: L.GlobalAveragePooling2D(data_format="channels_first")(
        L.Conv2D(5, 3, activation="relu", data_format="channels_first")(x)
    ),
)
situation("AdaptiveAveragePooling1D", SEQUENCE, sequence(L.AdaptiveAveragePooling1D(4)))
situation("AdaptiveAveragePooling2D", IMAGE, image(L.AdaptiveAveragePooling2D((2, 4))))
situation("AdaptiveMaxPooling1D", SEQUENCE, sequence(L.AdaptiveMaxPooling1D(3)))
situation("AdaptiveMaxPooling2D", IMAGE, image(L.AdaptiveMaxPooling2D((1, 2))))
situation("two inputs", {"vector": VECTOR, "image": IMAGE}, _two_inputs)
situation("two inputs and three outputs", {"image": IMAGE, "vector": VECTOR}, _detector)
situation("an input as output, a tensor as two", VECTOR, _own_output)
situation("several outputs", VECTOR, lambda x: [L.Dense(3)(L.Dense(4)(x)), L.Dense(2)(x)])
situation("a layer of a user's class", VECTOR, vector(lambda x: Block(12)(Block(12)(x))))
situation("a model of a user's class", VECTOR, vector(lambda x: Tower()(x)))


def list_kinds() -> set[str]:
    """Kinds of all layers and operations in the networks."""
    found: set[str] = set()
    for shape, body in SITUATIONS.values():
        inputs: Any = (
            {key: keras.Input(one, name=key) for key, one in shape.items()}
            if isinstance(shape, dict)
            else keras.Input(shape)
        )
        found |= set(_kinds(keras.Model(inputs, body(inputs))))
    return found


def _kinds(model: Any) -> Iterator[str]:
    for operation in getattr(getattr(model, "_functional", None) or model, "operations", ()):
        yield kind_of(operation)
        if isinstance(getattr(operation, "layer", None), L.Layer):
            yield kind_of(operation.layer)
        yield from _kinds(operation)
