"""Models with QKeras layers: the package itself where it is installed, and stand-ins everywhere."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest

from tests import fixed_point_layers
from tests.harness import check_graph
from tests.small_models import L, functional
from tinyq.errors import ModelError, TinyqError
from tinyq.graph import reference
from tinyq.quantizers import find_activations, find_weights
from tinyq.quantizers.fixed_point import FixedPoint, read_fixed_point
from tinyq.training import PostTraining, post_training
from tinyq.training.lowering.network import import_keras

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=["stand-in", "qkeras"])
def tool(request):
    if request.param == "stand-in":
        return fixed_point_layers
    try:
        return importlib.import_module("qkeras")
    except ImportError as error:
        pytest.skip(f"qkeras-v3 is not installed ({error})")


def network(tool):
    """Every layer and quantizer; bits, signs and scales differ from layer to layer."""
    bits, relu = tool.quantized_bits, tool.quantized_relu
    bias = {"bias_quantizer": bits(8, 1, alpha=1)}
    image = keras.Input((8, 8, 2), name="image")
    x = tool.QActivation(bits(8, 2, alpha=1), name="image_grid")(image)
    x = tool.QConv2D(6, 3, kernel_quantizer=bits(4, 0, alpha=1), name="conv", **bias)(x)
    x = tool.QActivation(relu(4, 1), name="relu_1")(x)
    wide = bits(6, 0, alpha="auto_po2")
    x = tool.QDepthwiseConv2D(3, depthwise_quantizer=wide, name="depthwise", **bias)(x)
    x = L.MaxPooling2D(name="pool")(x)
    x = tool.QActivation(bits(5, 1, alpha=1), name="grid_2")(x)
    signs = {"kernel_quantizer": tool.ternary(alpha=1), "use_bias": False}
    x = tool.QConv2D(5, 1, activation=relu(8, 3), name="mix", **signs)(x)
    x = L.Flatten(name="flat")(x)
    # This bias, with steps of 2**-6, is no multiple of the accumulator's unit of 2**-5.
    x = tool.QDense(8, kernel_quantizer=tool.binary(alpha=1), name="hidden", **bias)(x)
    x = tool.QActivation(relu(6, 4), name="relu_3")(x)
    half = bits(8, 0, alpha=0.5)
    return keras.Model(image, tool.QDense(4, kernel_quantizer=half, name="out", **bias)(x))


def fill(model, rng):
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(rng.normal(0, 0.4, variable.shape))


# Where the codes of each quantized activation come out of the model that tinyq makes.
PLACES = {
    "image_grid": "image_codes",
    "relu_1": "conv",
    "grid_2": "pool",
    "mix": "mix",
    "relu_3": "hidden",
}


def test_every_value_but_the_output_is_that_of_qkeras(tool, rng):
    model = network(tool)
    fill(model, rng)
    x = rng.normal(0, 1.2, (200, 8, 8, 2)).astype(np.float32)
    quantized = post_training(model, x)
    theirs = keras.Model(model.inputs, [model.get_layer(name).output for name in PLACES])
    ours = keras.Model(quantized.inputs, [quantized.get_layer(n).output for n in PLACES.values()])
    values = (side.predict(x, verbose=0) for side in (theirs, ours))
    for name, left, right in zip(PLACES, *values, strict=True):
        assert len(np.unique(left)) > 8
        np.testing.assert_array_equal(left, right, err_msg=name)
    graph = import_keras(quantized)
    codes = reference.quantize_input(x, graph.input.type)
    answers = reference.run(graph, codes)
    real = reference.dequantize(answers, graph.output.type)
    np.testing.assert_array_equal(real, quantized.predict(x, verbose=0))
    wrong = np.abs(real - model.predict(x, verbose=0)) > 0.501 * graph.output.type.scale
    assert not (wrong & ~np.isin(answers, (-128, 127))).any()  # calibration saw no more
    weights = [
        graph.tensors[node.inputs[1]].type.format.name
        for node in graph.nodes
        if node.op.kernel in ("conv2d", "depthwise2d", "dense")
    ]
    assert weights == ["s4", "s8", "t2", "b1", "s8"]
    check_graph(graph, codes[:20])


def test_batch_norm_comes_before_the_grid(tool, rng, tmp_path):
    def body(x):
        bits = tool.quantized_bits(4, 0, alpha=1)
        x = tool.QConv2D(7, 3, kernel_quantizer=bits, use_bias=False, name="conv")(x)
        quantizer = tool.quantized_bits(6, 2, alpha=1)
        norm = tool.QBatchNormalization(beta_quantizer=quantizer, name="norm", **plain)(x)
        x = tool.QActivation(tool.quantized_relu(3, 1), name="relu")(norm)
        return L.Dense(3, name="out")(L.GlobalAveragePooling2D(name="mean")(x))

    plain = dict.fromkeys(
        ("gamma_quantizer", "mean_quantizer", "variance_quantizer")
        if tool is not fixed_point_layers
        else ()
    )
    model = functional((6, 6, 3), body)
    fill(model, rng)
    norm = model.get_layer("norm")
    norm.moving_variance.assign(rng.uniform(0.1, 2, norm.moving_variance.shape))
    x = rng.normal(0, 1, (200, 6, 6, 3)).astype(np.float32)
    quantized = post_training(model, x)
    relu = quantized.get_layer("conv")
    found = keras.Model(quantized.inputs, relu.output).predict(x, verbose=0)
    wanted = keras.Model(model.inputs, model.get_layer("relu").output).predict(x, verbose=0)
    assert (np.abs(found - wanted) > 0).mean() < 0.02  # the input has 8 bits besides
    quantized.save(tmp_path / "model.keras")
    graph = import_keras(tmp_path / "model.keras")
    codes = reference.quantize_input(x[:20], graph.input.type)
    real = reference.dequantize(reference.run(graph, codes), graph.output.type)
    np.testing.assert_array_equal(real, quantized.predict(x[:20], verbose=0))
    check_graph(graph, codes)


S = fixed_point_layers
ONE = S.quantized_bits(4, 0, alpha=1)


def branches(x):
    y = S.QConv2D(3, 1, kernel_quantizer=ONE, name="conv")(x)
    return L.Add(name="sum")([S.QActivation(S.quantized_relu(4), name="act")(y), y])


def two_grids(x):
    x = S.QConv2D(3, 1, kernel_quantizer=ONE, name="conv")(x)
    y = S.QActivation(S.quantized_relu(4), name="act")(x)
    z = S.QConv2D(3, 1, kernel_quantizer=ONE, activation=S.quantized_relu(5), name="other")(y)
    return L.Dense(2)(L.Add(name="sum")([y, z]))


@pytest.mark.parametrize(
    ("body", "where", "message"),
    [
        (lambda x: S.QDense(2, kernel_quantizer=S.quantized_bits(4, alpha="auto"), name="d")(x),
         "d", "alpha='auto'"),
        (lambda x: S.QDense(2, kernel_quantizer=S.quantized_bits(4, alpha=0.3), name="d")(x),
         "d", "alpha=0.3"),
        (lambda x: S.QDense(2, kernel_quantizer=S.quantized_bits(9, alpha=1), name="d")(x),
         "d", "9 bits"),
        (lambda x: S.QDense(2, kernel_quantizer=S.quantized_tanh(4), name="d")(x),
         "d", "quantized_tanh"),
        (lambda x: S.QActivation(S.quantized_tanh(4), name="a")(x), "a", "quantized_tanh"),
        (lambda x: L.Dense(2)(S.QActivation(S.quantized_relu(4, 0, 1), name="a")(x)),
         "a", "use_sigmoid"),
        (lambda x: S.QActivation(S.quantized_relu(4), name="a")(x), "a", "ends in codes"),
        (branches, "act", "other readers"),
        (two_grids, "sum", "not on the same"),
        (lambda x: L.BatchNormalization()(
            S.QConv2D(2, 1, kernel_quantizer=ONE, activation=ONE, name="c")(x)), "c", "follows"),
        (lambda x: L.Dense(2)(L.AveragePooling2D(2, name="p")(
            S.QActivation(S.quantized_relu(4), name="a")(x))), "p", "leaves the fixed-point grid"),
    ],
)  # fmt: skip
def test_what_has_no_integer_form_is_refused_by_name(body, where, message):
    with pytest.raises(ModelError, match=message) as caught:
        post_training(functional((4, 4, 3), body), np.ones((2, 4, 4, 3)))
    assert caught.value.where == where and caught.value.remedy


@pytest.mark.parametrize("package", ["qkeras", "hgq"])
def test_other_layers_of_these_tools_are_refused(package):
    kind = type("QLSTM", (keras.layers.Dense,), {"__module__": f"{package}.layers"})
    model = functional((4,), lambda x: kind(3, name="last")(x))
    with pytest.raises(ModelError, match=r"class QLSTM|QLSTM is a layer of HGQ2") as caught:
        post_training(model, np.ones((2, 4)))
    assert caught.value.where == "last"


def free_scales(tool):
    """Scales per channel that are no powers of two, folded norms, weights of powers of two."""
    image = keras.Input((8, 8, 2), name="image")
    bits = tool.quantized_bits(6, 1, alpha=1)
    x = tool.QConv2DBatchnorm(6, 3, kernel_quantizer=bits, name="folded")(image)
    x = L.ReLU(name="relu")(x)
    x = tool.QSeparableConv2D(
        5,
        3,
        depthwise_quantizer=tool.quantized_bits(4, 0, alpha=1),
        pointwise_quantizer=tool.binary(alpha="auto"),
        name="separable",
    )(x)
    x = L.Flatten(name="flat")(x)
    free = tool.ternary(alpha="auto")
    x = tool.QDense(8, kernel_quantizer=free, activation="relu", name="ternary")(x)
    powers = tool.quantized_po2(3, 1)
    return keras.Model(image, tool.QDense(4, kernel_quantizer=powers, name="powers")(x))


def test_free_scales_folded_norms_and_powers_of_two(tool, rng):
    """The weights are those of QKeras, whatever their scales; Keras, reference and C agree."""
    model = free_scales(tool)
    fill(model, rng)
    norm = model.get_layer("folded").batchnorm
    norm.moving_variance.assign(rng.uniform(0.3, 2.0, norm.moving_variance.shape))
    x = rng.normal(size=(64, 8, 8, 2)).astype(np.float32)
    quantized = post_training(model, x, PostTraining(bias_correction=False))
    places = {
        "separable_depthwise": ("separable", "depthwise_kernel", "depthwise_quantizer_internal"),
        "separable": ("separable", "pointwise_kernel", "pointwise_quantizer_internal"),
        "ternary": ("ternary", "kernel", "kernel_quantizer_internal"),
        "powers": ("powers", "kernel", "kernel_quantizer_internal"),
    }
    for name, (old, variable, quantizer) in places.items():
        layer = model.get_layer(old)
        wanted = np.asarray(getattr(layer, quantizer)(getattr(layer, variable).value))
        new = quantized.get_layer(name)
        found = np.asarray(new.weight_quantizer.quantized(new.kernel))
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    wanted, found = model.predict_on_batch(x), quantized.predict_on_batch(x)
    assert np.square(wanted - found).sum() < 0.01 * np.square(wanted).sum()
    graph = import_keras(quantized)
    check_graph(graph, reference.quantize_input(x[:16], graph.input.type))


def test_names_of_grids():
    grid = FixedPoint("u", 4, -4)
    assert (grid.name, grid.lo, grid.hi, grid.step) == ("ufixed4_m4", 0, 15, 0.0625)
    assert read_fixed_point(grid.name) == grid
    assert (FixedPoint("", 4, 0).lo, FixedPoint("s", 4, 0).lo) == (-8, -7)
    assert find_activations("fixed8_m7").whole and not find_activations("fixed7_m6").whole
    assert find_weights("fixed5_auto").format == "s8"
    for name, role in (("ufixed8_0", find_weights), ("tfixed2_0", find_activations)):
        with pytest.raises(TinyqError, match="no method"):
            role(name)
