"""A whole training: phases one after the other, with checkpoints to go on from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import keras

from tinyq.errors import ModelError, RecipeError, TinyqWarning
from tinyq.support.datasets import Dataset
from tinyq.training.checkpoints import Checkpoints, identify
from tinyq.training.distillation import Guided
from tinyq.training.epochs import Batches, Epoch, Keeper, Kept, Report, Scores, score
from tinyq.training.objectives import Objective, choose_objective
from tinyq.training.oscillations import OscillationFreezing, damped
from tinyq.training.patterns import find_fused_layers
from tinyq.training.phases import FLOAT_TEACHER, Phase
from tinyq.training.quantize import quantize
from tinyq.training.recipe import Recipe, read_recipe
from tinyq.training.rewriting import rewrite
from tinyq.training.scalars import Scalars
from tinyq.training.schedule import MethodSchedule
from tinyq.training.weighted import WeightedLayer

EPOCHS, RATE = 5, 1e-3
_PARTED = 0.1  # share of answers by which training and the integers may differ
_MOST_CHECKED = 1024  # samples of the training data that are compared

Progress = Callable[[int, int], None]
Loader = Callable[[str], keras.Model]


@dataclass(frozen=True, slots=True)
class Course:
    """How a training goes, besides the recipe.

    Attributes:
        epochs: Of a recipe without phases, or with one; 5 when None.
        rate: Learning rate of these; 1e-3 when None.
        batch_size: Samples per step.
        objective: Key of ``objectives.OBJECTIVES``, or ``auto``: what the labels and the model's
            output ask for.
        seed: Of the order of samples, and of whatever is drawn.
    """

    epochs: int | None = None
    rate: float | None = None
    batch_size: int = 32
    objective: str = "auto"
    seed: int = 0

    def list_phases(self, recipe: Recipe) -> tuple[Phase, ...]:
        """The phases of a recipe with the epochs and the rate that are given here.

        Raises:
            RecipeError: The recipe has several phases, which say both themselves.
        """
        given = {"epochs": self.epochs, "rate": self.rate}
        given = {key: value for key, value in given.items() if value is not None}
        if len(recipe.phases) > 1 and given:
            raise RecipeError(
                f"the recipe has {len(recipe.phases)} phases with {' and '.join(given)} each",
                where="phases",
                remedy=f"leave --{next(iter(given))} out, or change the phases",
            )
        first = recipe.phases[0] if recipe.phases else Phase(epochs=EPOCHS, rate=RATE)
        return (first.model_copy(update=given), *recipe.phases[1:])


@dataclass(frozen=True, slots=True)
class Settings:
    """What surrounds a training.

    Attributes:
        state: Folder of the checkpoints; a training that was stopped goes on from there.
        log: Folder of TensorBoard scalars.
        progress: Called with steps done and steps in all.
        load: Loads a teacher that the recipe names.
    """

    state: Path | None = None
    log: Path | None = None
    progress: Progress | None = None
    load: Loader | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A model that was trained.

    Attributes:
        model: Quantized model, with the weights of the best epoch.
        epochs: All epochs, those of an earlier run too.
        best: The epoch whose weights it has.
        resumed: Epochs that an earlier run had done.
    """

    model: keras.Model
    epochs: tuple[Epoch, ...]
    best: Epoch
    resumed: int


@dataclass(slots=True)
class _Run:
    """A training in progress."""

    float_model: keras.Model
    recipe: Recipe
    phases: tuple[Phase, ...]
    data: Dataset
    validation: Dataset | None
    course: Course
    checkpoints: Checkpoints
    settings: Settings
    epochs: list[Epoch] = field(default_factory=list)

    def go(self) -> Outcome:
        """Train from where the checkpoints are."""
        keras.utils.set_random_seed(self.course.seed)
        start, self.epochs = self.checkpoints.read_epochs()
        resumed = len(self.epochs)
        student: keras.Model | None = None
        for place, phase in enumerate(self.phases):
            if place < start and not self._ends_with(place, start):
                continue
            recipe = self._recipe_of(phase)
            before = student
            if student is None or recipe != self._recipe_of(self.phases[place - 1]):
                student = quantize(self.float_model, recipe)
            if before is not None and student is not before:
                carry_weights(before, student)
            self._train(student, place, phase)
        assert student is not None
        best = self.checkpoints.restore_best(student, self.epochs)
        return Outcome(student, tuple(self.epochs), best, resumed)

    def _ends_with(self, place: int, start: int) -> bool:
        """Whether a finished phase is the last one, whose model is the result."""
        return place == len(self.phases) - 1 and start >= len(self.phases)

    def _recipe_of(self, phase: Phase) -> Recipe:
        if not phase.recipe:
            return self.recipe
        said = self.recipe.model_dump(exclude={"phases"}, exclude_unset=True)
        return read_recipe({**said, **phase.recipe})

    def _train(self, student: keras.Model, place: int, phase: Phase) -> None:
        guided = self._guide(student, phase)
        objective = choose_objective(student, self.data, self.course.objective)
        steps = -(-len(self.data) // self.course.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(phase.rate, phase.epochs * steps)
        guided.compile(
            keras.optimizers.Adam(rate),
            loss=objective.weighted(phase.labels),
            metrics=list(objective.metrics),
        )
        with _training(student, phase.trains), damped(student, phase.damping):
            guided.optimizer.build(guided.trainable_variables)
            first = self.checkpoints.restore(guided, place)
            if first >= phase.epochs:
                return
            batches = Batches(
                self.data.x,
                objective.pick(self.data),
                self.course.batch_size,
                (self.course.seed, place, first),
            )
            guided.fit(
                batches,
                epochs=phase.epochs,
                initial_epoch=first,
                shuffle=False,
                verbose=0,
                callbacks=self._callbacks(student, place, phase, objective, steps),
            )

    def _guide(self, student: keras.Model, phase: Phase) -> Guided:
        if phase.teacher is None:
            return Guided(student)
        learns = phase.teacher_trains
        if phase.teacher == FLOAT_TEACHER:
            twin = rewrite(self.float_model).model
            ends = {fused.name: fused.end for fused in find_fused_layers(twin)}
            return Guided(student, twin, phase.terms, ends, learns)
        if self.settings.load is None:
            raise RecipeError(
                "nothing loads the teacher", where="teacher", remedy="write `teacher: float`"
            )
        return Guided(student, self.settings.load(phase.teacher), phase.terms, learns=learns)

    def _callbacks(
        self,
        student: keras.Model,
        place: int,
        phase: Phase,
        objective: Objective,
        steps: int,
    ) -> list[keras.callbacks.Callback]:
        alike = [
            other.epochs if self._recipe_of(other) == self._recipe_of(phase) else 0
            for other in self.phases
        ]
        schedule = MethodSchedule(epochs=sum(alike), before=sum(alike[:place]))
        total = sum(other.epochs for other in self.phases) * steps
        progress = self.settings.progress
        done = len(self.epochs) * steps
        shown = [] if progress is None else [Report(progress, total, done)]
        freezing = [] if phase.freezing is None else [OscillationFreezing(phase.freezing)]

        def judge(logs: Mapping[str, Any]) -> Scores:
            return score(student, self.validation, objective, logs)

        keeper = Keeper(
            Kept(student, place, self.data.x if phase.settle else None, self.course.batch_size),
            judge,
            self.epochs,
            self.checkpoints,
        )
        before = sum(other.epochs for other in self.phases[:place])
        log = self.settings.log
        scalars = [] if log is None else [Scalars(log, before)]
        return [schedule, *freezing, keeper, *scalars, *shown]


def train(
    model: keras.Model,
    recipe: Recipe | Mapping[str, Any] | str | Path,
    data: Dataset,
    validation: Dataset | None = None,
    course: Course | None = None,
    settings: Settings | None = None,
) -> Outcome:
    """Quantize a float model by a recipe, and train it by the recipe's phases.

    After each epoch BatchNorm's averages are settled and the deployed integers are scored, on the
    validation data or by the loss of the training. The result has the weights of the best epoch
    among those in which all methods had come to their end.

    Args:
        model: Float model; it is left as it is.
        recipe: Methods and phases.
        data: Inputs with labels or targets.
        validation: The same that is not trained on.
        course: Epochs, rate, batch, objective, seed.
        settings: Checkpoints, and what watches the training.

    Returns:
        The trained model, and how it went.

    Raises:
        DataError: The data do not fit the model.
        ModelError: A layer is not supported.
        RecipeError: The recipe is wrong.
        TinyqError: The folder holds the state of another training.
    """
    _require_single(model)
    checked, course, settings = read_recipe(recipe), course or Course(), settings or Settings()
    phases = course.list_phases(checked)
    mark = identify(model, checked, phases, course, data)
    checkpoints = Checkpoints(settings.state, mark)
    outcome = _Run(model, checked, phases, data, validation, course, checkpoints, settings).go()
    _warn_of_parting(outcome, data, choose_objective(outcome.model, data, course.objective))
    return outcome


def _require_single(model: keras.Model) -> None:
    """Check that the labels of a data set are those of the model's one output.

    Raises:
        ModelError: The model has several inputs or outputs.
    """
    inputs, outputs = (len(getattr(model, name, None) or ()) for name in ("inputs", "outputs"))
    if max(inputs, outputs) > 1:
        raise ModelError(
            f"the model has {inputs} inputs and {outputs} outputs, and a training has one of each",
            where=model.name,
            remedy="quantize it with tinyq.quantize, and train it with compile and fit",
        )


def carry_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the master weights, biases, BatchNorms and ranges of one quantized model to another.

    What a method alone knows, such as a learned step, is copied where the method is the same.

    Args:
        source: Quantized model.
        target: Model that the same float model became by another recipe.
    """
    own = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        other = own.get(layer.name)
        if other is None or type(other) is not type(layer):
            continue
        for name in ("batch_norm", "output_quantizer", "weight_quantizer"):
            mine, theirs = getattr(layer, name, None), getattr(other, name, None)
            if mine is not None and theirs is not None and _is_alike(mine, theirs):
                mine.set_weights(theirs.get_weights())
        if isinstance(layer, WeightedLayer):
            layer.kernel.assign(other.kernel)
            if layer.use_bias:
                layer.bias.assign(other.bias)


def _is_alike(first: Any, second: Any) -> bool:
    shapes = [[tuple(weight.shape) for weight in one.weights] for one in (first, second)]
    return type(first) is type(second) and shapes[0] == shapes[1]


@contextmanager
def _training(model: keras.Model, patterns: tuple[str, ...]) -> Iterator[None]:
    """Only layers that match train; all where there is no pattern."""
    layers = [layer for layer in model.layers if layer.weights]
    names = [layer.name for layer in layers]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise RecipeError(
                f"pattern {pattern!r} matches no layer",
                where="phases.trains",
                remedy=f"name one of {', '.join(names[:12])}",
            )
    before = [layer.trainable for layer in layers]
    try:
        for layer in layers:
            chosen = any(fnmatchcase(layer.name, pattern) for pattern in patterns)
            layer.trainable = layer.trainable and (chosen or not patterns)
        yield
    finally:
        for layer, flag in zip(layers, before, strict=True):
            layer.trainable = flag


def _warn_of_parting(outcome: Outcome, data: Dataset, objective: Objective) -> None:
    """Say where the device's integers answer otherwise than training did, or than new samples."""
    best = outcome.best
    if best.training_score is None:
        return
    found = score(outcome.model, data.take(_MOST_CHECKED), objective, {}).score
    if found is not None and best.training_score - found > _PARTED:
        warnings.warn(
            f"training saw {best.training_score:.1%} right, and the device's integers have "
            f"{found:.1%} of the same samples: raise the epochs, or lower the rate",
            TinyqWarning,
            stacklevel=3,
        )
    elif found is not None and best.score is not None and found - best.score > _PARTED:
        warnings.warn(
            f"{found:.1%} of the training samples are right, and {best.score:.1%} of those for "
            "validation: the model has learned its samples; give more of them, or fewer epochs",
            TinyqWarning,
            stacklevel=3,
        )
