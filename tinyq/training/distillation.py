"""Distillation: terms of the loss that hold a model to a teacher, at its output or inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from tinyq.errors import RecipeError
from tinyq.training.phases import LossTerm

_LEAST = 1e-7  # of a probability
_SIGNS_APART = 2
Distance = Callable[[Any, Any, LossTerm], Any]


def divergence(student: Any, teacher: Any, term: LossTerm) -> Any:
    """Kullback-Leibler divergence of softened outputs, in logits.

        T**2 * mean over samples of sum p log(p / q),  p = softmax(teacher / T), q of the student

    Reference: Hinton et al. 2015, arXiv:1503.02531.
    """
    heat = 1.0 / term.temperature
    own = ops.log_softmax(student * heat, axis=-1)
    other = ops.log_softmax(teacher * heat, axis=-1)
    return term.temperature**2 * ops.mean(ops.sum(ops.exp(other) * (other - own), axis=-1))


def squared_distance(student: Any, teacher: Any, term: LossTerm) -> Any:
    """Squared distance of values in parts of the teacher's mean square.

        mean (s - t)**2 / mean t**2

    Reference: Romero et al. 2015, arXiv:1412.6550.
    """
    del term
    size = ops.maximum(ops.mean(ops.square(teacher)), 1e-12)
    return ops.mean(ops.square(student - teacher)) / size


def attention_distance(student: Any, teacher: Any, term: LossTerm) -> Any:
    """Distance of the maps of where values are large; channels need not be as many.

        mean over samples of |a_s / |a_s| - a_t / |a_t||**2,  a = sum over channels of x**2

    Reference: Zagoruyko and Komodakis 2017, arXiv:1612.03928.
    """
    del term
    return ops.mean(ops.sum(ops.square(_map(student) - _map(teacher)), axis=-1))


def _map(values: Any) -> Any:
    summed = ops.sum(ops.square(values), axis=-1)
    flat = ops.reshape(summed, (ops.shape(summed)[0], -1))
    length = ops.sqrt(ops.sum(ops.square(flat), axis=-1, keepdims=True) + 1e-12)
    return flat / length


DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {"kl": divergence, "l2": squared_distance, "attention": attention_distance}
)


class Guided(keras.Model):
    """A model in training, with what a teacher adds to the loss.

    Args:
        student: The model that is trained.
        teacher: A float model of the same inputs.
        terms: Terms of the loss.
        ends: Layer of the teacher that stands for a layer of the student, where a term names none.
        learns: Whether the teacher trains, too, by the same labels.

    Raises:
        RecipeError: A tap names no layer, or shapes differ.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None = None,
        terms: Sequence[LossTerm] = (),
        ends: Mapping[str, str] | None = None,
        learns: bool = False,
    ) -> None:
        super().__init__(name=student.name, dtype="float32")
        self.student = student
        self.learns = learns
        self.terms = tuple(terms)
        self.teacher = teacher
        if teacher is not None:
            pairs = [_find_taps(student, teacher, term, ends or {}) for term in self.terms]
            self.inner = keras.Model(
                student.inputs, [student.outputs[0], *(own for part in pairs for own, _ in part)]
            )
            others = [other for part in pairs for _, other in part]
            self.outer = keras.Model(teacher.inputs, [teacher.outputs[0], *others])
            self.counts = tuple(len(part) for part in pairs)
        self.built = True

    @property
    def trainable_weights(self) -> list[Any]:
        """Those of the student, and of a teacher that learns."""
        own = list(self.student.trainable_weights)
        return own + (list(self.outer.trainable_weights) if self.learns else [])

    trainable_variables = trainable_weights

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Outputs of the student; in training the terms become losses."""
        if self.teacher is None or not training:
            return self.student(inputs, training=training)
        output, *own = self.inner(inputs, training=True)
        self._taught, *others = self.outer(inputs, training=self.learns)
        place = 0
        for term, count in zip(self.terms, self.counts, strict=True):
            for student, teacher in zip(
                own[place : place + count], others[place : place + count], strict=True
            ):
                teacher = ops.cast(teacher, "float32")
                if not (term.mutual and self.learns):
                    teacher = ops.stop_gradient(teacher)
                value = DISTANCES[term.kind](student, teacher, term)
                self.add_loss(term.weight / count * value)
            place += count
        return output

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Loss by the labels, that of a teacher that learns, and the terms."""
        own = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not (training and self.learns):
            return own
        return own + self.loss(y, ops.cast(self._taught, "float32"))


def _find_taps(
    student: keras.Model, teacher: keras.Model, term: LossTerm, ends: Mapping[str, str]
) -> list[tuple[Any, Any]]:
    """Tensors of student and teacher that a term holds together."""
    if not term.taps:
        found = [(student.outputs[0], teacher.outputs[0])]
    else:
        found = [
            (_tap(student, name), _tap(teacher, other or ends.get(name, name)))
            for own, other in term.taps.items()
            for name in _match(student, own)
        ]
    for own, other in found:
        if term.kind != "attention" and tuple(own.shape) != tuple(other.shape):
            raise RecipeError(
                f"values of shape {tuple(own.shape[1:])} cannot be held to a teacher's of shape "
                f"{tuple(other.shape[1:])}",
                where="losses",
                remedy="name layers of equal shapes in taps, or choose `kind: attention`",
            )
    return found


def _match(model: keras.Model, pattern: str) -> list[str]:
    """A layer's name, or all layers with kernels whose names match a pattern.

    Layers that hand on signs are left out: those have no distance from real values.
    """
    if "*" not in pattern:
        return [pattern]
    weighted = [
        layer.name
        for layer in model.layers
        if getattr(layer, "kernel", None) is not None and not _hands_on_signs(layer)
    ]
    found = [name for name in weighted if fnmatchcase(name, pattern)]
    if not found:
        raise RecipeError(
            f"pattern {pattern!r} matches no layer with weights",
            where="losses.taps",
            remedy=f"name one of {', '.join(weighted[:12])}",
        )
    return found


def _hands_on_signs(layer: Any) -> bool:
    quantizer = getattr(layer, "output_quantizer", None)
    return quantizer is not None and quantizer.format.step == _SIGNS_APART


def _tap(model: keras.Model, name: str) -> Any:
    try:
        return model.get_layer(name).output
    except ValueError:
        raise RecipeError(
            f"there is no layer {name!r} in {model.name}",
            where="losses.taps",
            remedy="name one of "
            + ", ".join([layer.name for layer in model.layers if layer.name][:12]),
        ) from None
