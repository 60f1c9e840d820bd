"""A float .tflite file as a Keras model, whose layers compute what the file's operators compute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras

from tinyq.errors import ModelError, TinyqError
from tinyq.importers.tflite.constants import fold_constants
from tinyq.importers.tflite.dilations import fold_dilations
from tinyq.importers.tflite.layer import graph_shape
from tinyq.importers.tflite.reader import FileModel, FileTensor, read_model
from tinyq.importers.tflite.rebuilding.layer import Layer, find_rebuilders
from tinyq.importers.tflite.rebuilding.weights import unpack_constants
from tinyq.support.limits import describe

_CODES = ("INT8", "UINT8", "INT16")
_INPUTS = {"FLOAT32": "float32", "INT32": "int32", "INT64": "int64"}


def rebuild_keras(path: Path) -> keras.Model:
    """The Keras model of a float .tflite file, or of one with int8 weights and float activations.

    Args:
        path: The file.

    Returns:
        A functional model with the weights of the file, in float32; weights of fewer bits are
        multiplied out. Inputs and outputs have the order and the names of the file.

    Raises:
        ModelError: The file is damaged, its activations are integers, or it holds an operator that
            has no layer of Keras; the message names the operator and its index.
    """
    path = Path(path)
    model = read_model(path)
    _require_floats(model)
    model, operators = unpack_constants(model, model.operators)
    model, operators = fold_constants(model, operators)
    model, operators = fold_dilations(model, operators)
    rebuilders = find_rebuilders()
    unknown = [operator for operator in operators if operator.name not in rebuilders]
    if unknown:
        names = ", ".join(f"{operator.index} {operator.name}" for operator in unknown[:8])
        rest = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        raise ModelError(
            f"no layer of Keras for the operators: {names}{rest}",
            where=model.path,
            remedy="quantize the Keras model that the file was converted from, or convert the "
            "file again with full-integer quantization and build it as it is",
        )
    inputs = {index: _input(model, model.tensors[index]) for index in model.inputs}
    known: dict[int, Any] = dict(inputs)
    for operator in operators:
        layer = Layer(operator, model, known)
        try:
            rebuilders[operator.name](layer)
        except TinyqError as error:
            place = f"{model.path}, {operator}"
            raise ModelError(error.message, where=place, remedy=error.remedy) from None
        except Exception as error:  # Keras raises whatever a layer of these weights raises
            raise ModelError(
                f"Keras has no such layer: {describe(error)}", where=f"{model.path}, {operator}"
            ) from None
    outputs = [_output(model, known, index) for index in model.outputs]
    single = len(inputs) == len(outputs) == 1
    return keras.Model(
        inputs[model.inputs[0]] if single else list(inputs.values()),
        outputs[0] if single else outputs,
        name=_identifier(path.stem),
    )


def _require_floats(model: FileModel) -> None:
    """Refuse what is quantized already: its integers are the network."""
    codes = [
        model.tensors[index]
        for operator in model.operators
        for index in operator.outputs
        if model.tensors[index].type in _CODES and model.tensors[index].quantization is not None
    ]
    if codes:
        raise ModelError(
            f"the network computes in integers ({codes[0]})",
            where=model.path,
            remedy="build it as it is: `tinyq build MODEL.tflite --board BOARD`",
        )
    if not model.inputs or not model.outputs:
        raise ModelError("the model has no input or no output", where=model.path)


def _input(model: FileModel, tensor: FileTensor) -> Any:
    place = f"{model.path}, input {tensor}"
    if tensor.type not in _INPUTS or tensor.data is not None:
        raise ModelError("is no input of numbers", where=place, remedy="convert it with float32")
    if any(axis > 0 for axis in tensor.open_axes):
        raise ModelError(
            f"has open axes {[axis for axis in tensor.open_axes if axis > 0]}",
            where=place,
            remedy="convert the model with a fixed input shape",
        )
    name = _identifier(tensor.name.split(":")[0].removeprefix("serving_default_"))
    return keras.Input(graph_shape(tensor.shape), dtype=_INPUTS[tensor.type], name=name)


def _output(model: FileModel, known: dict[int, Any], index: int) -> Any:
    if index not in known or index in model.inputs:
        raise ModelError(f"output {model.tensors[index]} is never computed", where=model.path)
    return known[index]


def _identifier(name: str) -> str:
    found = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "model"
    return f"m_{found}" if found[0].isdigit() else found
