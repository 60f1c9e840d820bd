"""What all quantized layers share: the input's encoding, and the epilogue."""

from __future__ import annotations

import weakref
from typing import Any, NoReturn

import keras
from keras import ops

from tinyq.errors import TinyqError
from tinyq.quantizers import Encoding, find_activations
from tinyq.quantizers.method import Method
from tinyq.training import integer
from tinyq.training.tracing import find_producer

ACTIVATIONS = ("linear", "relu", "relu6")
_RELU6_LIMIT = 6.0
_NEVER = 1e300


class _Sources:
    """Weak references that Keras does not track as parts of a layer."""

    __slots__ = ("layers",)

    def __init__(self, layers: tuple[Any, ...]) -> None:
        self.layers = tuple(weakref.ref(layer) for layer in layers)


class QuantizedLayer(keras.layers.Layer):
    """A layer that knows what the codes of its inputs and of its output mean.

    The producers of the inputs are found when the layer is applied to the tensors of a functional
    model, which Keras does again when it loads the model.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.compute_dtype != "float32":
            raise TinyqError(
                f"the layer computes in {self.compute_dtype}",
                where=self.name,
                remedy="use the float32 policy: 16-bit floats cannot hold the integers exactly",
            )
        # A compiler that contracts products and sums would round the constants differently.
        self.supports_jit = False

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Apply the layer; on symbolic tensors, note where they come from."""
        symbolic = [x for x in keras.tree.flatten(args) if isinstance(x, keras.KerasTensor)]
        if symbolic and all(hasattr(x, "_keras_history") for x in symbolic):
            self._sources = _Sources(self._find_sources(symbolic))
        elif not hasattr(self, "_sources"):
            self._refuse_alone()
        return super().__call__(*args, **options)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return super().get_config()

    def _find_sources(self, tensors: list[Any]) -> tuple[Any, ...]:
        return tuple(find_producer(tensor, self.name) for tensor in tensors)

    def source(self, index: int = 0) -> QuantizedLayer:
        """The layer that produced the codes of an input."""
        sources = getattr(self, "_sources", None)
        layer = sources.layers[index]() if sources is not None else None
        return self._refuse_alone() if layer is None else layer

    def _refuse_alone(self) -> NoReturn:
        raise TinyqError(
            "the layer is not part of a functional model",
            where=self.name,
            remedy="apply it to the output of a quantized layer, such as QuantizedInput",
        )

    def input_encoding(self, index: int = 0) -> Encoding:
        """What the codes of an input mean."""
        return self.source(index).encoding()

    def encoding(self) -> Encoding:
        """What the codes of the output mean."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether the output's encoding rests on data."""
        return True

    def take_weights(self, layer: Any) -> None:
        """Copy the weights of the float layer that this one stands for; here it has none."""


class FinishedLayer(QuantizedLayer):
    """A layer that accumulates integers and ends in an epilogue.

        real = activation(batch_norm(accumulator_scale * acc + bias))
        code = clip(floor(real / scale + 1/2) + zero_point, lo, hi), or the sign for binary

    Training computes this in float32 with the gradients of the methods; inference folds it into
    the integers of the deployed path.

    Args:
        output_method: Activation method of the output, or its name.
        batch_norm: Options of the BatchNormalization inside, or None.
        output_range: Fixed range of the output instead of the observed one.
    """

    drop: float = 0.0
    """Share of the values that training leaves as they are, drawn anew in each step."""

    def __init__(
        self,
        *args: Any,
        output_method: str | Method = "int8",
        batch_norm: dict[str, Any] | None = None,
        output_range: tuple[float, float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.output_method = str(output_method)
        fixed: dict[str, Any] = {} if output_range is None else {"fixed": tuple(output_range)}
        self.output_range = fixed.get("fixed")
        self.batch_norm_options = None if batch_norm is None else dict(batch_norm)
        parts = find_activations(self.output_method)
        self.output_quantizer = parts.build(name="output_quantizer", **fixed)
        self.batch_norm = None
        if batch_norm is not None:
            self.batch_norm = keras.layers.BatchNormalization(name="batch_norm", **batch_norm)

    def build_epilogue(self, shape: Any) -> None:
        """Create the state of the epilogue for an output of ``shape``."""
        self.output_quantizer.build(shape)
        if self.batch_norm is not None:
            self.batch_norm.build(shape)

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        options: dict[str, Any] = {
            "output_method": self.output_method,
            "batch_norm": self.batch_norm_options,
        }
        if self.output_range is not None:
            options["output_range"] = self.output_range
        return {**super().get_config(), **options}

    @property
    def activation_name(self) -> str:
        """One of ``ACTIVATIONS``."""
        activation = getattr(self, "activation", None)
        name = "linear" if activation is None else getattr(activation, "__name__", "?")
        if name not in ACTIVATIONS:
            raise TinyqError(
                f"activation {name!r} has no integer form",
                where=self.name,
                remedy=f"use one of {', '.join(ACTIVATIONS)}",
            )
        return name

    def encoding(self) -> Encoding:
        """What the codes of the output mean."""
        return self.output_quantizer.encoding()

    def ready(self) -> bool:
        """Whether the output's encoding rests on data."""
        return self.output_quantizer.ready()

    def accumulator_map(self) -> tuple[Any, Any]:
        """Real value per accumulator unit, and at accumulator 0, before BatchNorm; float64."""
        raise NotImplementedError

    def real_map(self) -> tuple[Any, Any]:
        """Real value per accumulator unit, and at accumulator 0, after BatchNorm; float64.

        gain   = r * accumulator_scale,  offset = r * (bias - mean) + beta
        r      = gamma / sqrt(variance + epsilon)
        """
        gain, offset = self.accumulator_map()
        norm = self.batch_norm
        if norm is None:
            return gain, offset
        deviation = ops.sqrt(wide(norm.moving_variance) + norm.epsilon)
        # The maximum changes nothing; it keeps graph optimizers from replacing the division by a
        # product with a reciprocal root, which rounds differently.
        ratio = 1.0 / ops.maximum(deviation, 1e-300)
        if norm.scale:
            ratio = wide(norm.gamma) * ratio
        offset = (offset - wide(norm.moving_mean)) * ratio
        if norm.center:
            offset = offset + wide(norm.beta)
        return gain * ratio, offset

    def code_map(self) -> tuple[Any, Any]:
        """The same in codes of the output, zero point aside; float64."""
        gain, offset = self.real_map()
        if self.output_quantizer.format.step == 2:
            return gain, offset + wide(self.output_quantizer.shift())
        scale = wide(self.encoding().scale)
        return gain / scale, offset / scale

    def clip_range(self) -> tuple[Any, Any]:
        """Smallest and largest output code, int64; activations narrow the format's range."""
        encoding = self.encoding()
        zero_point = ops.cast(encoding.zero_point, "int64")
        lo = ops.ones_like(zero_point) * encoding.lowest
        hi = ops.ones_like(zero_point) * encoding.highest
        if self.activation_name != "linear":
            lo = ops.maximum(lo, zero_point)
        if self.activation_name == "relu6":
            limit = ops.floor(_RELU6_LIMIT / wide(encoding.scale) + 0.5)
            hi = ops.minimum(hi, zero_point + ops.cast(limit, "int64"))
        return lo, hi

    @property
    def rounds_to_even(self) -> bool:
        """Whether a half goes to the even code, else up.

        Behind a BatchNorm no value lies between two codes but by chance, and the gain is rounded.
        """
        return self.output_quantizer.rounds_to_even and self.batch_norm is None

    def requantize(self, acc: Any, gain: Any, offset: Any) -> Any:
        """Codes before zero point and saturation, with the rounding of the output's quantizer."""
        folded = self.fold_map(gain, offset)
        if self.rounds_to_even:
            return integer.requantize_even(acc, *folded)
        return integer.requantize(acc, folded)

    def fold_map(self, gain: Any, offset: Any) -> Any:
        """Integers that stand for a map from accumulators to codes."""
        fold = integer.fold_even if self.rounds_to_even else integer.fold_affine
        return fold(gain, offset)

    def finish(self, acc: Any) -> Any:
        """Output values from integer accumulators, as the deployed code computes them."""
        return self.finish_map(acc, *self.code_map())

    def finish_map(self, acc: Any, gain: Any, offset: Any) -> Any:
        """The same for any map from accumulators to codes.

        Args:
            acc: Accumulators, int64.
            gain: Codes of the output per unit, zero point aside, float64.
            offset: Codes at accumulator 0.
        """
        encoding = self.encoding()
        if encoding.format.step == 2:
            signs = integer.compare(acc, *integer.fold_threshold(gain, offset))
            return ops.cast(signs, "float32")
        if encoding.levels:
            folded = integer.fold_steps(gain, offset, self.borders())
            levels = ops.convert_to_tensor(encoding.levels, "int64")
            return encoding.real(ops.take(levels, integer.count_steps(acc, *folded)))
        # Codes without the zero point: float32 holds those of the range, and keeps the order of
        # all others, which saturate.
        centered = ops.cast(self.requantize(acc, gain, offset), "float32")
        lo, hi = (ops.cast(bound, "float32") - encoding.zero_point for bound in self.clip_range())
        return ops.clip(centered, lo, hi) * encoding.scale

    def borders(self) -> Any:
        """Where levels of different distances begin, in codes of the output; float64.

        The first level is 0, so that a ReLU changes nothing; a ReLU6 ends at 6.
        """
        encoding = self.encoding()
        borders = ops.convert_to_tensor(encoding.borders, "float64")
        if self.activation_name != "relu6":
            return borders
        return ops.where(borders * wide(encoding.scale) > _RELU6_LIMIT, _NEVER, borders)

    def simulate(self, values: Any) -> Any:
        """Output values in training: BatchNorm on the batch, fake quantization."""
        if self.batch_norm is not None:
            values = self.batch_norm(values, training=True)
        if self.activation_name != "linear":
            values = keras.activations.get(self.activation_name)(values)
        quantized = self.output_quantizer(values, training=True)
        if not self.drop:
            return quantized
        left = keras.random.uniform(ops.shape(values)) < self.drop
        return ops.where(left, values, quantized)


def wide(value: Any) -> Any:
    """A float64 tensor of a variable or tensor."""
    return ops.cast(ops.convert_to_tensor(value), "float64")
