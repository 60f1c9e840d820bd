"""How good answers are: accuracy and confusion of classifiers, errors of all other models."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError
from tinyq.graph import Graph, reference
from tinyq.graph.ops.argmax import Argmax
from tinyq.numerics.formats import Codes
from tinyq.support.datasets import Dataset

Labels = npt.NDArray[np.int64]
Targets = npt.NDArray[np.float64]

_MOST_CLASSES = 100  # of a confusion matrix


@dataclass(frozen=True, slots=True)
class Errors:
    """How far real outputs are from their targets, over all samples and outputs.

    Attributes:
        mae: Mean absolute error, in the target's unit.
        rmse: Root of the mean squared error, in the target's unit.
        snr_db: Power of the targets over that of the errors; None where one of them is 0.
    """

    mae: float
    rmse: float
    snr_db: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """What the data say about the answers; fields that they say nothing about are None.

    Attributes:
        accuracy: Share of right answers by who answered, 0 .. 1.
        confusion: Samples by label (rows) and the device's answer (columns).
        class_accuracy: Share of right answers of the device by label; None without such a sample.
        errors: Distance from the targets by who answered.
    """

    accuracy: dict[str, float] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    class_accuracy: tuple[float | None, ...] | None = None
    errors: dict[str, Errors] | None = None


def count_classes(graph: Graph) -> int:
    """Classes that a graph tells apart: its outputs, what argmax chose from, or two by a sign."""
    output = graph.output.type
    values = math.prod(output.shape)
    if values > 1:
        return values
    last = next((node for node in graph.nodes if node.output == graph.outputs[0]), None)
    if last is not None and isinstance(last.op, Argmax):
        return graph.tensors[last.inputs[0]].type.shape[-1]
    return 2


def check_answers(graph: Graph, data: Dataset) -> None:
    """Check labels or targets against the model, before anything runs.

    Raises:
        DataError: A label is no class of the model, or targets have another shape.
    """
    choose_answers(graph, data)


def choose_answers(graph: Graph, data: Dataset) -> tuple[Labels | None, Targets | None]:
    """What the data hold for this model: labels, else targets, else nothing.

    Raises:
        DataError: A label is no class of the model, or targets have another shape.
    """
    classes = count_classes(graph)
    if data.y is not None and (data.targets is None or int(data.y.max()) < classes):
        _check_labels(data.y, classes, data.name)
        return data.y, None
    if data.targets is None:
        return None, None
    shape = graph.output.type.shape
    if data.targets[0].size != math.prod(shape) or graph.output.type.scale is None:
        raise DataError(
            f"`y` has {data.targets[0].size} real numbers for each input, the model answers "
            f"{_describe_answer(graph)}",
            where=data.name,
            remedy="give one class index per input, or what the model should answer",
        )
    return None, data.targets.reshape(-1, *shape)


def _check_labels(labels: Labels, classes: int, where: str | None) -> None:
    wrong = labels >= classes
    if wrong.any():
        raise DataError(
            f"label {labels[wrong][0]}, and {int(wrong.sum()):,} of {len(labels):,} in all, is no "
            f"class: the model has {classes}",
            where=where,
            remedy="number the classes from 0, in the order of the model's outputs",
        )


def _describe_answer(graph: Graph) -> str:
    if graph.output.type.scale is None:
        return "with a class"
    return f"with {math.prod(graph.output.type.shape)}"


def score_answers(graph: Graph, data: Dataset, **outputs: Codes) -> Score:
    """Compare answers with what the data hold.

    Args:
        graph: The model.
        data: Labels or targets.
        outputs: Output codes by who answered; ``device`` among them.
    """
    labels, targets = choose_answers(graph, data)
    if targets is not None:
        return Score(
            errors={
                name: measure_errors(reference.dequantize(codes, graph.output.type), targets)
                for name, codes in outputs.items()
            }
        )
    if labels is None:
        return Score()
    classes = count_classes(graph)
    confusion = confuse(predict_classes(graph, outputs["device"]), labels, classes)
    return Score(
        accuracy={name: score(graph, codes, labels) for name, codes in outputs.items()},
        confusion=None if classes > _MOST_CLASSES else tuple(map(tuple, confusion.tolist())),
        class_accuracy=tuple(
            float(row[index] / row.sum()) if row.sum() else None
            for index, row in enumerate(confusion)
        ),
    )


def predict_classes(graph: Graph, outputs: Codes) -> Labels:
    """Class of each output: the largest code, what argmax gave, or the sign of one value."""
    flat = outputs.reshape(len(outputs), -1)
    if flat.shape[1] > 1:
        return np.asarray(flat.argmax(axis=1), np.int64)
    if graph.output.type.scale is None:
        return flat[:, 0].astype(np.int64)
    return (flat[:, 0] > graph.output.type.zero_point).astype(np.int64)


def score(graph: Graph, outputs: Codes, labels: Labels) -> float:
    """Share of samples whose class is the label's, 0 .. 1."""
    return float((predict_classes(graph, outputs) == labels).mean())


def confuse(answers: Labels, labels: Labels, classes: int) -> Labels:
    """Samples by label (rows) and answer (columns), int64, shape (classes, classes)."""
    found = np.zeros((classes, classes), np.int64)
    inside = (answers >= 0) & (answers < classes)  # a wrong device may answer anything
    np.add.at(found, (labels[inside], answers[inside]), 1)
    return found


def measure_errors(answers: npt.ArrayLike, targets: Targets) -> Errors:
    """Errors of real answers.

    mae = mean |a - t|,  rmse = sqrt(mean (a - t)^2),  snr = 10 log10(sum t^2 / sum (a - t)^2)
    """
    difference = np.asarray(answers, np.float64) - targets
    noise, power = float((difference**2).sum()), float((targets**2).sum())
    return Errors(
        mae=float(abs(difference).mean()),
        rmse=math.sqrt(float((difference**2).mean())),
        snr_db=10 * math.log10(power / noise) if noise > 0 and power > 0 else None,
    )
