from __future__ import annotations

from typing import Any

from tinyq.api.arguments import Names, as_path, is_keras_model, is_path
from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph
from tinyq.graph.cutting import cut_graph, make_cut
from tinyq.models import HALF_UP, load_model


def load(
    model: Any,
    rounding: str = HALF_UP,
    trust: bool = False,
    inputs: Names = None,
    outputs: Names = None,
) -> Graph:
    """The integer graph of a model, as a microcontroller computes it.

    Args:
        model: Path of a .keras, .tflite, .onnx, .h5 or .tqg file or of a SavedModel; a quantized
            Keras model; or a graph, or what `tinyq.stream` gave, whose graph is returned as it is.
        rounding: Of .tflite, .onnx and tfmot models: ``half_up`` rounds once, ``tflite`` as
            TFLite's kernels do; of .onnx models ``onnx``, as onnxruntime's do.
        trust: Whether a SavedModel is loaded although it is a program.
        inputs: Names of the tensors at which the part begins that is loaded; the model's own
            inputs, as far as they are read, when None.
        outputs: Names of the tensors at which it ends; the model's own outputs when None. What lies
            outside of the part is not looked at.

    Raises:
        ModelError: The model is missing, damaged, not quantized, or of an unknown kind.
        TinyqError: There is no such rounding rule, or the model leaves no choice.
    """
    cut = make_cut(inputs, outputs)
    if is_path(model):
        return load_model(as_path(model), rounding, trust, cut)
    if rounding != HALF_UP:
        raise TinyqError(
            "the rounding rule of this model is fixed",
            where="rounding",
            remedy="leave rounding out: it is a choice for .tflite and .onnx files",
        )
    if isinstance(model, Graph):
        return cut_graph(model, cut)
    if isinstance(getattr(model, "graph", None), Graph):  # what `tinyq.stream` gave
        return cut_graph(model.graph, cut)
    if is_keras_model(model):
        from tinyq.training.lowering.network import import_keras

        return import_keras(model, cut=cut)
    raise ModelError(
        f"{type(model).__name__} is no model",
        remedy="give a quantized Keras 3 model, a graph, or the path of a file",
    )
