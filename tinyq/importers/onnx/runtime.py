"""Runs an .onnx file with onnxruntime's CPU kernels and hands out every layer's codes."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError, ToolMissing
from tinyq.importers.onnx.convert import Imported
from tinyq.importers.onnx.reader import require_onnx
from tinyq.importers.onnx.values import Coded
from tinyq.numerics.formats import Codes

Array = npt.NDArray[Any]
_TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
_MODEL_BYTES = 1 << 28


def list_layers(imported: Imported) -> tuple[str, ...]:
    """Tensors of the graph that onnxruntime can give, in execution order, the outputs last."""
    outputs = [end.name for end in imported.ends.values()]
    inner = [node.output for node in imported.graph.nodes if node.output in imported.tensors]
    return (*(name for name in inner if name not in outputs), *outputs)


def run_layers(
    path: Path, imported: Imported, inputs: Mapping[str, Codes], *, inner: bool = True
) -> Mapping[str, Codes]:
    """Codes of every layer for each sample, by onnxruntime on one thread.

    The file runs as it is for its outputs, and once more with its inner codes as outputs, which
    may keep onnxruntime from joining some operators.

    Args:
        path: The file.
        imported: What ``import_with_places`` made of it.
        inputs: Codes by the names of the graph's inputs, shape (samples, ...).
        inner: Whether layers before the outputs are asked for.

    Returns:
        Codes by the names of the graph's tensors, in execution order.

    Raises:
        ToolMissing: onnxruntime is not installed.
        ModelError: onnxruntime refuses the file.
    """
    ends = {name: end for name, end in imported.ends.items()}
    found: dict[str, Codes] = {}
    layers = {
        name: coded
        for name, coded in imported.tensors.values()
        if coded.name not in {end.name for end in ends.values()}
        and coded.name not in imported.graph.inputs
    }
    if inner and layers:
        changed = _opened(_with_outputs(path, [*layers]), path)
        found |= _run(changed, imported, inputs, layers, path)
    whole = _opened(str(path), path)
    known = {output.name for output in whole.get_outputs()}
    if known.issuperset(ends):
        found |= _run(whole, imported, inputs, ends, path)
    else:  # a tail was left out: what it reads is asked for
        changed = _opened(_with_outputs(path, [*ends]), path)
        found |= _run(changed, imported, inputs, ends, path)
    return found


def _opened(model: str | bytes, path: Path) -> Any:
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        raise ToolMissing(
            "onnxruntime is not installed",
            where=str(path),
            remedy="run `pip install 'tinyq[onnx]'`",
        ) from None
    try:
        return _open_exactly(runtime, model, path)
    except Exception as error:  # onnxruntime has exceptions of its own
        raise _refused(error, path) from None


def _open_exactly(runtime: Any, model: str | bytes, path: Path) -> Any:
    """A session whose sums are those of the operators, where onnxruntime has one.

    Without VNNI, its products on x64 add pairs in 16 bits, which saturate from weights of 8 bits
    on. Its precise mode does not, but lacks kernels for signed activations.
    """
    try:
        return _open(runtime, model, precise="1")
    except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
        session = _open(runtime, model, precise="0")
    warnings.warn(
        f"{path}: on this processor onnxruntime's sums of the file may saturate where weights "
        "leave -64 .. 64; codes that differ may be its own",
        stacklevel=5,
    )
    return session


def _open(runtime: Any, model: str | bytes, precise: str) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", precise)
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _refused(error: Exception, path: Path) -> ModelError:
    reason = " ".join(str(error).split())[:300]
    return ModelError(
        f"onnxruntime does not run the file: {reason}",
        where=str(path),
        remedy="compare with the reference in its place, PATH@reference",
    )


def _with_outputs(path: Path, names: list[str]) -> bytes:
    """The file with further outputs, in memory."""
    onnx = require_onnx(path)
    model = onnx.load(str(path))
    kept = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in kept)
    return bytes(model.SerializeToString())


def _run(
    session: Any,
    imported: Imported,
    inputs: Mapping[str, Codes],
    wanted: Mapping[str, Coded],
    path: Path,
) -> dict[str, Codes]:
    """Codes of tensors of the file, laid out as in the graph."""
    sources = {source.name: source for source in session.get_inputs()}
    count = len(next(iter(inputs.values())))
    parts: dict[str, list[Codes]] = {coded.name: [] for coded in wanted.values()}
    for index in range(count):
        feed = {
            name: _as_input(inputs[coded.name][index], coded, sources[name].type)
            for name, coded in imported.inputs.items()
        }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = session.run([*wanted], feed)
        except Exception as error:
            raise _refused(error, path) from None
        for coded, result in zip(wanted.values(), results, strict=True):
            shape = imported.graph.tensors[coded.name].type.shape
            parts[coded.name].append(_as_codes(np.asarray(result), coded).reshape(shape))
    return {name: np.stack(codes) for name, codes in parts.items()}


def _as_input(codes: Codes, coded: Coded, kind: str) -> Array:
    """What the file takes for codes of the graph."""
    found = codes.reshape(-1)[coded.view.indices()]
    means = coded.meaning
    if kind == "tensor(float)":
        return (found - means.zero_point).astype(np.float32) * np.float32(means.scale)
    return (found + means.shift).astype(_TYPES.get(kind, np.int16))


def _as_codes(result: Array, coded: Coded) -> Codes:
    """Codes of the graph's tensor from a result of the file."""
    means = coded.meaning
    if result.dtype.kind == "f":
        steps = np.rint(result / np.float32(means.scale)).astype(np.int64) + means.zero_point
    else:
        steps = result.astype(np.int64) - means.shift
    flat = np.zeros(result.size, np.int32)
    flat[coded.view.indices().reshape(-1)] = steps.reshape(-1)
    return flat
