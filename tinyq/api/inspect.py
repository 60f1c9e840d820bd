from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tinyq.api.arguments import Names, as_board, as_path, is_keras_model, is_path
from tinyq.api.kernel_tables import list_kernel_parts
from tinyq.api.load import load
from tinyq.graph import Graph
from tinyq.graph.interface import label_ports
from tinyq.graph.passes import simplify
from tinyq.graph.storage import digest
from tinyq.graph.summary import LayerSummary, summarize
from tinyq.hardware.boards import Board
from tinyq.memory.planner import MemoryPlan, plan
from tinyq.memory.states import measure_states
from tinyq.project import LayerKernel, capacities, find_budget, list_kernels
from tinyq.selection import Fusion, check_objective, fuse_layers, gather_candidates, prefer_isas
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table

if TYPE_CHECKING:
    from tinyq.training.advice import Finding


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Inspection(Shown):
    """A model layer by layer.

    Attributes:
        graph: The integer graph after all passes.
        layers: Formats, shapes and sizes.
        memory: Where activations live.
        board: Whose kernels are shown; None without a board.
        optimize: What they are chosen for.
        kernels: All kernels that fit each layer; empty without a board.
        advice: What costs accuracy; empty but for Keras models.
    """

    graph: Graph
    layers: tuple[LayerSummary, ...]
    memory: MemoryPlan
    board: Board | None
    optimize: str
    kernels: tuple[LayerKernel, ...]
    advice: tuple[Finding, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Packed constants."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def arena_bytes(self) -> int:
        """Activations."""
        return self.memory.arena_bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the graph, hexadecimal."""
        return digest(self.graph)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp(
            "inspection",
            {
                "model": self.graph.name,
                "graph_digest": self.digest,
                "input": _list_types(self.graph, self.graph.inputs),
                "output": _list_types(self.graph, self.graph.outputs),
                "inputs": _describe_ports(self.graph, self.graph.inputs),
                "outputs": _describe_ports(self.graph, self.graph.outputs),
                "macs": self.macs,
                "weight_bytes": self.weight_bytes,
                "arena_bytes": self.memory.arena_bytes,
                "arena_proven": self.memory.proven,
                "state_bytes": self.memory.state_bytes,
                "states": _describe_states(self.graph),
                "layers": [asdict(layer) for layer in self.layers],
                "kernels": [asdict(entry) for entry in self.kernels],
                "advice": [asdict(finding) for finding in self.advice],
            },
        )

    def parts(self) -> list[Part]:
        """Layers, sums, kernels, advice."""
        graph, memory = self.graph, self.memory
        proof = "proven optimal" if memory.proven else f"at least {memory.lower_bound:,} are needed"
        parts: list[Part] = [
            Table(
                _describe_graph(graph),
                (
                    "layer",
                    "operation",
                    "formats and shapes",
                    "MACs",
                    "weights B",
                    "zeros",
                    "output B",
                ),
                [_make_row(layer) for layer in self.layers],
                right=("MACs", "weights B", "zeros", "output B"),
            ),
            f"{self.macs:,} MACs, {self.weight_bytes:,} bytes of weights, "
            f"{memory.arena_bytes:,} bytes of activations ({proof}), most at {memory.peak_node}",
            *_list_states(graph, memory),
        ]
        if self.board is not None:
            title = f"kernels for {self.optimize} on {self.board.name}"
            parts += list_kernel_parts(title, self.kernels, clock_hz=self.board.clock_hz)
        return [*parts, *(f"advice: {finding.render()}" for finding in self.advice)]


def _describe_states(graph: Graph) -> list[dict[str, Any]]:
    types = {it.name: str(graph.tensors[it.name].type) for it in graph.states}
    return [
        {"name": it.name, "type": types[it.name], "next": it.next, "fill": it.fill}
        for it in graph.states
    ]


def _list_states(graph: Graph, memory: MemoryPlan) -> list[Part]:
    if not graph.states:
        return []
    copied = dict(memory.copies)
    rows = [
        (
            it.name,
            str(graph.tensors[it.name].type),
            f"{memory.sizes[it.name]:,}",
            it.next,
            f"copied, {memory.sizes[it.name]:,} B" if it.name in copied else "in place",
        )
        for it in graph.states
    ]
    title = f"{memory.state_bytes:,} bytes are kept from one step to the next"
    return [Table(title, ("state", "type", "B", "next value", "written"), rows, right=("B",))]


def inspect(
    model: Any,
    board: str | Board | None = None,
    optimize: str = "balanced",
    rounding: str = "half_up",
    trust: bool = False,
    inputs: Names = None,
    outputs: Names = None,
) -> Inspection:
    """Show a model layer by layer: formats, shapes, MACs, bytes, zero weights; and advice on it.

    Args:
        model: Whatever `tinyq.load` takes.
        board: Show the kernels that this board's core would run, too.
        optimize: What they are chosen for: ``balanced``, ``speed``, ``size`` or ``ram``.
        rounding: As of `tinyq.load`.
        trust: As of `tinyq.load`.
        inputs: As of `tinyq.load`.
        outputs: As of `tinyq.load`.

    Raises:
        TinyqError: An argument is wrong, or the model cannot be used.
    """
    chosen = as_board(board) if board else None
    check_objective(optimize)
    graph = simplify(load(model, rounding, trust, inputs, outputs))
    return Inspection(
        graph=graph,
        layers=tuple(summarize(graph)),
        memory=plan(graph),
        board=chosen,
        optimize=optimize,
        kernels=_choose(graph, chosen, optimize) if chosen else (),
        advice=_advise(model),
    )


def _choose(graph: Graph, board: Board, optimize: str) -> tuple[LayerKernel, ...]:
    """What `tinyq build` would choose, estimated."""
    budget = find_budget(board, capacities(graph, board), measure_states(graph))
    isas = prefer_isas(board.isa)
    candidates = gather_candidates(graph, isas)
    return list_kernels(fuse_layers(graph, candidates, optimize, budget, Fusion(isas)))


def _advise(model: Any) -> tuple[Finding, ...]:
    """Advice on a Keras model; other files do not say enough about the training."""
    if is_path(model):
        path = as_path(model)
        if path.suffix.lower() != ".keras":
            return ()
        from tinyq.training.lowering.network import load_keras

        model = load_keras(path)
    if not is_keras_model(model):
        return ()
    from tinyq.training.advice import advise

    return advise(model)


def _list_types(graph: Graph, names: Sequence[str]) -> str:
    return ", ".join(str(graph.tensors[name].type) for name in names)


def _describe_ports(graph: Graph, names: Sequence[str]) -> list[dict[str, Any]]:
    """Inputs or outputs: their tensors, their names in C and in data sets, and what codes mean."""
    labels = label_ports(graph)
    return [
        {
            "name": name,
            "label": labels[name],
            "type": str(kind := graph.tensors[name].type),
            "scale": kind.scale,
            "zero_point": kind.zero_point,
        }
        for name in names
    ]


def _describe_graph(graph: Graph) -> str:
    """Name and types; of several inputs or outputs their names, too."""
    sides = []
    for names in (graph.inputs, graph.outputs):
        types = [str(graph.tensors[name].type) for name in names]
        named = [f"{name} {kind}" for name, kind in zip(names, types, strict=True)]
        sides.append(", ".join(types if len(names) == 1 else named))
    return f"{graph.name}: {' -> '.join(sides)}"


def _make_row(layer: LayerSummary) -> tuple[str, ...]:
    return (
        layer.name,
        layer.operation,
        layer.formats,
        f"{layer.macs:,}",
        f"{layer.weight_bytes:,}",
        "-" if layer.zero_weights is None else f"{layer.zero_weights:.0%}",
        f"{layer.output_bytes:,}",
    )
