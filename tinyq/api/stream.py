from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyq.api.arguments import Names
from tinyq.api.load import load
from tinyq.errors import TinyqError
from tinyq.graph import Graph
from tinyq.graph.streaming import Streamed
from tinyq.graph.streaming import stream as make_step
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table

_OPTION = "--stream"
_FORM = "write time=AXIS, with ,step=N or ,carry=1 behind it: --stream time=0,step=1"
_NAMES = ("time", "step", "carry")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Streaming(Shown):
    """A network over a window of frames as a step, and what that saves.

    Attributes:
        streamed: Both networks, and how they belong together.
    """

    streamed: Streamed

    @property
    def graph(self) -> Graph:
        """The step, which `tinyq.build` and the others take."""
        return self.streamed.graph

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a step."""
        return self.streamed.macs[1]

    @property
    def state_bytes(self) -> int:
        """Bytes that are kept from one step to the next."""
        return self.streamed.state_bytes

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        it = self.streamed
        return stamp(
            "streaming",
            {
                "model": it.graph.name,
                "axis": it.axis,
                "frames": it.frames,
                "step": it.step,
                "macs_window": it.macs[0],
                "macs_step": it.macs[1],
                "state_bytes": it.state_bytes,
                "padded": list(it.padded),
                "layers": [
                    {"layer": name, "macs_window": window, "macs_step": step}
                    for name, window, step in it.list_layers()
                ],
            },
        )

    def parts(self) -> list[Part]:
        """What it saves, layer by layer, and what its answers equal."""
        rows = [
            (name, f"{window:,}", f"{step:,}") for name, window, step in self.streamed.list_layers()
        ]
        columns = ("layer", "MACs of a window", "MACs of a step")
        return [*describe(self.streamed), Table("layers", columns, rows, right=columns[1:])]


def describe(streamed: Streamed) -> list[str]:
    """What a step saves, and what its answers equal, in two sentences."""
    window, step = streamed.macs
    saves = (
        f"{streamed.graph.name} as a step of {streamed.step} of {streamed.frames} frames: "
        f"{step:,} MACs in place of {window:,}, {streamed.state_bytes:,} bytes of state"
    )
    if streamed.padded:
        equals = (
            "each answer is that of all frames since the reset, where a window would begin anew: "
            f"{', '.join(streamed.padded)}"
        )
    else:
        equals = (
            f"each answer is that of the last {streamed.frames} frames; before so many have come, "
            "those before the reset count as zeros of each layer"
        )
    return [saves, equals]


def stream(
    model: Any,
    time: int = 0,
    step: int | None = None,
    rounding: str = "half_up",
    trust: bool = False,
    inputs: Names = None,
    outputs: Names = None,
    carry: bool = False,
) -> Streaming:
    """Turn a network over a window of frames into a step, which takes the newest frames alone.

    Every answer is that of the network over the last window, code by code: each tensor keeps the
    columns that later frames still need, and each layer computes its new columns alone.

    Args:
        model: Whatever `tinyq.load` takes.
        time: Axis of the inputs' shapes, without batch, that is time.
        step: Frames of a step; the fewest with which every layer moves on by whole columns when
            None.
        rounding: As of `tinyq.load`.
        trust: As of `tinyq.load`.
        inputs: As of `tinyq.load`.
        outputs: As of `tinyq.load`.
        carry: Whether recurrent layers go on from step to step: an answer is that of all frames
            since the reset. Without it they begin anew in each window.

    Raises:
        ModelError: A layer looks into the future, or there is no such axis or step.
    """
    return Streaming(make_step(load(model, rounding, trust, inputs, outputs), time, step, carry))


def stream_as_asked(graph: Graph, option: str) -> Streamed:
    """The step that the option ``time=AXIS[,step=N][,carry=1]`` asks for.

    Raises:
        TinyqError: The option says something else, or the graph cannot be a step.
    """
    return make_step(graph, *read_option(option))


def read_option(option: str) -> tuple[int, int | None, bool]:
    """Axis, frames and carry of ``time=AXIS[,step=N][,carry=1]``.

    Raises:
        TinyqError: It says something else.
    """
    found: dict[str, int] = {}
    for part in option.split(","):
        name, _, value = part.partition("=")
        if name.strip() not in _NAMES or name.strip() in found:
            raise TinyqError(f"cannot read {option!r}", where=_OPTION, remedy=_FORM)
        if not (value.strip().isascii() and value.strip().isdigit()):
            raise TinyqError(f"{value!r} is no number", where=_OPTION, remedy=_FORM)
        found[name.strip()] = int(value)
    if "time" not in found:
        raise TinyqError("the axis of time is missing", where=_OPTION, remedy=_FORM)
    if found.get("carry", 0) > 1:
        raise TinyqError(f"carry is {found['carry']}", where=_OPTION, remedy="give carry=0 or 1")
    return found["time"], found.get("step"), bool(found.get("carry", 0))
