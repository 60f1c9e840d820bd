"""Runs functional models layer by layer over many samples, with few of them in memory."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tinyq.support.mapped import forget
from tinyq.training.attributes import remembering
from tinyq.training.base import QuantizedLayer
from tinyq.training.tracing import find_producer, tensors_in_order

MOST_SAMPLES = 64
_REAL_VALUES = 1 << 24  # of all layers
_CODES = 1 << 20  # of a layer; integers are computed with 8 bytes each
_BYTES_IN_MEMORY = 1 << 22
# What follows from a layer's numbers alone, whatever it is given.
_SETTLED = (
    "encoding",
    "input_encoding",
    "inference_kernel",
    "code_map",
    "fold_map",
    "clip_range",
    "borders",
)

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True, slots=True)
class Applied:
    """One use of a layer in a functional model that uses every layer once.

    Attributes:
        name: Name of the layer.
        layer: The layer.
        tensor: Its output, symbolic.
        arguments: Keras' record of the arguments.
        sources: Identities of the symbolic tensors that it reads.
    """

    name: str
    layer: Any
    tensor: Any
    arguments: Any
    sources: tuple[int, ...]

    @property
    def size(self) -> int:
        """Values of the output for one sample."""
        return int(np.prod(self.tensor.shape[1:], dtype=np.int64))

    def apply(self, known: Mapping[int, Any]) -> Any:
        """The output in inference."""
        args, kwargs = self.arguments.fill_in(known)
        return self.layer(*args, **kwargs)


def list_applications(model: keras.Model, ends: Iterable[Any]) -> tuple[Applied, ...]:
    """What is computed on the way to symbolic tensors, the inputs of the model left out."""
    found = []
    starts = {id(tensor) for tensor in model.inputs}
    for tensor in tensors_in_order(list(ends), starts):
        layer, node_index, _ = tensor._keras_history
        node = layer._inbound_nodes[node_index]
        sources = tuple(id(source) for source in node.input_tensors)
        found.append(Applied(layer.name, layer, tensor, node.arguments, sources))
    return tuple(found)


def follow(
    model: keras.Model, wanted: Mapping[str, Any], values: Arrays
) -> Iterator[tuple[str, np.ndarray, int]]:
    """Values of layers' outputs in inference, batch by batch.

    Args:
        model: Functional model that uses every layer once.
        wanted: Symbolic tensors by the name under which they are given.
        values: Real inputs, one array for each input of the model.

    Yields:
        Name, values (a float32 array of a batch) and the first sample's index; every name comes
        once for each batch.
    """
    names: dict[int, list[str]] = {}
    tensors = {id(tensor): tensor for tensor in wanted.values()}
    for name, tensor in wanted.items():
        names.setdefault(id(tensor), []).append(name)
    if not tensors:
        return
    probe = keras.Model(model.inputs, list(tensors.values()))
    probe.compile(jit_compile=False)
    total = sum(one.size for one in list_applications(model, wanted.values()))
    for start, stop in _spans(len(values[0]), total, _REAL_VALUES):
        given = [np.asarray(x[start:stop], np.float32) for x in values]
        found = probe.predict_on_batch(given if len(given) > 1 else given[0])
        for key, result in zip(tensors, keras.tree.flatten(found), strict=True):
            for name in names[key]:
                yield name, result, start
        for x in values:
            forget(x)


def _spans(samples: int, values: int, most: int) -> Iterator[tuple[int, int]]:
    """Begin and end of batches of which each has at most ``most`` values, or one sample."""
    batch = int(np.clip(most // max(values, 1), 1, MOST_SAMPLES))
    for start in range(0, samples, batch):
        yield start, min(start + batch, samples)


class _Spool:
    """Codes of one tensor for all samples; those of large ones are in a temporary file."""

    def __init__(self, layer: Any, shape: tuple[int, ...]) -> None:
        self._encoding = layer.encoding() if layer is not None else None
        self._shape = shape
        self._dtype: np.dtype[Any] = np.dtype(np.float32)
        if self._encoding is not None:
            number_format = self._encoding.format
            narrow = number_format.lo >= -128 and number_format.hi <= 127
            self._dtype = np.dtype(np.int8 if narrow else np.int16)
            self._zero_point = 0 if number_format.step == 2 else self._encoding.zero_point
        self._sample_bytes = self.size * self._dtype.itemsize
        self._file = tempfile.SpooledTemporaryFile(max_size=_BYTES_IN_MEMORY)  # noqa: SIM115

    @property
    def size(self) -> int:
        """Values of one sample."""
        return int(np.prod(self._shape, dtype=np.int64))

    def write(self, values: Any) -> None:
        """Append a batch."""
        if self._encoding is not None:
            values = self._encoding.centered(values) + self._zero_point
        self._file.write(keras.ops.convert_to_numpy(values).astype(self._dtype).tobytes())

    def read(self, start: int, stop: int) -> Any:
        """Values of some samples, as they were written."""
        self._file.seek(start * self._sample_bytes)
        data = self._file.read((stop - start) * self._sample_bytes)
        codes = np.frombuffer(data, self._dtype).reshape(stop - start, *self._shape)
        if self._encoding is None:
            return keras.ops.convert_to_tensor(codes)
        centered = keras.ops.cast(keras.ops.convert_to_tensor(codes), "float32") - self._zero_point
        return centered * self._encoding.scale

    def close(self) -> None:
        """Forget the codes."""
        self._file.close()


def settle_in_order(
    model: keras.Model,
    ends: Iterable[Any],
    values: Arrays,
    chosen: np.ndarray,
    settle: Callable[[Any, np.ndarray], None],
) -> None:
    """Compute layer after layer of a quantized model for some samples; each is changed before.

    A layer is computed once, with what its ``settle`` has made of it: all layers before it are
    settled by then. Between layers activations are kept as codes.

    Args:
        model: Quantized model.
        ends: Symbolic tensors behind which nothing is computed.
        values: Real inputs, one array for each input of the model.
        chosen: Indexes of the samples.
        settle: Called with each layer of one input and the mean of that input over the samples,
            float64, before the layer is computed.
    """
    applications = list_applications(model, ends)
    readers = Counter(source for one in applications for source in one.sources)
    spools: dict[int, Any] = {
        id(tensor): _Reals(x, chosen) for tensor, x in zip(model.inputs, values, strict=True)
    }
    means: dict[int, np.ndarray] = {}
    with ExitStack() as settled:
        for one in applications:
            if len(one.sources) == 1 and one.sources[0] in means:
                settle(one.layer, means[one.sources[0]])
            settled.enter_context(remembering(one.layer, _SETTLED))
            key = id(one.tensor)
            if readers[key]:
                spools[key] = spool = _Spool(_encoder(one), tuple(one.tensor.shape[1:]))
                read = {source: spools[source] for source in one.sources}
                means[key] = _compute(one, read, spool, len(chosen))
            readers.subtract(one.sources)
            for source in set(one.sources):
                if readers[source] <= 0:
                    spools.pop(source).close()
                    means.pop(source, None)


def _compute(one: Applied, read: Mapping[int, Any], spool: _Spool, samples: int) -> np.ndarray:
    """Write a layer's output for all samples; its mean over them."""
    total = np.zeros(tuple(one.tensor.shape[1:]), np.float64)
    largest = max([one.size, *(kept.size for kept in read.values())])
    for start, stop in _spans(samples, largest, _CODES):
        known = {source: kept.read(start, stop) for source, kept in read.items()}
        result = one.apply(known)
        spool.write(result)
        total += keras.ops.convert_to_numpy(result).sum(axis=0, dtype=np.float64)
    return np.asarray(total / samples)


class _Reals:
    """Real inputs, read like a spool."""

    def __init__(self, values: np.ndarray, chosen: np.ndarray) -> None:
        self._values = values
        self._chosen = chosen

    @property
    def size(self) -> int:
        """Values of one sample."""
        return int(np.prod(self._values.shape[1:], dtype=np.int64))

    def read(self, start: int, stop: int) -> Any:
        """Values of some samples."""
        part = np.asarray(self._values[self._chosen[start:stop]], np.float32)
        forget(self._values)
        return keras.ops.convert_to_tensor(part)

    def close(self) -> None:
        """Nothing is to be forgotten."""


def _encoder(one: Applied) -> Any:
    """The layer whose encoding the output has; None where it is no activation."""
    found = find_producer(one.tensor, one.name)
    return None if type(found).encoding is QuantizedLayer.encoding else found
