"""ONNX files that are refused, and how; float files as Keras models; layouts."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

from tests.onnx_models import CASES, Drawing, draw_file
from tests.requirements import require_module
from tinyq.errors import ModelError, TinyqError
from tinyq.graph import reference
from tinyq.importers.onnx.arrangement import View, channel_last
from tinyq.models import load_model
from tinyq.numerics.single import divide_even, round_single, split_single

onnx = require_module("onnx")
onnxruntime = require_module("onnxruntime")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def save(path, nodes, shape=(1, 3, 6, 6), constants=(), opset=17, **options):
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in constants]
    last = helper.make_empty_tensor_value_info(nodes[-1].output[0])
    source = helper.make_tensor_value_info("x", FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [source], [last], constants)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    imports += [helper.make_opsetid(domain, 1) for domain in options.get("domains", ())]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), str(path))
    return path


def node(kind, *inputs, output="y", **options):
    return helper.make_node(kind, inputs, [output], **options)


QUANTIZED = [node("QuantizeLinear", "x", "s", "z", output="q")]
REAL = [*QUANTIZED, node("DequantizeLinear", "q", "s", "z", output="r")]
MEANING = (("s", np.float32(0.1)), ("z", np.uint8(3)))

REFUSED = {
    "float": ([node("Relu", "x")], "not quantized", {}),
    "float_layer": (
        [*REAL, node("Conv", "r", "w", output="c"), node("QuantizeLinear", "c", "s", "z")],
        "weights are no quantized constant",
        {"constants": (*MEANING, ("w", np.ones((2, 3, 3, 3), np.float32)))},
    ),
    "custom": ([node("Attention3", "x", domain="acme")], "domain 'acme'", {"domains": ["acme"]}),
    "unknown": ([*REAL, node("LRN", "r", size=3)], "LRN", {"constants": MEANING}),
    "dynamic": (
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "a", "b"])],
        "DynamicQuantizeLinear",
        {},
    ),
    "old": ([node("Relu", "x")], "opset 8", {"opset": 8}),
    "open": (
        [*REAL, node("Relu", "r")],
        "fixed shape",
        {"shape": (1, 3, "h", 6), "constants": MEANING},
    ),
    "batch": ([*REAL, node("Relu", "r")], "batch 1", {"shape": (4, 3, 6, 6), "constants": MEANING}),
    "scale": (
        [*QUANTIZED, node("DequantizeLinear", "q", "s", "z")],
        "out of all proportion",
        {"constants": (("s", np.float32(1e-30)), ("z", np.uint8(3)))},
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refusal_says_what_where_and_what_to_do(name, tmp_path):
    nodes, words, options = REFUSED[name]
    path = save(tmp_path / "model.onnx", nodes, **options)
    with pytest.raises(ModelError) as caught:
        load_model(path, "onnx")
    text = f"{caught.value.message} {caught.value.remedy}"
    assert words in text, text
    assert str(path) in (caught.value.where or "") and caught.value.remedy


def test_rounding_onnx_is_for_onnx_files(tmp_path):
    with pytest.raises(TinyqError, match=r"\.onnx files alone"):
        load_model(tmp_path / "model.tflite", "onnx")


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "", "a/b", ".."])
def test_external_data_lie_beside_the_model(place, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(1000))
    folder = tmp_path / "inner"
    folder.mkdir()
    path = save(folder / "model.onnx", REAL, constants=MEANING)
    model = onnx.load(str(path))
    tensor = onnx.numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="outside of the model's folder"):
        load_model(path, "onnx")


def test_external_data_beside_the_model_are_read(tmp_path, rng):
    path = draw_file("conv", rng, tmp_path / "model.onnx")
    whole = load_model(path, "onnx")
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location="data.bin", size_threshold=0)
    again = load_model(path, "onnx")
    codes = rng.integers(-128, 128, (4, *whole.input.type.shape)).astype(np.int32)
    assert np.array_equal(reference.run(whole, codes), reference.run(again, codes))
    (tmp_path / "data.bin").write_bytes(b"short")
    with pytest.raises(ModelError, match="not whole"):
        load_model(path, "onnx")


def test_sizes_are_checked_before_memory_is_taken(tmp_path):
    path = save(tmp_path / "model.onnx", REAL, constants=MEANING)
    model = onnx.load(str(path))
    tensor = model.graph.initializer.add(name="w", data_type=FLOAT)
    tensor.dims.extend([1 << 20, 1 << 20])
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="values"):
        load_model(path, "onnx")
    tensor.dims[:] = [1 << 13, 1 << 13]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="shorter"):
        load_model(path, "onnx")


def test_changed_files_give_graphs_or_one_error(tmp_path, rng):
    """Every file with bytes changed, cut or repeated is a graph or a TinyqError."""
    path = tmp_path / "model.onnx"
    for name in ("conv", "flatten_gemm", "moves", "few_bits", "qlinear_conv"):
        content = draw_file(name, rng, path).read_bytes()
        chosen = random.Random(int(rng.integers(1 << 30)))
        for _ in range(30):
            changed = bytearray(content)
            for _ in range(chosen.randint(1, 6)):
                place = chosen.randrange(len(changed))
                kind = chosen.random()
                if kind < 0.7:
                    changed[place] = chosen.randrange(256)
                elif kind < 0.85:
                    del changed[place : place + chosen.randint(1, 40)]
                else:
                    changed[place:place] = changed[place : place + 20]
            path.write_bytes(bytes(changed))
            try:
                load_model(path, "onnx").verify()
            except TinyqError:
                continue


@pytest.mark.parametrize("name", sorted(CASES))
def test_all_rules_import(name, rng, tmp_path):
    path = draw_file(name, rng, tmp_path / "model.onnx")
    rules = ["half_up", "onnx"] + (["tflite"] if name != "few_bits" else [])
    shapes = [load_model(path, rule).output.type.shape for rule in rules]
    assert shapes.count(shapes[0]) == len(shapes)


def test_no_transpose_runs_in_a_network_of_channels_first(rng, tmp_path):
    path = draw_file("flatten_gemm", rng, tmp_path / "model.onnx")
    graph = load_model(path, "onnx")
    assert graph.input.type.shape == (4, 6, 3)
    assert "stridedcopy" not in {node.op.kernel for node in graph.nodes}


def test_a_float_file_becomes_the_same_function(rng, tmp_path):
    from tinyq.importers.float_models import load_float_model

    shapes = {"w": (8, 3, 3, 3), "b": (8,), "d": (8, 1, 3, 3), "m": (5, 200), "n": (5,)}
    constants = [(key, rng.normal(size=shape).astype(np.float32)) for key, shape in shapes.items()]
    constants += [(f"n{at}", rng.uniform(0.5, 1.5, 8).astype(np.float32)) for at in range(4)]
    nodes = [
        node("Conv", "x", "w", "b", output="c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c", "n0", "n1", "n2", "n3", output="v"),
        node("Relu", "v", output="r"),
        node("MaxPool", "r", output="p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Conv", "p", "d", output="e", group=8, pads=[1, 1, 1, 1]),
        node("HardSigmoid", "e", output="h", alpha=1 / 6, beta=0.5),
        node("Mul", "e", "h", output="g"),
        node("Add", "p", "g", output="a"),
        node("Flatten", "a", output="f"),
        node("Gemm", "f", "m", "n", transB=1),
    ]
    path = save(tmp_path / "model.onnx", nodes, (1, 3, 10, 9), constants)
    model = load_float_model(path)
    x = rng.normal(size=(4, 3, 10, 9)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path))
    wanted = np.concatenate([session.run(None, {"x": x[at : at + 1]})[0] for at in range(4)])
    found = np.asarray(model(np.moveaxis(x, 1, -1)))
    assert np.abs(found - wanted).max() <= 1e-6 * max(1.0, np.abs(wanted).max())


def test_a_quantized_file_is_no_float_model(rng, tmp_path):
    from tinyq.importers.float_models import load_float_model

    with pytest.raises(ModelError, match="quantized already"):
        load_float_model(draw_file("conv", rng, tmp_path / "model.onnx"))


def test_views_follow_numpy(rng):
    for _ in range(200):
        shape = tuple(int(size) for size in rng.integers(1, 5, int(rng.integers(2, 5))))
        order = channel_last(len(shape)) if rng.random() < 0.5 else None
        view = View.of(shape, order)
        flat = np.arange(view.elements)
        wanted = flat.reshape([shape[axis] for axis in order or range(len(shape))])
        wanted = wanted.transpose(np.argsort(order or range(len(shape))))
        assert np.array_equal(view.indices(), wanted)
        turned = rng.permutation(len(shape)).tolist()
        assert np.array_equal(view.transposed(turned).indices(), wanted.transpose(turned))
        other = view.reshaped((shape[0], -1 if False else view.elements // shape[0]))
        if other is not None:
            assert np.array_equal(other.indices(), wanted.reshape(other.shape))


def test_float32_in_integers(rng):
    values = rng.integers(-(2**61), 2**61, 2000) >> rng.integers(0, 60, 2000)
    assert np.array_equal(round_single(values), values.astype(np.float32).astype(np.int64))
    singles = rng.uniform(0.0, 100.0, 500).astype(np.float32)
    for single in singles:
        mantissa, shift = split_single(single)
        assert np.float32(mantissa * 2.0**-shift) == single and abs(mantissa) < 2**24
    whole = rng.integers(-5000, 5000, 1000)
    assert np.array_equal(divide_even(whole, 2), np.rint(whole / 4).astype(np.int64))


def test_a_file_of_two_outputs(rng, tmp_path):
    drawing = Drawing(rng)
    meaning = drawing.start(3, 5, 4)
    first = drawing.node("MaxPool", drawing.tensor, kernel_shape=[2, 2])
    second = drawing.node("MaxPool", drawing.tensor, kernel_shape=[3, 3])
    outputs = [drawing.real(each, meaning) for each in (first, second)]
    drawing.tensor = outputs[0]
    path = drawing.save(tmp_path / "model.onnx")
    model = onnx.load(str(path))
    model.graph.output.append(helper.make_empty_tensor_value_info(outputs[1]))
    onnx.save(model, str(path))
    graph = load_model(path, "onnx")
    shapes = [graph.tensors[name].type.shape for name in graph.outputs]
    assert shapes == [(4, 3, 3), (3, 2, 3)]
