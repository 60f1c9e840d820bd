"""Variables: handles, reads and assignments (`tinyq.importers.tflite.variables`), and rings."""

from __future__ import annotations

import importlib
import math
import struct

from tinyq.graph import TensorType
from tinyq.graph.ops.append import Append
from tinyq.graph.ops.reshape import Reshape
from tinyq.importers.tflite.layer import CODES, Layer
from tinyq.importers.tflite.registry import imports
from tinyq.importers.tflite.variables import ASSIGN, HANDLE, ONCE, READ, Key, name_variable

_MOST_OPTIONS = 1 << 12  # bytes
_FAULTS = (
    *(ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError),
    *(TypeError, ValueError, struct.error),
)


@imports(ONCE)
def import_start(layer: Layer) -> None:
    """What is called once has been executed before anything is read."""
    del layer


@imports(HANDLE)
def import_handle(layer: Layer) -> None:
    """A handle is no tensor of the graph."""
    layer.require(len(layer.operator.outputs) == 1, "a handle of several variables")
    layer.conversion.variables.handles[layer.result().index] = name_variable(layer.operator)


@imports(READ)
def import_read(layer: Layer) -> None:
    """The value so far: of this inference, or of the one before."""
    variables, key = layer.conversion.variables, _find_variable(layer)
    if key not in variables.values:
        variables.values[key] = _begin(layer, key)
    name = variables.values[key]
    kept, wanted = layer.builder.type(name), layer.conversion.type_of(layer.result())
    layer.require(
        (kept.format, kept.scale, kept.zero_point)
        == (wanted.format, wanted.scale, wanted.zero_point),
        f"reads {layer.result()} from a variable of another scale or type",
    )
    layer.finish(name)


@imports(ASSIGN)
def import_assignment(layer: Layer) -> None:
    """What the variable holds from now on."""
    variables, key = layer.conversion.variables, _find_variable(layer)
    name = layer.activation(1)
    state = variables.states.get(key)
    if state is not None:
        kept, given = layer.builder.type(state), layer.builder.type(name)
        layer.require(
            (kept.format, kept.scale, kept.zero_point)
            == (given.format, given.scale, given.zero_point)
            and layer.source(1).elements == math.prod(kept.shape),
            f"assigns {layer.source(1)} to a variable of another size, scale or type",
        )
        if given.shape != kept.shape:
            name = layer.apply(Reshape(kept.shape), name, suffix="kept")
    variables.values[key] = name


@imports("CUSTOM:CIRCULAR_BUFFER")
def import_ring(layer: Layer) -> None:
    """The last inputs of TFLite Micro's ring, the newest behind; a variable, so first real 0."""
    x, y = layer.type_of(layer.source(), *CODES), layer.type_of(layer.result(), *CODES)
    cycles = _read_number(layer, "cycles_max")
    layer.require(
        cycles == 1,
        f"cycles_max is {cycles}: what follows is computed in some inferences alone",
        "build the part behind it as a model of its own, and run that when it is due",
    )
    shape = layer.result().shape
    layer.require(
        len(shape) == 4 and shape[0] == 1 and layer.source().elements == shape[2] * shape[3],
        f"{layer.source()} is no column of {layer.result()}",
    )
    layer.require((x.scale, x.zero_point) == (y.scale, y.zero_point), "the scales differ")
    kind = TensorType((shape[1], shape[2] * shape[3]), y.format, y.scale, y.zero_point)
    state = layer.builder.add_state(layer.name("state"), kind, y.zero_point)
    column = layer.reshape(layer.activation(), (1, kind.shape[1]), "column")
    ring = layer.apply(Append(0), state, column, suffix="ring")
    layer.builder.keep(state, ring)
    layer.finish(ring)


def _read_number(layer: Layer, key: str) -> int | None:
    """A number of a custom operator's options, which are a map in flexbuffers; None without it."""
    content = layer.operator.custom
    if not content:
        return None
    layer.require(len(content) <= _MOST_OPTIONS, f"options of {len(content)} bytes")
    try:
        flexbuffers = importlib.import_module("flatbuffers.flexbuffers")
        found = flexbuffers.GetRoot(bytearray(content)).AsMap[key].AsInt
    except KeyError:
        return None
    except _FAULTS as error:
        layer.require(False, f"its options are damaged ({type(error).__name__})")
        raise AssertionError from error
    return int(found)


def _find_variable(layer: Layer) -> Key:
    found = layer.conversion.variables.handles.get(layer.source().index)
    layer.require(found is not None, f"{layer.source()} is no handle of a variable")
    return found or ("", "")


def _begin(layer: Layer, key: Key) -> str:
    """The state of a variable, or the constant that one is which nothing assigns."""
    variables, tensor = layer.conversion.variables, layer.result()
    value = variables.first.get(key)
    if value is None:
        layer.require(False, "reads a variable before anything is assigned to it")
        raise AssertionError
    layer.require(
        (value.type, value.elements) == (tensor.type, tensor.elements),
        f"reads {tensor} from a variable that begins as {value}",
    )
    kind = layer.conversion.type_of(tensor)
    codes = layer.values_of(value).reshape(kind.shape)
    name = key[1] or f"variable_{layer.operator.index}"
    while layer.builder.has(name):
        name += "_"
    if key not in variables.assigned:
        return layer.builder.constant(name, codes, kind.format, kind.scale, kind.zero_point)
    variables.states[key] = layer.builder.add_state(name, kind, codes)
    return name
