"""Runs functional models layer by layer over many samples, with few of them in memory."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tinyq.training.base import QuantizedLayer
from tinyq.training.tracing import find_producer, tensors_in_order

MOST_SAMPLES = 64
_REAL_VALUES = 1 << 22
_CODES = 1 << 20  # integers are computed with 8 bytes each
_BYTES_IN_MEMORY = 1 << 24

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
) -> Iterator[tuple[str, np.ndarray]]:
    """Values of layers' outputs in inference, batch by batch, each as soon as it is known.

    Args:
        model: Functional model that uses every layer once.
        wanted: Symbolic tensors by the name under which they are given.
        values: Real inputs, one array for each input of the model.

    Yields:
        Name and values, a float32 array of a batch; every name comes once for each batch.
    """
    applications = list_applications(model, wanted.values())
    names: dict[int, list[str]] = {}
    for name, tensor in wanted.items():
        names.setdefault(id(tensor), []).append(name)
    readers = Counter(source for one in applications for source in one.sources)
    sizes = [int(np.prod(x.shape[1:])) for x in values] + [one.size for one in applications]
    for start, stop in _spans(len(values[0]), max(sizes), _REAL_VALUES):
        known: dict[int, Any] = {
            id(tensor): keras.ops.convert_to_tensor(np.asarray(x[start:stop], np.float32))
            for tensor, x in zip(model.inputs, values, strict=True)
        }
        left = readers.copy()
        for tensor in model.inputs:
            for name in names.get(id(tensor), ()):
                yield name, keras.ops.convert_to_numpy(known[id(tensor)])
        for one in applications:
            result = known[id(one.tensor)] = one.apply(known)
            for name in names.get(id(one.tensor), ()):
                yield name, keras.ops.convert_to_numpy(result)
            left.subtract(one.sources)
            for source in {*one.sources, id(one.tensor)}:
                if left[source] <= 0:
                    known.pop(source, None)


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
        self._dtype = np.dtype(np.float32)
        if self._encoding is not None:
            number_format = self._encoding.format
            narrow = number_format.lo >= -128 and number_format.hi <= 127
            self._dtype = np.dtype(np.int8 if narrow else np.int16)
            self._zero_point = 0 if number_format.step == 2 else self._encoding.zero_point
        self._sample_bytes = int(np.prod(shape, dtype=np.int64)) * self._dtype.itemsize
        self._file = tempfile.SpooledTemporaryFile(max_size=_BYTES_IN_MEMORY)  # noqa: SIM115

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
    settle: Callable[[Any, np.ndarray], None],
) -> None:
    """Compute layer after layer of a quantized model for all samples; each is changed before.

    A layer is computed once, with what its ``settle`` has made of it: all layers before it are
    settled by then. Between layers activations are kept as codes.

    Args:
        model: Quantized model.
        ends: Symbolic tensors behind which nothing is computed.
        values: Real inputs, one array for each input of the model.
        settle: Called with each layer of one input and the mean of that input over the samples,
            float64, before the layer is computed.
    """
    applications = list_applications(model, ends)
    readers = Counter(source for one in applications for source in one.sources)
    spools: dict[int, Any] = {
        id(tensor): _Reals(x) for tensor, x in zip(model.inputs, values, strict=True)
    }
    sizes = {id(t): int(np.prod(t.shape[1:])) for t in model.inputs}
    means: dict[int, np.ndarray] = {}
    for one in applications:
        if len(one.sources) == 1 and one.sources[0] in means:
            settle(one.layer, means[one.sources[0]])
        read = {source: spools[source] for source in one.sources}
        key, shape = id(one.tensor), tuple(one.tensor.shape[1:])
        sizes[key] = one.size
        spool = spools[key] = _Spool(_encoder(one), shape) if readers[key] else None
        if spool is not None:
            total = np.zeros(shape, np.float64)
            largest = max(sizes[source] for source in (*read, key))
            for start, stop in _spans(len(values[0]), largest, _CODES):
                known = {source: kept.read(start, stop) for source, kept in read.items()}
                result = one.apply(known)
                spool.write(result)
                total += keras.ops.convert_to_numpy(result).sum(axis=0, dtype=np.float64)
            means[key] = total / len(values[0])
        readers.subtract(one.sources)
        for source in read:
            if readers[source] <= 0:
                spools.pop(source).close()
                means.pop(source, None)


class _Reals:
    """Real inputs, read like a spool."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def read(self, start: int, stop: int) -> Any:
        """Values of some samples."""
        return keras.ops.convert_to_tensor(np.asarray(self._values[start:stop], np.float32))

    def close(self) -> None:
        """Nothing is to be forgotten."""


def _encoder(one: Applied) -> Any:
    """The layer whose encoding the output has; None where it is no activation."""
    found = find_producer(one.tensor, one.name)
    return None if type(found).encoding is QuantizedLayer.encoding else found
