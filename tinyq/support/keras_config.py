"""Keras files before Keras sees them: every name in them is held against a list.

Keras builds a model from a description that names classes, modules and functions, and some of them
bring code along (``Lambda``), import any module, or reach any function of TensorFlow. So the
description is read as plain JSON first, and what is not on the lists of ``keras_names`` is refused,
with its name. Files of weights are looked at, too: no link leads out of them, and what they claim
to hold is a bound for what the model may take.
"""

from __future__ import annotations

import inspect
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyq.errors import ModelError
from tinyq.support import keras_names, limits

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
SAVED_MODEL, KERAS_METADATA = "saved_model.pb", "keras_metadata.pb"
_REMEDY = "build the model from layers that Keras has; code that a model file names is never run"
_REMEDY_LAMBDA = (
    "build the model anew with what the function does in its place, as operators or keras.ops "
    "(x * 0.5, keras.ops.mean(x, -1)) or a layer (Rescaling, Resizing, Reshape); give it the "
    "weights, new.set_weights(old.get_weights()), and save it; the code in a file is never run"
)
_DAMAGED = "save the model again with model.save(...)"
_LARGEST = 2**28
_SPARE_WEIGHTS = 2**16
# Keys whose values are names of functions or small objects, by how the key ends.
_NAMED = {
    "activation": keras_names.ACTIVATIONS,
    "initializer": keras_names.INITIALIZERS,
    "regularizer": keras_names.REGULARIZERS,
    "constraint": keras_names.CONSTRAINTS,
}
# Keys of a size that memory is taken for; the seeds of random layers are numbers as large.
_SIZES = ("units", "filters", "kernel_size", "input_dim", "output_dim", "depth_multiplier")
_TRAINING = ("compile_config", "training_config")
_CALLED = ("TFOpLambda", "SlicingOpLambda")


def check_keras_file(path: Path) -> int:
    """Look at a ``.keras`` file.

    Returns:
        Elements of all weights in it.

    Raises:
        ModelError: It is missing or damaged, holds what such a file does not hold, or names
            something that is not on the lists.
    """
    with limits.reading(path, ".keras file", remedy=_DAMAGED), zipfile.ZipFile(path) as archive:
        limits.check_archive(archive, limits.WEIGHTS_BYTES + 2 * limits.JSON_BYTES)
        for name in archive.namelist():
            if name not in (CONFIG, METADATA, WEIGHTS):
                raise ModelError(f"holds {name!r}, which no model of plain layers has")
        check_config(json.loads(limits.read_member(archive, CONFIG, limits.JSON_BYTES)))
        content = limits.read_member(archive, WEIGHTS, limits.WEIGHTS_BYTES)
        damaged = archive.testzip()
        if damaged is not None:
            raise ModelError(f"{damaged} in the .keras file is damaged", remedy=_DAMAGED)
        return count_weights(io.BytesIO(content))


def read_h5_config(path: Path) -> Any:  # noqa: ANN401  # JSON data
    """The description of the layers in an ``.h5`` file, checked.

    Raises:
        ModelError: The file is missing or damaged, holds no layers, or names something that is not
            on the lists.
    """
    import h5py

    with limits.reading(path, ".h5 file", remedy=_DAMAGED):
        if not path.is_file():
            raise FileNotFoundError
        with h5py.File(path) as file:
            text = file.attrs.get("model_config", "")
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        if not isinstance(text, str):
            raise ModelError("the description of the layers is no text", remedy=_DAMAGED)
        if not text:
            raise ModelError(
                "the .h5 file holds weights but no layers",
                remedy="save the model with model.save(...)",
            )
        if len(text) > limits.JSON_BYTES:
            raise ModelError(f"describes its layers in {len(text):,} letters")
        config = json.loads(text)
        check_config(config)
    return config


def check_h5_file(path: Path) -> int:
    """Look at an ``.h5`` file; result and errors are those of ``check_keras_file``."""
    read_h5_config(path)
    with limits.reading(path, ".h5 file", remedy=_DAMAGED):
        return count_weights(path)


def check_saved_model(folder: Path, trust: bool) -> None:
    """Look at the folder of a SavedModel, which holds functions of TensorFlow beside its layers.

    Args:
        folder: The folder.
        trust: Whether the user has said that its author is trusted.

    Raises:
        ModelError: There is no consent, or its layers cannot be read, or name something that is
            not on the lists.
    """
    if not trust:
        raise ModelError(
            "a SavedModel is a program: loading it may do whatever its author wrote",
            where=str(folder),
            remedy="pass --trust (trust=True in Python) if you trust the author, else ask for a "
            ".keras or .tflite file, which are data",
        )
    with limits.reading(folder, "SavedModel"):
        path = folder / KERAS_METADATA
        if not path.is_file():
            raise ModelError(
                "the SavedModel holds functions but no Keras layers",
                remedy="convert it to an int8 .tflite file, or save the model as .keras",
            )
        for text in _metadata_texts(limits.read_file(path, limits.JSON_BYTES)):
            if text:
                check_config(json.loads(text))


def class_names(config: Any) -> set[str]:  # noqa: ANN401  # JSON data
    """Names of all classes that a description mentions."""
    found = (entry.get("class_name") for entry in _dictionaries(config))
    return {name for name in found if isinstance(name, str)}


def check_config(config: Any) -> None:  # noqa: ANN401  # JSON data
    """Check every name in the description of a model or layer.

    What belongs to training alone, losses and metrics of the outermost model, is not looked at:
    models are loaded without it.

    Raises:
        ModelError: A class, module, function or attribute is not on the lists, or a size takes more
            memory than any model for a microcontroller.
    """
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key not in _TRAINING}
    for entry in _dictionaries(config):
        _check_object(entry)
        _check_functions(entry)
        for key, value in entry.items():
            _check_value(key, value)


def _dictionaries(config: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  # JSON data
    """All dictionaries in JSON data, without recursion: the data may be nested ever so deep."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_object(entry: Mapping[str, Any]) -> None:
    """A class with its module and registered name, as Keras looks it up."""
    if "class_name" not in entry:
        if isinstance(entry.get("registered_name"), str) or isinstance(entry.get("module"), str):
            raise _refuse("an object without a class", entry.get("registered_name"), entry)
        return
    name, module = entry["class_name"], entry.get("module")
    if not isinstance(name, str):
        raise _refuse("a class", name, entry)
    if name == "function":
        _check_function(entry)
    elif name in _CALLED:
        _check_tensorflow_function(entry)
    elif not (_is_own(entry) or name in keras_names.CLASSES):
        raise _refuse("a class", name, entry)
    if module is not None and not _is_known_module(module):
        raise _refuse("the module", module, entry)
    _check_registered_name(entry)


def _is_known_module(module: Any) -> bool:  # noqa: ANN401  # JSON data
    if not isinstance(module, str):
        return False
    known = any(module == one or module.startswith(f"{one}.") for one in keras_names.PREFIXES)
    return module == "builtins" or (known and module.replace(".", "_").isidentifier())


def _is_own(entry: Mapping[str, Any]) -> bool:
    """Whether it is a layer of tinyq, which Keras finds by its registered name alone."""
    own = str(entry.get("module")).startswith("tinyq.")
    return own and entry.get("registered_name") == f"tinyq>{entry['class_name']}"


def _check_registered_name(entry: Mapping[str, Any]) -> None:
    registered, name = entry.get("registered_name"), entry["class_name"]
    if registered is None or registered == name or _is_own(entry):
        return
    if name == "function" and registered == entry.get("config"):
        return
    if registered in keras_names.CLASSES:
        return
    raise _refuse("the registered name", registered, entry)


def _check_function(entry: Mapping[str, Any]) -> None:
    name = entry.get("config")
    if not isinstance(name, str) or name not in keras_names.ACTIVATIONS:
        raise _refuse("a function", name, entry)


def _check_tensorflow_function(entry: Mapping[str, Any]) -> None:
    config = entry.get("config")
    name = config.get("function") if isinstance(config, dict) else config
    if not isinstance(name, str) or name not in keras_names.TENSORFLOW_FUNCTIONS:
        raise _refuse("TensorFlow's function", name, entry)


def _check_functions(entry: Mapping[str, Any]) -> None:
    """What only code has: a kind of function, a symbol, a signature of a type."""
    for key in ("function_type", "output_shape_type", "cls_symbol", "py_module"):
        if entry.get(key) is not None:
            raise _refuse(f"`{key}`", entry[key], entry)
    kind = entry.get("type_spec")
    if kind is not None and not str(kind).startswith("tf."):
        raise _refuse("the type", kind, entry)


def _check_value(key: str, value: Any) -> None:  # noqa: ANN401  # JSON data
    for ending, names in _NAMED.items():
        if key.endswith(ending) and isinstance(value, str) and value not in names:
            if ending == "activation" and value in keras_names.LAYERS | keras_names.OPERATIONS:
                continue
            raise _refuse(f"as `{key}`", value, {})
    if key.endswith("_attrs") and isinstance(value, list):
        for name in value:
            if name not in keras_names.QUANTIZED_ATTRIBUTES:
                raise _refuse("the attribute", name, {})
    if key in _SIZES:
        numbers = value if isinstance(value, list) else [value]
        whole = [number for number in numbers if isinstance(number, int)]
        if any(abs(number) > _LARGEST for number in whole):
            raise ModelError(f"`{key}` is {value}, more than any model here can have")


def _refuse(what: str, name: Any, entry: Mapping[str, Any]) -> ModelError:  # noqa: ANN401
    config = entry.get("config")
    layer = config.get("name") if isinstance(config, dict) else None
    place = f" (layer {layer!r:.80})" if isinstance(layer, str) and layer != name else ""
    return ModelError(
        f"cannot load the model: it names {what} {name!r:.120}{place}, which is not one of Keras'",
        remedy=_REMEDY_LAMBDA if name == "Lambda" else _REMEDY,
    )


def _metadata_texts(content: bytes) -> Iterator[str]:
    """JSON texts of a keras_metadata.pb: field 5 of each message that is field 1.

    Reference: tf_keras/protobuf/saved_metadata.proto.
    """
    for number, node in _fields(content):
        if number == 1:
            yield from (text.decode("utf-8") for field, text in _fields(node) if field == 5)


def _fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a protocol buffer that have a length, by their numbers.

    Reference: protobuf.dev/programming-guides/encoding.
    """
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(content, place)
        elif kind == 1:
            place += 8
        elif kind == 5:
            place += 4
        elif kind == 2:
            length, place = _varint(content, place)
            if place + length > len(content):
                raise ValueError("a field ends after the message")
            yield key >> 3, content[place : place + length]
            place += length
        else:
            raise ValueError(f"a field of wire type {kind}")


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        byte = content[place + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise ValueError("a number has more than ten bytes")


def count_weights(file: Path | io.BytesIO) -> int:
    """Elements of all arrays of an HDF5 file.

    Raises:
        ModelError: A link leads out of the file, an array is kept elsewhere or holds no numbers, or
            all arrays together are larger than ``limits.WEIGHTS_BYTES``.
    """
    import h5py

    elements, size = 0, 0
    with h5py.File(file, "r") as opened:
        for dataset in _datasets(opened):
            if dataset.external or dataset.is_virtual:
                raise ModelError(f"the array {dataset.name} is kept in another file")
            count = math.prod(dataset.shape or ())
            elements += count
            size += count * dataset.dtype.itemsize
            if size > limits.WEIGHTS_BYTES:
                raise ModelError(
                    f"holds weights of {size:,} bytes, at most {limits.WEIGHTS_BYTES:,} are read"
                )
    return elements


def _datasets(root: Any) -> Iterator[Any]:  # noqa: ANN401  # h5py is loaded late
    """All arrays of an HDF5 file; groups that hold themselves are seen once."""
    import h5py

    waiting, seen = [root], set()
    while waiting:
        group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        if len(seen) > limits.MEMBERS:
            raise ModelError(f"holds more than {limits.MEMBERS:,} groups")
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ModelError(f"the entry {name!r:.80} is a link, perhaps out of the file")
            entry = group[name]
            if isinstance(entry, h5py.Group):
                waiting.append(entry)
            elif isinstance(entry, h5py.Dataset):
                yield entry


@contextmanager
def limit_weights(layer: Any, stored: int, path: Path) -> Iterator[None]:  # noqa: ANN401
    """Refuse weights beyond those that a file holds, before memory is taken for them.

    Args:
        layer: Class of all layers, Keras' or tf_keras', whose ``add_weight`` is watched.
        stored: Elements of all weights in the file.
        path: The file, for the message.

    Raises:
        ModelError: In the block, where a model asks for more.
    """
    original = layer.add_weight
    signature = inspect.signature(original)
    left = [stored + _SPARE_WEIGHTS]

    def add_weight(self: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        shape = signature.bind(self, *arguments, **options).arguments.get("shape")
        left[0] -= math.prod(int(length) for length in tuple(shape or ()))
        if left[0] < 0:
            raise ModelError(
                f"layer {self.name!r:.80} needs more weights than the file holds",
                where=str(path),
                remedy=_DAMAGED,
            )
        return original(self, *arguments, **options)

    layer.add_weight = add_weight
    try:
        yield
    finally:
        layer.add_weight = original
