"""Phases of a training: what a recipe says besides methods, for `tinyq train`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Kind = Literal["kl", "l2", "attention"]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
FLOAT_TEACHER = "float"


class LossTerm(BaseModel):
    """What a teacher adds to the loss.

    Attributes:
        kind: ``kl`` holds the outputs to the teacher's as distributions, ``l2`` values of layers by
            their squared distance, ``attention`` where layers have large values.
        weight: Factor of the term.
        temperature: Of both distributions, with ``kl``.
        taps: Layers that are held to the teacher's, by name; a mapping says which of the teacher
            where the names differ, and ``*`` in a name stands for all layers with weights that
            match. The output where none is named.
        mutual: Whether the term moves the teacher too, where that trains along.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "kl"
    weight: Positive = 1.0
    temperature: Positive = 4.0
    taps: Annotated[dict[str, str], BeforeValidator(lambda value: _as_mapping(value))] = Field(
        default_factory=dict
    )
    mutual: bool = False

    @model_validator(mode="after")
    def _fits(self) -> LossTerm:
        if self.kind == "kl" and self.taps:
            raise ValueError("a term of kind kl is for the output: leave taps out, or choose l2")
        if self.kind == "attention" and not self.taps:
            raise ValueError("a term of kind attention needs taps: name layers with images")
        return self


class Phase(BaseModel):
    """A part of a training.

    Attributes:
        epochs: Passes over the data.
        rate: Learning rate of Adam at the start; it falls to 0 along a cosine.
        recipe: Keys of the recipe that are others in this phase. The weights go on from those of
            the phase before.
        trains: Patterns of layers that train; all where it is left out.
        labels: Factor of the loss by labels.
        teacher: ``float`` for the float model itself, or the path of another one; the terms of
            ``losses`` are held against it.
        teacher_trains: Whether a copy of the teacher trains along, by the labels.
        losses: What a teacher adds to the loss; ``kl`` where only the teacher is said.
        damping: Strength of a term that holds weights near the codes that they have, so that they
            oscillate less (Nagel et al. 2022, arXiv:2203.11086).
        freezing: Share of steps in which a weight may go back and forth between two codes; a weight
            that does more often stays at the code that it has most. None freezes nothing.
        settle: Whether BatchNorm's averages are estimated anew after each epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=1)] = 1
    rate: Positive = 1e-3
    recipe: dict[str, Any] = Field(default_factory=dict)
    trains: tuple[str, ...] = ()
    labels: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0
    teacher: str | None = None
    teacher_trains: bool = False
    losses: tuple[LossTerm, ...] = ()
    damping: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    freezing: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    settle: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Phase:
        if self.losses and self.teacher is None:
            raise ValueError("losses need a teacher: write `teacher: float`, or a model's path")
        if self.teacher_trains and (self.teacher is None or self.labels == 0.0):
            raise ValueError("a teacher that trains along needs labels: give teacher and labels")
        if self.labels == 0.0 and self.teacher is None:
            raise ValueError("nothing is left of the loss: give labels or a teacher")
        if "phases" in self.recipe:
            raise ValueError("the recipe of a phase has no phases")
        return self

    @property
    def terms(self) -> tuple[LossTerm, ...]:
        """The terms by a teacher; the default one where only a teacher is named."""
        return self.losses or ((LossTerm(),) if self.teacher is not None else ())


def _as_mapping(value: Any) -> Any:
    """Names of layers as a mapping to an empty name, which stands for the teacher's own."""
    if isinstance(value, str):
        return {value: ""}
    return dict.fromkeys(value, "") if isinstance(value, list | tuple) else value
