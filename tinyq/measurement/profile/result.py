"""What a profile consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tinyq.measurement.profile.cores import Core
from tinyq.measurement.profile.costs import Costs
from tinyq.measurement.profile.loops import Loop
from tinyq.support.documents import stamp


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one inference may take on the board, an estimate.

    Attributes:
        board: The board.
        cycles: The core's estimate and the board's constant for each data load from flash.
        clock_hz: Clock for which the constant holds.
        error: Least and largest difference, measured against predicted, that published results
            showed, in percent.
        source: What the constant was fitted to.
    """

    board: str
    cycles: float
    clock_hz: int
    error: tuple[float, float]
    source: str

    @property
    def milliseconds(self) -> float:
        """Time at the clock."""
        return 1e3 * self.cycles / self.clock_hz


@dataclass(frozen=True, slots=True)
class KernelProfile:
    """A C function in one layer, or in all of them.

    Attributes:
        function: Its name.
        costs: What it cost by itself, without what it called.
    """

    function: str
    costs: Costs


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """One call of the generated code.

    Attributes:
        name: Node of the graph.
        operation: Kernel name, such as conv2d.
        formats: Formats and shapes of inputs, weights and output, for people.
        macs: Multiply-accumulates, counted from the shapes.
        costs: All instructions from its mark to the next.
        predicted_cycles: On the board, an estimate; None where no constant is known.
        kernels: C functions, the costliest first.
        loops: Hot loops, the costliest first.
    """

    name: str
    operation: str
    formats: str
    macs: int
    costs: Costs
    predicted_cycles: float | None
    kernels: tuple[KernelProfile, ...]
    loops: tuple[Loop, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """What one inference does on a core.

    Attributes:
        model: Name of the model.
        board: Board that the model was built for.
        emulated: Board whose emulator ran it.
        core: The core whose timings were taken.
        costs: All layers together.
        prediction: What the board may take; None where no constant is known.
        clock_hz: Clock of the board; 0 where it is unknown.
        layers: Per call of the generated code.
        kernels: C functions over all layers, the costliest first.
        graph_digest: SHA-256 of the integer graph.
        firmware_digest: SHA-256 of sources and flags of what ran.
        toolchain: Compiler that built it.
        tinyq_version: Version of this package.
        notes: What a reader should know.
    """

    model: str
    board: str
    emulated: str
    core: Core
    costs: Costs
    prediction: Prediction | None
    clock_hz: int
    layers: tuple[LayerProfile, ...]
    kernels: tuple[KernelProfile, ...]
    graph_digest: str
    firmware_digest: str
    toolchain: str
    tinyq_version: str
    notes: tuple[str, ...]

    @property
    def milliseconds(self) -> float | None:
        """Time of an inference on the board, an estimate; None without cycles or a clock."""
        if self.prediction is not None:
            return self.prediction.milliseconds
        if self.costs.cycles is None or not self.clock_hz:
            return None
        return 1e3 * self.costs.cycles / self.clock_hz

    def to_json(self, measured: Mapping[str, int] | None = None) -> dict[str, Any]:
        """Plain data; counted, estimated and measured figures are objects of their own.

        Args:
            measured: Cycles of each layer by a board's counter, None where nothing was measured.
        """
        plain = asdict(replace(self, core=replace(self.core, cycles=None)))
        core = plain.pop("core")
        plain["core"] = {key: core[key] for key in ("name", "title", "source", "checked")}
        plain["prediction"] = prediction = plain.pop("prediction")
        cycles = sum(measured.values()) if measured is not None else None
        plain |= _split_costs(plain.pop("costs"), prediction and prediction["cycles"], cycles)
        plain["estimated"]["milliseconds"] = self.milliseconds
        for layer in plain["layers"]:
            own = measured.get(layer["name"]) if measured is not None else None
            layer |= _split_costs(layer.pop("costs"), layer.pop("predicted_cycles"), own)
        for kernel in [*plain["kernels"], *(it for at in plain["layers"] for it in at["kernels"])]:
            kernel |= _split_costs(kernel.pop("costs"))
        return stamp("profile", plain)


def _split_costs(
    costs: dict[str, Any], predicted: float | None = None, measured: int | None = None
) -> dict[str, Any]:
    estimated = {"cycles": costs.pop("cycles"), "board_cycles": predicted}
    return {"counted": costs, "estimated": estimated, "measured": {"cycles": measured}}
