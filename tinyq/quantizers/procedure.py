"""What training does besides quantizing the kernel in every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from keras import ops

from tinyq.errors import TinyqError
from tinyq.quantizers.parts.penalties import Penalty
from tinyq.quantizers.parts.updates import Update

Noise = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Procedure:
    """How training differs from quantizing the kernel in every step.

    Attributes:
        draw: Random codes of training from ``w / step`` and uniform noise; inference draws none.
        forward: Kernel that training uses: quantized, the master weights as they are,
            ``(setting * w_q + w) / (setting + 1)``, or a smooth curve that the setting sharpens.
        penalty: Term of the loss, of master weights, quantized weights and step.
        strength: Factor of the penalty.
        update: New master weights after a step.
        schedule: Setting at a share of the training, for the gradient, the forward pass, the
            update, or as the share of frozen weights.
        freezes: Whether the setting is the share of weights, largest first, that are fixed.
        anneals: Whether the gradient takes the setting as its second argument.
        prunes: Whether the setting is the share of weights, smallest first, that become 0.
        multiplies: Whether the setting is the strength of an augmented Lagrangian: the master
            weights train freely, drawn to a target that each epoch projects anew.
        trains_step: Whether the penalty's gradient reaches the learned step.
    """

    draw: Noise | None = None
    forward: Literal["quantized", "master", "mixed", "soft"] = "quantized"
    penalty: Penalty | None = None
    strength: float = 0.0
    update: Update | None = None
    schedule: Callable[[float], float] | None = None
    freezes: bool = False
    anneals: bool = False
    prunes: bool = False
    multiplies: bool = False
    trains_step: bool = False

    @property
    def updates(self) -> bool:
        """Whether something is done to the master weights after a step of the optimizer."""
        return self.update is not None or self.freezes

    def __post_init__(self) -> None:
        """Refuse parts that would have no effect on each other.

        Raises:
            TinyqError: A part needs another one that is missing, or excludes one that is there.
        """
        for fault, remedy in self._faults():
            raise TinyqError(fault, where="Procedure", remedy=remedy)

    @property
    def phases(self) -> tuple[str, ...]:
        """How training goes, for people: what it computes with, and what changes on the way."""
        told = {
            "quantized": "training computes with quantized weights",
            "master": "training computes with the real weights; the device with quantized ones",
            "mixed": "training computes with real and quantized weights, mixed",
            "soft": "training computes with a smooth curve, at the end with quantized weights",
        }
        lines = [told[self.forward]]
        if self.schedule is not None:
            first, middle, last = (self.schedule(progress) for progress in (0.0, 0.5, 1.0))
            lines.append(
                f"{self._setting()}: {first:.4g} at the start, {middle:.4g} in the middle, "
                f"{last:.4g} at the end"
            )
        if self.penalty is not None or self.strength:
            lines.append(f"a penalty of strength {self.strength:g} in the loss")
        if self.update is not None:
            lines.append("weights are moved after each step of the optimizer")
        return tuple(lines)

    def _setting(self) -> str:
        """What the schedule sets, for people."""
        meanings = {
            "freezes": "share of frozen weights",
            "anneals": "sharpness of the slope",
            "prunes": "share of zeros",
            "multiplies": "strength of the constraint",
        }
        found = [meaning for name, meaning in meanings.items() if getattr(self, name)]
        if self.forward == "mixed":
            found.append("weight of the quantized part")
        if self.forward == "soft":
            found.append("setting of the curve")
        return found[0] if found else "strength of the move"

    def _faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong, and what helps."""
        scheduled = ("freezes", "anneals", "prunes", "multiplies")
        used = [name for name in scheduled if getattr(self, name)]
        if self.forward in ("mixed", "soft"):
            used.append(f"forward={self.forward!r}")
        if used and self.schedule is None:
            yield f"{used[0]} needs a schedule for its setting", "give schedule="
        if self.schedule is not None and not used and self.update is None:
            yield "nothing takes the schedule's setting", "leave schedule out"
        if len(used) > 1:
            yield f"{' and '.join(used)} would share one setting", "choose one of them"
        if self.draw is not None and self.forward == "master":
            yield "random codes are drawn, and training uses the master weights", "leave draw out"
        if self.trains_step and self.penalty is None:
            yield "no penalty trains the step", "give penalty= or leave trains_step out"


class Finishing:
    """What a weight quantizer knows of the course of its procedure."""

    parts: Any
    setting: Any
    frozen: Any
    aimed: Any

    @property
    def has_procedure(self) -> bool:
        """Whether ``advance`` changes anything."""
        return self.parts.procedure.schedule is not None

    def finished(self) -> bool:
        """Whether training has come to the end of the procedure, or there is none."""
        procedure: Procedure = self.parts.procedure
        if procedure.schedule is None:
            return True
        ends = [is_at_end(self.setting, procedure.schedule)]
        if procedure.freezes:
            ends.append(bool((ops.convert_to_numpy(self.frozen) > 0).all()))
        if procedure.multiplies:
            ends.append(bool(ops.convert_to_numpy(self.aimed) > 0))
        return all(ends)


def is_at_end(setting: Any, schedule: Callable[[float], float]) -> bool:
    """Whether a variable has the last value of a schedule, in float32."""
    return bool(ops.convert_to_numpy(setting) == np.float32(schedule(1.0)))
