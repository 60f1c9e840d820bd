"""No negative value is cut in silence: unsigned activations behind what may be negative."""

from __future__ import annotations

import keras
import pytest

import tinyq
from tests.small_models import L, functional
from tinyq.errors import ModelError, TinyqWarning
from tinyq.quantizers import METHODS

SHAPE = (8, 8, 4)
UNSIGNED = [
    name
    for name, method in METHODS.items()
    if method.activations is not None and not method.activations.build(name="q").signed
]
TURNING = [name for name in UNSIGNED if METHODS[name].activations.signed_form]
SIGNED = [
    name
    for name, method in METHODS.items()
    if method.activations is not None and name not in UNSIGNED
]


def conv(x, name="project", filters=4):
    return L.Conv2D(filters, 1, name=name)(x)


def positive(x, name):
    return L.ReLU(name=f"{name}_relu")(conv(x, name))


NEGATIVE = {
    "convolution": lambda x: conv(x),
    "norm": lambda x: L.BatchNormalization()(conv(x)),
    "depthwise": lambda x: L.DepthwiseConv2D(3, name="project")(x),
    "transposed": lambda x: L.Conv2DTranspose(4, 2, name="project")(x),
    "lone norm": lambda x: L.BatchNormalization()(L.MaxPooling2D()(positive(x, "a"))),
    "sum": lambda x: L.Add()([positive(x, "a"), conv(x)]),
    "difference": lambda x: L.Subtract()([positive(x, "a"), positive(x, "b")]),
    "sum and norm": lambda x: L.BatchNormalization()(L.Add()([positive(x, "a"), positive(x, "b")])),
    "concatenation": lambda x: L.Concatenate()([positive(x, "a"), conv(x)]),
    "product": lambda x: L.Multiply()([positive(x, "a"), conv(x)]),
    "pool": lambda x: L.MaxPooling2D()(conv(x)),
    "average": lambda x: L.AveragePooling2D(2)(conv(x)),
    "padding": lambda x: L.ZeroPadding2D()(conv(x)),
    "dropout": lambda x: L.Dropout(0.1)(conv(x)),
    "upsampling": lambda x: L.UpSampling2D()(conv(x)),
    "tanh": lambda x: L.Activation("tanh")(conv(x)),
    "leaky": lambda x: L.LeakyReLU()(conv(x)),
    "prelu": lambda x: L.PReLU(shared_axes=[1, 2])(conv(x)),
    "scale": lambda x: L.Rescaling(2.0, -1.0)(positive(x, "a")),
    "maximum": lambda x: L.Maximum()([conv(x), conv(x, "other")]),
    "input": lambda x: x,
}
POSITIVE = {
    "relu": lambda x: positive(x, "a"),
    "relu6": lambda x: L.Activation("relu6")(L.BatchNormalization()(conv(x))),
    "sum": lambda x: L.Add()([positive(x, "a"), positive(x, "b")]),
    "sum, then relu": lambda x: L.ReLU()(L.Add()([conv(x, "a"), conv(x, "b")])),
    "concatenation": lambda x: L.Concatenate()([positive(x, "a"), positive(x, "b")]),
    "pool": lambda x: L.MaxPooling2D()(positive(x, "a")),
    "average": lambda x: L.AveragePooling2D(2)(positive(x, "a")),
    "sigmoid": lambda x: L.Activation("sigmoid")(conv(x)),
    "padding": lambda x: L.ZeroPadding2D()(L.Dropout(0.1)(positive(x, "a"))),
}


def network(producer, extra=False):
    """A reader behind a producer; with another reader of 8 bits on demand."""

    def body(x):
        x = conv(x, "stem") if producer is not NEGATIVE["input"] else x
        x = producer(x)
        y = L.Conv2D(3, 1, name="reader")(x)
        if extra:
            y = L.Add(name="joined")([y, L.Conv2D(3, 1, name="other_reader")(x)])
        return L.Conv2D(2, 1, name="last")(y)

    return functional(SHAPE, body)


def recipe(method):
    return {"layers": {"reader": {"activations": method}}, "first": None}


def quantize(model, method):
    return tinyq.quantize(model, recipe(method))


def test_the_kind():
    assert {"uint4", "lsq4", "lsq8", "pact5", "hwgq2", "lognet3", "dorefa1"} <= set(UNSIGNED)
    assert {"int8", "binary", "reactnet"} <= set(SIGNED)


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("producer", sorted(set(NEGATIVE) - {"input"}))
def test_unsigned_behind_what_may_be_negative_is_refused(producer, extra):
    with pytest.raises(ModelError) as caught:
        quantize(network(NEGATIVE[producer], extra), "dorefa4")
    assert "negative" in caught.value.message and "reader" in caught.value.message
    assert "int8" in str(caught.value.remedy) and "ReLU" in str(caught.value.remedy)
    quantize(network(NEGATIVE[producer], extra), "int8")


@pytest.mark.parametrize("method", [name for name in UNSIGNED if name not in TURNING])
def test_every_unsigned_method_without_a_signed_form_is_refused(method):
    with pytest.raises(ModelError, match="negative"):
        quantize(network(NEGATIVE["norm"]), method)


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("producer", sorted(set(NEGATIVE) - {"input"}))
def test_the_signed_form_takes_its_place(producer, extra):
    model = quantize(network(NEGATIVE[producer], extra), "lsq3")
    assert model.get_layer("reader").input_encoding().format.name == "s3"


@pytest.mark.parametrize("method", TURNING)
def test_a_signed_form_has_as_many_codes_of_both_signs(method):
    unsigned = METHODS[method].activations.build(name="q")
    source = quantize(network(NEGATIVE["norm"]), method).get_layer("reader").source()
    signed = source.output_quantizer
    assert signed.signed and signed.lo < 0 < signed.hi
    assert signed.hi - signed.lo in (unsigned.max_code, unsigned.max_code - 1)
    assert signed.format.bits in (8, (unsigned.max_code + 1).bit_length() - 1)


def test_an_activation_turns_a_value_unsigned_again():
    def body(x):
        x = L.Conv2D(3, 1, name="reader", activation="relu")(conv(x))
        return L.Conv2D(2, 1, name="last")(L.Conv2D(3, 1, name="second")(x))

    model = tinyq.quantize(functional(SHAPE, body), {"activations": "lsq4", "first": None})
    formats = [model.get_layer(n).input_encoding().format.name for n in ("reader", "second")]
    assert formats == ["s4", "u4"]


@pytest.mark.parametrize("producer", POSITIVE)
@pytest.mark.parametrize("extra", [False, True])
def test_unsigned_behind_what_is_never_negative(producer, extra):
    model = quantize(network(POSITIVE[producer], extra), "uint4")
    assert model.get_layer("reader").input_encoding().format.name == "u4"


def test_an_unsigned_input_is_told():
    with pytest.warns(TinyqWarning, match="negative values of the data become 0"):
        quantize(network(NEGATIVE["input"]), "uint4")


@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_a_reader_of_the_input_behind_a_reshape(low):
    image = keras.Input(SHAPE)
    flat = L.Flatten()(image)
    both = L.Add()([L.Dense(3, name="reader")(flat), L.Dense(3, name="wide")(flat)])
    wanted = recipe("uint4") | {"input": {"range": [low, 1.0]}}
    model = tinyq.quantize(keras.Model(image, both), wanted)
    found = model.get_layer("reader").input_encoding().format.name
    assert found == ("s4" if low < 0 else "u4")
