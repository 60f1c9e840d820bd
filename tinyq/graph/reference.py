"""The reference interpreter: runs a graph in NumPy. Every C result is held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError, ModelError
from tinyq.graph import Graph, Node, TensorType
from tinyq.numerics.formats import Codes

Observer = Callable[[str, Codes], None]


def quantize_input(values: npt.ArrayLike, target: TensorType) -> Codes:
    """Real inputs to codes of the graph's input.

        code = clip(floor(x / scale + 1/2) + zero_point, lo, hi)

    The division is in float32, the precision that Keras sees; binary is the sign, sign(0) = +1.

    Args:
        values: Real numbers, shape (batch, *target.shape).
        target: Type of the graph's input.

    Raises:
        DataError: The shape differs or a value is not finite.

    Twin: tinyq.training.layers.input.QuantizedInput, equal code for code.
    """
    array = np.asarray(values)
    if array.shape[1:] != target.shape:
        raise DataError(
            f"inputs have shape {array.shape[1:]}, the model takes {target.shape}",
            remedy="reshape the data so that one sample has the model's input shape",
        )
    if array.dtype.kind not in "fiub":
        raise DataError(f"inputs have dtype {array.dtype}", remedy="give numbers")
    real = array.astype(np.float32)
    if not np.isfinite(real).all():
        raise DataError("an input is NaN or infinite", remedy="clean the data")
    if target.format.step == 2:
        return np.where(real < 0, -1, 1).astype(np.int32)
    scaled = np.floor(real / np.float32(target.scale or 1.0) + np.float32(0.5))
    codes = scaled + np.float32(target.zero_point)
    return np.asarray(np.clip(codes, target.format.lo, target.format.hi), np.int32)


def dequantize(codes: Codes, source: TensorType) -> npt.NDArray[np.float32]:
    """Real values of codes: scale * (code - zero_point), float32."""
    centered = (codes.astype(np.int64) - source.zero_point).astype(np.float32)
    return centered * np.float32(1.0 if source.scale is None else source.scale)


def run(graph: Graph, inputs: Codes, observe: Observer | None = None) -> Codes:
    """Run a batch through a graph of one input and one output.

    Args:
        graph: A verified graph.
        inputs: Codes of the input's format, shape (batch, *input shape).
        observe: Called with the name and codes of every activation, in order.

    Returns:
        Codes of the output, int32, shape (batch, *output shape).

    Raises:
        DataError: The inputs do not fit.
        ModelError: The graph has several inputs or outputs, see `run_named`; or an operation leaves
            its output's format or int32, which is a fault of tinyq.
    """
    return run_named(graph, {graph.input.name: inputs}, observe)[graph.output.name]


def run_named(
    graph: Graph, inputs: Mapping[str, Codes], observe: Observer | None = None
) -> dict[str, Codes]:
    """Run a batch through a graph of any number of inputs and outputs.

    Each sample of a graph with state is the first step after a reset; `run_sequences` runs on.

    Args:
        graph: A verified graph.
        inputs: Codes of each input by its name, shapes (batch, *input shape), one batch for all.
        observe: Called with the name and codes of every activation, in order.

    Returns:
        Codes of each output by its name, in the graph's order, int32, shapes
        (batch, *output shape).

    Raises:
        DataError: An input is missing, is not the graph's, or does not fit.
        ModelError: An operation leaves its output's format or int32, which is a fault of tinyq.
    """
    return step(graph, inputs, reset(graph, check_inputs(graph, inputs)), observe)[0]


def reset(graph: Graph, batch: int) -> dict[str, Codes]:
    """First values of a graph's states by their names, shapes (batch, *state shape)."""
    return {
        it.name: np.broadcast_to(it.first, (batch, *graph.tensors[it.name].type.shape))
        for it in graph.states
    }


def step(
    graph: Graph,
    inputs: Mapping[str, Codes],
    states: Mapping[str, Codes],
    observe: Observer | None = None,
) -> tuple[dict[str, Codes], dict[str, Codes]]:
    """Run one step of a batch of sequences.

    Args:
        graph: A verified graph.
        inputs: Codes of each input by its name, shapes (batch, *input shape), one batch for all.
        states: Codes of each state by its name, shapes (batch, *state shape).
        observe: Called with the name and codes of every activation, in order.

    Returns:
        Codes of each output by its name, in the graph's order, and codes of each state for the next
        step, int32.

    Raises:
        DataError: An input is missing, is not the graph's, or does not fit.
        ModelError: An operation leaves its output's format or int32, which is a fault of tinyq.
    """
    batch = check_inputs(graph, inputs)
    values = {name: np.asarray(inputs[name], np.int32) for name in graph.inputs}
    values.update({it.name: states[it.name] for it in graph.states})
    for name, tensor in graph.tensors.items():
        if tensor.codes is not None:
            values[name] = tensor.codes
    for node in graph.nodes:
        codes = node.op.run(*_operands(graph, node, values, batch))
        output = graph.tensors[node.output].type
        if codes.shape[1:] != output.shape or not output.format.contains(codes):
            raise ModelError(f"result does not fit {output}", where=node.name)
        values[node.output] = codes
        if observe is not None:
            observe(node.output, codes)
    kept = {it.name: values[it.next] for it in graph.states}
    return {name: values[name] for name in graph.outputs}, kept


def run_sequences(
    graph: Graph, inputs: Mapping[str, Codes], observe: Observer | None = None
) -> dict[str, Codes]:
    """Run sequences of steps, each from a reset on; a graph without state sees steps one by one.

    Args:
        graph: A verified graph.
        inputs: Codes of each input by its name, shapes (sequences, steps, *input shape).
        observe: Called with the name and codes of every activation of a step, shape (sequences, …).

    Returns:
        Codes of each output by its name, shapes (sequences, steps, *output shape).

    Raises:
        DataError: An input is missing, is not the graph's, or does not fit.
    """
    count, steps = check_sequences(graph, inputs)
    states = reset(graph, count)
    parts = []
    for index in range(steps):
        now = {name: np.asarray(codes)[:, index] for name, codes in inputs.items()}
        outputs, states = step(graph, now, states, observe)
        parts.append(outputs)
    return {name: np.stack([part[name] for part in parts], axis=1) for name in graph.outputs}


def check_sequences(graph: Graph, inputs: Mapping[str, Codes]) -> tuple[int, int]:
    """Check codes against the inputs of a graph; returns how many sequences and steps there are.

    Raises:
        DataError: An input is missing, is not the graph's, or does not fit.
    """
    shapes = {name: np.shape(codes)[:2] for name, codes in inputs.items()}
    for name, shape in shapes.items():
        if len(shape) < 2 or 0 in shape or shape != next(iter(shapes.values())):
            raise DataError(
                f"{name!r} has shape {np.shape(inputs[name])}, which is no sequences of steps",
                where=graph.name,
                remedy="give arrays of shape (sequences, steps, *input shape), as many of each",
            )
    count, steps = next(iter(shapes.values()), (0, 0))
    check_inputs(
        graph,
        {
            name: np.reshape(codes, (count * steps, *np.shape(codes)[2:]))
            for name, codes in inputs.items()
        },
    )
    return count, steps


def check_inputs(graph: Graph, inputs: Mapping[str, Codes]) -> int:
    """Check codes against the inputs of a graph; returns the size of the batch.

    Raises:
        DataError: An input is missing, is not the graph's, or does not fit.
    """
    names = ", ".join(graph.inputs)
    missing = [name for name in graph.inputs if name not in inputs]
    unknown = [name for name in inputs if name not in graph.inputs]
    if missing or unknown:
        what = f"input {missing[0]!r} is missing" if missing else f"no input {unknown[0]!r}"
        raise DataError(what, where=graph.name, remedy=f"give {names}")
    counts = {name: len(inputs[name]) for name in graph.inputs}
    for name in graph.inputs:
        expected = graph.tensors[name].type
        codes = np.asarray(inputs[name])
        if codes.shape[1:] != expected.shape or not expected.format.contains(codes):
            where = "" if len(graph.inputs) == 1 else f" of {name}"
            raise DataError(f"input codes{where} do not fit {expected}")
    batch = counts[graph.inputs[0]]
    for name, count in counts.items():
        if count != batch:
            raise DataError(
                f"{batch} samples of {graph.inputs[0]!r}, but {count} of {name!r}",
                where=graph.name,
                remedy="give as many samples of each input",
            )
    return batch


def _operands(graph: Graph, node: Node, values: Mapping[str, Codes], batch: int) -> Iterator[Codes]:
    """Values of a node's inputs; a constant in the place of data is the same in every sample."""
    for position, name in enumerate(node.inputs):
        codes = values[name]
        if graph.tensors[name].is_constant and position in node.op.batched:
            codes = np.broadcast_to(codes, (batch, *codes.shape))
        yield codes


def run_batched(
    graph: Graph, inputs: Codes, batch: int = 64, observe: Observer | None = None
) -> Codes:
    """``run`` in slices of ``batch`` samples, to bound the memory."""
    parts = [
        run(graph, inputs[start : start + batch], observe) for start in range(0, len(inputs), batch)
    ]
    return np.concatenate(parts)


def run_named_batched(
    graph: Graph, inputs: Mapping[str, Codes], batch: int = 64, observe: Observer | None = None
) -> dict[str, Codes]:
    """``run_named`` in slices of ``batch`` samples, to bound the memory."""
    count = check_inputs(graph, inputs)
    parts = [
        run_named(
            graph, {key: codes[start : start + batch] for key, codes in inputs.items()}, observe
        )
        for start in range(0, count, batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}
