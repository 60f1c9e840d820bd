from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tinyq.api.arguments import Names, as_board, as_path, is_keras_model, is_path
from tinyq.api.load import load
from tinyq.api.stream import read_option, stream_as_asked
from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph, Node
from tinyq.graph.cutting import Cut, make_cut
from tinyq.graph.passes import simplify
from tinyq.graph.streaming import Streamed, list_savings
from tinyq.hardware.boards import Board, load_boards
from tinyq.importers.survey import Survey, survey_file, survey_keras
from tinyq.kernels.base import Refusal
from tinyq.kernels.registry import list_kernels
from tinyq.models import ROUNDINGS, load_model
from tinyq.project import Foresight, foresee
from tinyq.selection import (
    GENERIC,
    Choice,
    check_objective,
    gather_candidates,
    list_bound,
    prefer_isas,
)
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table

REFUSED, TOO_BIG, SLOW = KINDS = ("refused", "too big", "slow")
_WORTH_NAMING = 0.05  # share of the instructions, flash or RAM, from which a layer is named
_MOST_BOARDS, _MOST_LAYERS = 3, 3


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that stands between a model and a board.

    Attributes:
        kind: ``refused``, ``too big`` or ``slow``.
        layer: Where it is: a layer, an operator of a file, or the model.
        message: What it is.
        remedy: What helps.
    """

    kind: str
    layer: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model takes, estimated without a compiler.

    Attributes:
        macs: Multiply-accumulates of one inference.
        weight_bytes: Packed constants.
        flash_bytes: Tables, code and firmware.
        ram_bytes: Activations, scratch memory, stack and buffers.
        instructions: Of one inference; None where the board's kernels are not estimated.
    """

    macs: int
    weight_bytes: int
    flash_bytes: int
    ram_bytes: int
    instructions: int | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Check(Shown):
    """What a model would meet on its way to a board.

    Attributes:
        name: The model.
        board: Which board; None where no board was given.
        is_float: Whether `tinyq quantize` comes first; its integers are those of 8 bits then.
        obstacles: What is refused, too big or slow, in this order.
        estimate: What it takes; None where something is refused.
        savings: Steps that would save half of the work or more, one for an axis that could be time.
    """

    name: str
    board: Board | None
    is_float: bool
    obstacles: tuple[Obstacle, ...]
    estimate: Estimate | None
    savings: tuple[Streamed, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is refused or too big; what is slow works."""
        return all(obstacle.kind == SLOW for obstacle in self.obstacles)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp(
            "check",
            {
                "model": self.name,
                "board": self.board.name if self.board else None,
                "ok": self.ok,
                "is_float": self.is_float,
                "obstacles": [asdict(obstacle) for obstacle in self.obstacles],
                "estimate": asdict(self.estimate) if self.estimate else None,
                "savings": [
                    {
                        "axis": it.axis,
                        "frames": it.frames,
                        "step": it.step,
                        "macs": it.macs[1],
                        "state_bytes": it.state_bytes,
                    }
                    for it in self.savings
                ],
            },
        )

    def parts(self) -> list[Part]:
        """Sizes, and a table of what is in the way."""
        target = self.board.name if self.board else "no board in particular"
        first = " after `tinyq quantize`" if self.is_float else ""
        parts: list[Part] = []
        if self.estimate is not None:
            parts.append(_describe(self.name, self.estimate, target, first))
        parts += [_describe_saving(it) for it in self.savings]
        if not self.obstacles:
            return [*parts, f"{self.name}: nothing is in the way{first}"]
        rows = [
            (str(number), it.kind, it.layer, it.message, it.remedy)
            for number, it in enumerate(self.obstacles, 1)
        ]
        columns = ("", "kind", "where", "what", "what helps")
        return [*parts, Table(f"{self.name}: {len(rows)} in the way{first}", columns, rows)]


def check(
    model: Any,
    board: str | Board | None = None,
    optimize: str = "balanced",
    rounding: str = "half_up",
    trust: bool = False,
    inputs: Names = None,
    outputs: Names = None,
    stream: str | None = None,
) -> Check:
    """List what would be refused, too big or slow, all of it at once, without building anything.

    Sizes are planned and estimated. Of a float model it is what `tinyq quantize` refuses, and the
    sizes are those of 8 bits.

    Args:
        model: Whatever `tinyq.load` or `tinyq.quantize` takes.
        board: Whose flash, RAM and kernels count; without one nothing is too big or slow.
        optimize: What kernels are chosen for: ``balanced``, ``speed``, ``size`` or ``ram``.
        rounding: As of `tinyq.load`.
        trust: As of `tinyq.load`.
        inputs: As of `tinyq.load`.
        outputs: As of `tinyq.load`.
        stream: As of `tinyq.build`: what the step would meet. Without it, steps that would save
            half of the work or more are named.

    Raises:
        TinyqError: An argument is wrong, or there is no such file.
    """
    if stream is not None:
        read_option(stream)
    chosen = as_board(board) if board else None
    check_objective(optimize)
    name, survey = _survey(model, rounding, trust, make_cut(inputs, outputs))
    place = f"{model}, " if is_path(model) else ""
    refused = tuple(_refused(error, name, place) for error in survey.refusals)
    if survey.graph is None:
        return Check(name, chosen, survey.is_float, refused, None)
    try:
        step = None if stream is None else stream_as_asked(survey.graph, stream)
    except ModelError as error:
        refused = (*refused, _refused(error, name, place))
        return Check(name, chosen, survey.is_float, refused, None)
    graph = step.graph if step else simplify(survey.graph)
    savings = () if step else list_savings(graph)
    isas = prefer_isas(chosen.isa) if chosen else GENERIC
    try:
        candidates = gather_candidates(graph, isas)
    except TinyqError as error:  # formats that no kernel has
        return Check(name, chosen, survey.is_float, (*refused, _refused(error, name, place)), None)
    seen = foresee(graph, candidates, chosen, optimize)
    estimate = _estimate(graph, seen)
    found: list[Obstacle] = list(refused)
    if chosen is not None:
        found += [
            *_list_too_big(graph, seen, chosen, estimate),
            *_list_slow(graph, seen.choice, isas),
        ]
    return Check(name, chosen, survey.is_float, tuple(found), estimate, savings)


def _survey(model: Any, rounding: str, trust: bool, cut: Cut) -> tuple[str, Survey]:
    if is_path(model):
        path = as_path(model)
        if not path.exists() or rounding not in ROUNDINGS:
            load_model(path, rounding, trust)  # raises what `tinyq load` says of both
        return path.stem, survey_file(
            path, rounding, lambda file: load_model(file, rounding, trust, cut), trust, cut
        )
    if is_keras_model(model) and not any(hasattr(layer, "encoding") for layer in model.layers):
        return str(model.name), survey_keras(model)
    graph = load(model, rounding, trust, cut.inputs or None, cut.outputs or None)
    return graph.name, Survey(graph, ())


def _refused(error: TinyqError, name: str, place: str) -> Obstacle:
    where = (error.where or name).removeprefix(place)
    return Obstacle(REFUSED, where, error.message, error.remedy or "")


def _estimate(graph: Graph, seen: Foresight) -> Estimate:
    known = [bound.instructions for bound in seen.choice.bounds.values()]
    return Estimate(
        macs=sum(graph.macs(node) for node in graph.nodes),
        weight_bytes=sum(graph.constant_bytes(node) for node in graph.nodes),
        flash_bytes=seen.flash_bytes,
        ram_bytes=seen.ram_bytes,
        instructions=None if None in known else sum(filter(None, known)),
    )


def _list_too_big(
    graph: Graph, seen: Foresight, board: Board, estimate: Estimate
) -> Iterator[Obstacle]:
    fitting = _name_boards(estimate)
    if board.flash_bytes and estimate.flash_bytes > board.flash_bytes:
        tables = sorted(
            ((bound.table_bytes, name) for name, bound in seen.choice.bounds.items()), reverse=True
        )
        largest = ", ".join(f"{name} {size:,} B" for size, name in tables[:_MOST_LAYERS])
        yield Obstacle(
            TOO_BIG,
            tables[0][1],
            f"about {estimate.flash_bytes:,} bytes of flash, {board.name} has "
            f"{board.flash_bytes:,}; most are of {largest}",
            f"{_shrink_weights(graph, estimate.flash_bytes - board.flash_bytes)}{fitting}",
        )
    if board.ram_bytes and estimate.ram_bytes > board.ram_bytes:
        yield Obstacle(
            TOO_BIG,
            seen.memory.peak_node,
            f"about {estimate.ram_bytes:,} bytes of RAM, {board.name} has {board.ram_bytes:,}; "
            f"{seen.memory.arena_bytes:,} are activations, most at this layer",
            f"a smaller input, or fewer channels up to this layer; optimize for ram{fitting}",
        )


def _shrink_weights(graph: Graph, excess: int) -> str:
    """Whether weights of fewer bits would do."""
    wide = sum(
        tensor.type.packed_bytes
        for node in graph.nodes
        for tensor in graph.constants(node)
        if tensor.type.format.name == "s8"
    )
    for bits in (4, 2):
        saved = wide * (8 - bits) // 8
        if saved >= excess:
            return f"weights of {bits} bits save about {saved:,} bytes"
    return "a smaller network: weights of 2 bits would not be enough"


def _name_boards(estimate: Estimate) -> str:
    """The smallest boards that have room."""
    boards = [
        board
        for board in load_boards().values()
        if board.flash_bytes >= estimate.flash_bytes and board.ram_bytes >= estimate.ram_bytes
    ]
    boards.sort(key=lambda board: (board.ram_bytes, board.flash_bytes, board.name))
    names = [board.name for board in boards[:_MOST_BOARDS]]
    return f"; or a larger board, such as {', '.join(names)}" if names else ""


def _list_slow(graph: Graph, choice: Choice, isas: tuple[str, ...]) -> Iterator[Obstacle]:
    """Layers of some weight whose kernel is plain C, where the core has kernels of its own."""
    total = sum(bound.instructions or 0 for bound in choice.bounds.values())
    nodes = {node.name: node for node in graph.nodes}
    for name, bound in choice.bounds.items():
        share = (bound.instructions or 0) / max(total, 1)
        if bound.kernel.isa != GENERIC[0] or isas == GENERIC or share < _WORTH_NAMING:
            continue
        yield Obstacle(
            SLOW,
            name,
            f"{bound.kernel.operation} of {' and '.join(bound.layer.formats)} runs in plain C: "
            f"about {bound.instructions or 0:,} instructions, {share:.0%} of the inference",
            _explain_generic(graph, nodes[name], isas),
        )


def _explain_generic(graph: Graph, node: Node, isas: tuple[str, ...]) -> str:
    """Why no kernel of the core fits, and for which formats there is one."""
    bound = list_bound(graph, node, isas)
    reasons = [it.reason for it in bound if isinstance(it, Refusal)]
    if reasons:
        return f"the core's own kernels do not fit: {'; '.join(dict.fromkeys(reasons))}"
    formats = [
        " and ".join(kernel.formats)
        for kernel in list_kernels()
        if kernel.operation == node.op.kernel and kernel.isa in isas and kernel.isa not in GENERIC
    ]
    if formats:
        return f"the core has kernels of this operation for {', '.join(dict.fromkeys(formats))}"
    return "the core has no kernel of its own for this operation"


def _describe(name: str, estimate: Estimate, target: str, first: str) -> str:
    work = (
        "" if estimate.instructions is None else f", about {estimate.instructions:,} instructions"
    )
    return (
        f"{name} on {target}{first}: {estimate.macs:,} MACs{work}; about "
        f"{estimate.flash_bytes:,} bytes of flash and {estimate.ram_bytes:,} of RAM"
    )


def _describe_saving(saving: Streamed) -> str:
    window, step = saving.macs
    return (
        f"if axis {saving.axis} of the input is time, a step of {saving.step} of {saving.frames} "
        f"frames takes {step:,} MACs in place of {window:,}, keeps {saving.state_bytes:,} bytes: "
        f"`tinyq build --stream time={saving.axis}`"
    )
