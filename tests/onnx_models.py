"""Small ONNX files of one or two operators, drawn: each kind as QDQ and as operators of codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ("uint8", "int8")
Drawn = Callable[["Drawing"], None]
CASES: dict[str, Drawn] = {}


def case(function: Drawn) -> Drawn:
    """Register a drawing by its name."""
    CASES[function.__name__.removeprefix("draw_")] = function
    return function


@dataclass
class Drawing:
    """A file under way: codes flow through ``tensor``, whose meaning is known."""

    rng: np.random.Generator
    kind: str = "uint8"
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    tensor: str = ""
    opset: int = 17
    count: int = 0

    def new(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def constant(self, array: Any, stem: str = "c") -> str:
        from onnx import numpy_helper

        name = self.new(stem)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(
        self, kind: str, *inputs: str, domain: str = "", outputs: int = 1, **options: Any
    ) -> str:
        from onnx import helper

        names = [self.new(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **options))
        return names[0] if outputs == 1 else names  # type: ignore[return-value]

    def scale(self) -> np.float32:
        """Any, or a power of two, with which sums hit halves."""
        if self.chance(0.4):
            return np.float32(2.0 ** -self.integer(3, 7))
        return np.float32(self.rng.uniform(0.005, 0.1))

    def zero(self) -> Any:
        ends = np.iinfo(self.kind)
        choice = self.integer(ends.min, ends.max)
        return np.asarray(ends.min if self.chance(0.2) else choice, self.kind)

    def meaning(self) -> tuple[str, str]:
        return self.constant(self.scale(), "scale"), self.constant(self.zero(), "zero")

    def start(self, *shape: int, meaning: tuple[str, str] | None = None) -> tuple[str, str]:
        """A float input that is quantized; gives its reals' name in ``tensor``."""
        from onnx import TensorProto, helper

        name = self.new("x")
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shape]))
        meaning = meaning or self.meaning()
        self.tensor = self.node("QuantizeLinear", name, *meaning)
        return meaning

    def real(self, codes: str, meaning: tuple[str, str]) -> str:
        return self.node("DequantizeLinear", codes, *meaning)

    def codes(self, real: str, meaning: tuple[str, str]) -> str:
        return self.node("QuantizeLinear", real, *meaning)

    def weights(
        self, *shape: int, axis: int = 0, unsigned: bool = False, coded: bool = False
    ) -> tuple[str, str, str]:
        """Codes, scale and zero point, one or one for each channel.

        Those of operators of codes have 7 bits: onnxruntime's sums of more saturate on processors
        without VNNI.
        """
        kind = "uint8" if unsigned else "int8"
        ends = np.iinfo(kind)
        low, high = (-64, 64) if coded and not unsigned else (ends.min, ends.max)
        codes = self.rng.integers(low, high + 1, shape).astype(kind)
        count = shape[axis] if self.chance(0.5) and not unsigned else 1
        scale = np.asarray([self.scale() for _ in range(count)], np.float32)
        zero = np.zeros(count, kind)
        if unsigned:
            zero[:] = self.integer(0, 255)
        if count == 1:
            scale, zero = scale[0], zero[0]
        return self.constant(codes, "w"), self.constant(scale, "ws"), self.constant(zero, "wz")

    def save(self, path: Path) -> Path:
        """Write the file; the last codes of QDQ are dequantized, as exporters do."""
        import onnx
        from onnx import helper

        if self.nodes[-1].op_type == "QuantizeLinear":
            self.tensor = self.real(self.tensor, tuple(self.nodes[-1].input[1:]))
        last = helper.make_empty_tensor_value_info(self.tensor)
        graph = helper.make_graph(self.nodes, "drawn", self.inputs, [last], self.constants)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=9)
        onnx.save(model, str(path))
        return path


def suits(drawing: Drawing, steps: float, *scales: str) -> tuple[str, str]:
    """A meaning whose codes accumulators of some thousands spread over."""
    product = 1.0
    for name in scales:
        found = next(it for it in drawing.constants if it.name == name)
        from onnx import numpy_helper

        product *= float(np.max(numpy_helper.to_array(found)))
    if drawing.chance(0.4):
        scale = product * 2.0 ** round(np.log2(steps))
    else:
        scale = product * steps * drawing.rng.uniform(0.5, 2.0)
    return drawing.constant(np.float32(scale), "scale"), drawing.constant(drawing.zero(), "zero")


def _window(drawing: Drawing, axes: int) -> tuple[list[int], dict[str, Any]]:
    size = [drawing.integer(1, 3) for _ in range(axes)]
    pads = [drawing.integer(0, (each - 1)) for each in size] * 2
    options = {"strides": [drawing.integer(1, 2) for _ in range(axes)], "pads": pads}
    return size, options


def _bias(drawing: Drawing, count: int, x_scale: str, w_scale: str, real: bool) -> list[str]:
    codes = drawing.rng.integers(-3000, 3000, count).astype(np.int32)
    if not drawing.chance(0.7):
        return []
    if not real:
        return [drawing.constant(codes, "bias")]
    from onnx import numpy_helper

    scales = [
        numpy_helper.to_array(next(it for it in drawing.constants if it.name == name))
        for name in (x_scale, w_scale)
    ]
    product = np.asarray(scales[0] * scales[1], np.float32)
    name = drawing.constant(codes, "bias")
    if drawing.chance(0.5):
        return [drawing.constant((codes * product).astype(np.float32), "float_bias")]
    zero = drawing.constant(np.zeros(product.shape, np.int32), "bias_zero")
    options = {"axis": 0} if product.ndim else {}
    return [drawing.node("DequantizeLinear", name, drawing.constant(product), zero, **options)]


def _conv(drawing: Drawing, axes: int, coded: bool) -> None:
    groups = int(drawing.rng.choice([1, 1, 2, 4]))
    inputs = groups * drawing.integer(1, 2) if groups < 4 else 4
    outputs = groups * drawing.integer(1, 3)
    size, options = _window(drawing, axes)
    if drawing.chance(0.2):
        options.pop("pads")
        options["auto_pad"] = str(drawing.rng.choice(["SAME_UPPER", "SAME_LOWER"]))
    x = drawing.start(inputs, *(drawing.integer(4, 7) for _ in range(axes)))
    unsigned = coded and drawing.kind == "uint8" and drawing.chance(0.4)
    w = drawing.weights(outputs, inputs // groups, *size, unsigned=unsigned, coded=coded)
    y = suits(drawing, 60.0 * np.prod(size) ** 0.5, x[0], w[1])
    bias = _bias(drawing, outputs, x[0], w[1], not coded)
    if coded:
        drawing.tensor = drawing.node(
            "QLinearConv", drawing.tensor, *x, *w, *y, *bias, group=groups, **options
        )
        return
    real = drawing.real(drawing.tensor, x)
    weights = drawing.node("DequantizeLinear", *w, axis=0)
    found = drawing.node("Conv", real, weights, *bias, group=groups, **options)
    if drawing.chance(0.4):  # with the lowest code as zero, or onnxruntime computes floats
        found = drawing.node("Relu", found)
        y = y[0], drawing.constant(np.asarray(np.iinfo(drawing.kind).min, drawing.kind))
    drawing.tensor = drawing.codes(found, y)


@case
def draw_conv(drawing: Drawing) -> None:
    _conv(drawing, 2, False)


@case
def draw_conv_of_sequence(drawing: Drawing) -> None:
    _conv(drawing, 1, False)


@case
def draw_qlinear_conv(drawing: Drawing) -> None:
    _conv(drawing, 2, True)


@case
def draw_flatten_gemm(drawing: Drawing) -> None:
    """A pool that gives the layout, a flattening, a matrix."""
    x = drawing.start(3, 4, 6)
    real = drawing.node(
        "MaxPool", drawing.real(drawing.tensor, x), kernel_shape=[2, 2], strides=[2, 2]
    )
    flat = drawing.node("Flatten", real)
    flat = drawing.real(drawing.codes(flat, x), x)
    turned = int(drawing.chance(0.5))
    shape = (5, 18) if turned else (18, 5)
    w = drawing.weights(*shape, axis=1 - turned)
    y = suits(drawing, 300.0, x[0], w[1])
    weights = drawing.node("DequantizeLinear", *w, axis=1 - turned)
    bias = _bias(drawing, 5, x[0], w[1], True)
    drawing.tensor = drawing.codes(drawing.node("Gemm", flat, weights, *bias, transB=turned), y)


@case
def draw_qgemm(drawing: Drawing) -> None:
    x = drawing.start(7)
    w = drawing.weights(7, 4, axis=1, coded=True)
    y = suits(drawing, 200.0, x[0], w[1])
    bias = _bias(drawing, 4, x[0], w[1], False) or [""]
    drawing.tensor = drawing.node(
        "QGemm", drawing.tensor, *x, *w, *bias, *y, domain="com.microsoft"
    )


@case
def draw_matmul(drawing: Drawing) -> None:
    x = drawing.start(3, 6)
    w = drawing.weights(6, 4, axis=1, coded=True)
    y = suits(drawing, 200.0, x[0], w[1])
    if drawing.chance(0.5):
        drawing.tensor = drawing.node("QLinearMatMul", drawing.tensor, *x, *w, *y)
        return
    weights = drawing.node("DequantizeLinear", *w, axis=1)
    found = drawing.node("MatMul", drawing.real(drawing.tensor, x), weights)
    drawing.tensor = drawing.codes(found, y)


def _second(drawing: Drawing, x: tuple[str, str]) -> tuple[str, tuple[str, str]]:
    """Another tensor of the same shape: the input pooled, under a scale of its own.

    Codes are unsigned: onnxruntime computes floats where signed ones have two readers.
    """
    real = drawing.node(
        "MaxPool", drawing.real(drawing.tensor, x), kernel_shape=[3, 3], pads=[1, 1, 1, 1]
    )
    codes = drawing.codes(real, x)
    y = drawing.meaning()  # a function lies between, or onnxruntime would drop one of the scales
    return drawing.codes(drawing.node("LeakyRelu", drawing.real(codes, x)), y), y


@case
def draw_add(drawing: Drawing) -> None:
    drawing.kind = "uint8"
    x = drawing.start(3, 5, 4)
    other, y = _second(drawing, x)
    z = drawing.meaning()
    if drawing.chance(0.5):
        drawing.tensor = drawing.node(
            "QLinearAdd", drawing.tensor, *x, other, *y, *z, domain="com.microsoft"
        )
        return
    found = drawing.node("Add", drawing.real(drawing.tensor, x), drawing.real(other, y))
    drawing.tensor = drawing.codes(found, z)


@case
def draw_multiply(drawing: Drawing) -> None:
    drawing.kind = "uint8"
    x = drawing.start(3, 5, 4)
    other, y = _second(drawing, x)
    z = suits(drawing, 60.0, x[0], y[0])
    if drawing.chance(0.5):
        drawing.tensor = drawing.node(
            "QLinearMul", drawing.tensor, *x, other, *y, *z, domain="com.microsoft"
        )
        return
    found = drawing.node("Mul", drawing.real(drawing.tensor, x), drawing.real(other, y))
    drawing.tensor = drawing.codes(found, z)


@case
def draw_squeeze_and_excite(drawing: Drawing) -> None:
    """A product with one number for each channel, which is computed."""
    drawing.kind = "uint8"
    x = drawing.start(3, 5, 4)
    y = drawing.meaning()
    real = drawing.real(drawing.tensor, x)
    gate = drawing.real(drawing.codes(drawing.node("GlobalAveragePool", real), y), y)
    z = suits(drawing, 60.0, x[0], y[0])
    drawing.tensor = drawing.codes(drawing.node("Mul", real, gate), z)


@case
def draw_add_constant(drawing: Drawing) -> None:
    x = drawing.start(3, 5, 4)
    real = drawing.node("MaxPool", drawing.real(drawing.tensor, x), kernel_shape=[1, 1])
    real = drawing.real(drawing.codes(real, x), x)
    shape = [(1, 3, 1, 1), (3, 1, 1), (3, 5, 4)][drawing.integer(0, 2)]
    codes = drawing.constant(drawing.rng.integers(-100, 100, shape).astype(np.int8))
    y = drawing.constant(drawing.scale()), drawing.constant(np.int8(drawing.integer(-9, 9)))
    addend = drawing.node("DequantizeLinear", codes, *y)
    pair = (real, addend) if drawing.chance(0.5) else (addend, real)
    drawing.tensor = drawing.codes(drawing.node("Add", *pair), drawing.meaning())


@case
def draw_global_average_pool(drawing: Drawing) -> None:
    x = drawing.start(5, drawing.integer(2, 6), drawing.integer(2, 6))
    y = suits(drawing, 0.5, x[0])
    if drawing.chance(0.5):
        drawing.tensor = drawing.node(
            "QLinearGlobalAveragePool",
            drawing.tensor,
            *x,
            *y,
            domain="com.microsoft",
            channels_last=0,
        )
        return
    found = drawing.node("GlobalAveragePool", drawing.real(drawing.tensor, x))
    drawing.tensor = drawing.codes(found, y)


@case
def draw_average_pool(drawing: Drawing) -> None:
    """With a scale of its own, so that floating point meets no halves."""
    x = drawing.start(4, 6, 5)
    y = (
        drawing.constant(np.float32(drawing.rng.uniform(0.005, 0.05))),
        drawing.constant(drawing.zero()),
    )
    size, options = _window(drawing, 2)
    real = drawing.real(drawing.tensor, x)
    found = drawing.node("AveragePool", real, kernel_shape=size, count_include_pad=1, **options)
    drawing.tensor = drawing.codes(found, y)


@case
def draw_max_pool(drawing: Drawing) -> None:
    drawing.start(3, 7, 6)
    size, options = _window(drawing, 2)
    options["ceil_mode"] = drawing.integer(0, 1)
    drawing.tensor = drawing.node("MaxPool", drawing.tensor, kernel_shape=size, **options)


@case
def draw_function(drawing: Drawing) -> None:
    x = drawing.start(11)
    kind = str(
        drawing.rng.choice(
            ["LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Elu", "HardSigmoid", "Relu"]
        )
    )
    found = drawing.node(kind, drawing.real(drawing.tensor, x))
    drawing.tensor = drawing.codes(found, drawing.meaning())


@case
def draw_swish(drawing: Drawing) -> None:
    x = drawing.start(11)
    real = drawing.real(drawing.tensor, x)
    found = drawing.node("Mul", real, drawing.node("Sigmoid", real))
    drawing.tensor = drawing.codes(found, drawing.meaning())


@case
def draw_concat(drawing: Drawing) -> None:
    drawing.kind = "uint8"
    x = drawing.start(3, 5, 4)
    other, y = _second(drawing, x)
    axis = drawing.integer(1, 3)
    z = drawing.meaning()
    if drawing.chance(0.5):
        drawing.tensor = drawing.node(
            "QLinearConcat", *z, drawing.tensor, *x, other, *y, domain="com.microsoft", axis=axis
        )
        return
    pair = drawing.real(drawing.tensor, x), drawing.real(other, y)
    drawing.tensor = drawing.codes(drawing.node("Concat", *pair, axis=axis), z)


@case
def draw_moves(drawing: Drawing) -> None:
    """What moves elements, behind and before layers that want channels."""
    x = drawing.start(4, 6, 5)
    name = drawing.node("MaxPool", drawing.tensor, kernel_shape=[2, 2])
    ints = lambda *values: drawing.constant(np.asarray(values, np.int64))  # noqa: E731
    for _ in range(drawing.integer(1, 2)):
        kind = drawing.integer(0, 4)
        if kind == 0:
            name = drawing.node(
                "Transpose", name, perm=[0, *(1 + drawing.rng.permutation(3)).tolist()]
            )
        elif kind == 1:
            name = drawing.node("Slice", name, ints(0), ints(3), ints(2), ints(2))
        elif kind == 2:
            name = drawing.node("Slice", name, ints(-1), ints(-100), ints(1), ints(-1))
        elif kind == 3:
            name = drawing.node("Unsqueeze", name, ints(2))
            name = drawing.node("Squeeze", name, ints(2))
        else:
            real = drawing.real(name, x)
            real = drawing.node("Pad", real, ints(0, 0, 1, 0, 0, 0, 0, 2))
            name = drawing.codes(real, x)
    drawing.tensor = drawing.node("Reshape", name, ints(1, -1))


@case
def draw_resize(drawing: Drawing) -> None:
    drawing.start(3, 4, 5)
    name = drawing.node("MaxPool", drawing.tensor, kernel_shape=[1, 1])
    scales = drawing.constant(np.asarray([1, 1, 2, drawing.integer(1, 3)], np.float32))
    options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    drawing.tensor = drawing.node("Resize", name, "", scales, mode="nearest", **options)


@case
def draw_few_bits(drawing: Drawing) -> None:
    """Brevitas' QCDQ: float weights, quantized, clipped; codes of 2 to 4 bits."""
    drawing.kind = "int8"
    x = drawing.start(3, 5, 5)
    bits = drawing.integer(2, 4)
    w_bits = drawing.integer(2, 8)
    values = drawing.constant(drawing.rng.uniform(-1, 1, (4, 3, 3, 3)).astype(np.float32))
    zero = drawing.constant(np.int8(0))
    most = 2 ** (w_bits - 1) - 1
    scale = drawing.constant(np.float32(1.0 / most))
    codes = drawing.node("QuantizeLinear", values, scale, zero)
    ends = drawing.constant(np.int8(-most)), drawing.constant(np.int8(most))
    codes = drawing.node("Clip", codes, *ends)
    weights = drawing.node("DequantizeLinear", codes, scale, zero)
    found = drawing.node("Conv", drawing.real(drawing.tensor, x), weights, pads=[1, 1, 1, 1])
    found = drawing.node("Relu", found)
    y = drawing.constant(np.float32(drawing.rng.uniform(0.3, 1.0))), drawing.constant(np.uint8(0))
    limit = drawing.constant(np.uint8(0)), drawing.constant(np.uint8(2**bits - 1))
    codes = drawing.node("Clip", drawing.codes(found, y), *limit)
    drawing.tensor = codes


def draw_file(name: str, rng: np.random.Generator, path: Path) -> Path:
    """A file of a case."""
    drawing = Drawing(rng, kind=str(rng.choice(KINDS)))
    CASES[name](drawing)
    return drawing.save(path)
