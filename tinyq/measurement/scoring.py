"""How good answers are: accuracy and confusion of classifiers, errors of all other models."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyq.errors import DataError
from tinyq.graph import Graph, TensorType, reference
from tinyq.graph.interface import label_ports
from tinyq.graph.ops.argmax import Argmax
from tinyq.numerics.formats import Codes
from tinyq.support.datasets import Answers, Dataset

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


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """An output of a graph, and what the data say that it should be.

    Attributes:
        graph: The model.
        name: Its tensor.
        answers: Labels or targets.
        where: Where the data come from, for messages.
    """

    graph: Graph
    name: str
    answers: Answers = Answers()
    where: str | None = None

    @property
    def type(self) -> TensorType:
        """Type of its tensor."""
        return self.graph.tensors[self.name].type

    @property
    def classes(self) -> int:
        """Classes that it tells apart: its values, what argmax chose from, or two by a sign."""
        values = math.prod(self.type.shape)
        if values > 1:
            return values
        last = next((node for node in self.graph.nodes if node.output == self.name), None)
        if last is not None and isinstance(last.op, Argmax):
            return self.graph.tensors[last.inputs[0]].type.shape[-1]
        return 2


def list_outputs(graph: Graph, data: Dataset) -> tuple[Output, ...]:
    """The outputs of a graph in its order, each with what the data say of it.

    Raises:
        DataError: The data have answers for an output that the model does not have.
    """
    labels = label_ports(graph)
    given = data.match_answers({name: labels[name] for name in graph.outputs})
    return tuple(
        Output(graph, name, given.get(name, Answers()), _place(graph, name, data.name))
        for name in graph.outputs
    )


def _place(graph: Graph, name: str, where: str | None) -> str | None:
    if len(graph.outputs) == 1:
        return where
    return f"output {name!r}" if where is None else f"{where}, output {name!r}"


def check_answers(graph: Graph, data: Dataset) -> None:
    """Check labels or targets against the model, before anything runs.

    Raises:
        DataError: A label is no class of the model, or targets have another shape.
    """
    for output in list_outputs(graph, data):
        choose_answers(output)


def choose_answers(output: Output) -> tuple[Labels | None, Targets | None]:
    """What the data hold for an output: labels, else targets, else nothing.

    Raises:
        DataError: A label is no class of the model, or targets have another shape.
    """
    data, classes = output.answers, output.classes
    if data.y is not None and (data.targets is None or int(data.y.max()) < classes):
        _check_labels(data.y, classes, output.where)
        return data.y, None
    if data.targets is None:
        return None, None
    shape = output.type.shape
    if data.targets[0].size != math.prod(shape) or output.type.scale is None:
        raise DataError(
            f"`y` has {data.targets[0].size} real numbers for each input, the model answers "
            f"{_describe_answer(output)}",
            where=output.where,
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


def _describe_answer(output: Output) -> str:
    if output.type.scale is None:
        return "with a class"
    return f"with {math.prod(output.type.shape)}"


def score_answers(output: Output, **answers: Codes) -> Score:
    """Compare answers with what the data hold for an output.

    Args:
        output: Which it is, with labels or targets.
        answers: Its codes by who answered; ``device`` among them.
    """
    labels, targets = choose_answers(output)
    if targets is not None:
        return Score(
            errors={
                name: measure_errors(reference.dequantize(codes, output.type), targets)
                for name, codes in answers.items()
            }
        )
    if labels is None:
        return Score()
    classes = output.classes
    confusion = confuse(predict_classes(output, answers["device"]), labels, classes)
    return Score(
        accuracy={name: score(output, codes, labels) for name, codes in answers.items()},
        confusion=None if classes > _MOST_CLASSES else tuple(map(tuple, confusion.tolist())),
        class_accuracy=tuple(
            float(row[index] / row.sum()) if row.sum() else None
            for index, row in enumerate(confusion)
        ),
    )


def predict_classes(output: Output, codes: Codes) -> Labels:
    """Class of each sample: the largest code, what argmax gave, or the sign of one value."""
    flat = codes.reshape(len(codes), -1)
    if flat.shape[1] > 1:
        return np.asarray(flat.argmax(axis=1), np.int64)
    if output.type.scale is None:
        return flat[:, 0].astype(np.int64)
    return (flat[:, 0] > output.type.zero_point).astype(np.int64)


def score(output: Output, codes: Codes, labels: Labels) -> float:
    """Share of samples whose class is the label's, 0 .. 1."""
    return float((predict_classes(output, codes) == labels).mean())


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
