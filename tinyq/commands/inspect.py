from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyq.commands.output import (
    JsonOption,
    RoundingOption,
    TrustOption,
    print_json,
    print_kernels,
    print_table,
)
from tinyq.support.documents import stamp

if TYPE_CHECKING:
    from tinyq.graph import Graph
    from tinyq.hardware.boards import Board
    from tinyq.project import LayerKernel
    from tinyq.training.advice import Finding


def inspect(
    model: Annotated[Path, typer.Argument(help="A .keras, .tflite or .h5 model, or a .tqg graph.")],
    board: Annotated[
        str | None, typer.Option(help="Show the kernels that this board's core would run, too.")
    ] = None,
    optimize: Annotated[
        str, typer.Option(help="What they are chosen for: balanced, speed, size or ram.")
    ] = "balanced",
    rounding: RoundingOption = "half_up",
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Show a model layer by layer: formats, shapes, MACs, bytes, zero weights; and advice on it."""
    from tinyq.codegen import check_objective
    from tinyq.graph.passes import simplify
    from tinyq.graph.storage import digest
    from tinyq.graph.summary import summarize
    from tinyq.hardware.boards import find_board
    from tinyq.memory.planner import plan
    from tinyq.models import load_model

    chosen = find_board(board) if board else None
    check_objective(optimize)
    graph = simplify(load_model(model, rounding, trust))
    findings = _advise(model)
    layers, memory = summarize(graph), plan(graph)
    weight_bytes = sum(layer.weight_bytes for layer in layers)
    kernels = _choose(graph, chosen, optimize) if chosen else ()
    if json:
        print_json(
            stamp(
                "inspection",
                {
                    "model": graph.name,
                    "graph_digest": digest(graph),
                    "input": str(graph.input.type),
                    "output": str(graph.output.type),
                    "macs": sum(layer.macs for layer in layers),
                    "weight_bytes": weight_bytes,
                    "arena_bytes": memory.arena_bytes,
                    "arena_proven": memory.proven,
                    "layers": [asdict(layer) for layer in layers],
                    "kernels": [asdict(entry) for entry in kernels],
                    "advice": [asdict(finding) for finding in findings],
                },
            )
        )
        return
    print_table(
        f"{graph.name}: {graph.input.type} -> {graph.output.type}",
        ("layer", "operation", "formats and shapes", "MACs", "weights B", "zeros", "output B"),
        [
            (
                layer.name,
                layer.operation,
                layer.formats,
                f"{layer.macs:,}",
                f"{layer.weight_bytes:,}",
                "-" if layer.zero_weights is None else f"{layer.zero_weights:.0%}",
                f"{layer.output_bytes:,}",
            )
            for layer in layers
        ],
        right=("MACs", "weights B", "zeros", "output B"),
    )
    proof = "proven optimal" if memory.proven else f"at least {memory.lower_bound:,} are needed"
    typer.echo(
        f"{sum(layer.macs for layer in layers):,} MACs, {weight_bytes:,} bytes of weights, "
        f"{memory.arena_bytes:,} bytes of activations ({proof}), most at {memory.peak_node}"
    )
    if chosen:
        print_kernels(f"kernels for {optimize} on {board}", kernels, clock_hz=chosen.clock_hz)
    for finding in findings:
        typer.echo(f"advice: {finding.render()}")


def _choose(graph: Graph, chosen: Board, optimize: str) -> tuple[LayerKernel, ...]:
    """What `tinyq build` would choose, estimated."""
    from tinyq.codegen import choose_kernels, gather_candidates, prefer_isas
    from tinyq.project import capacities, find_budget, list_kernels

    budget = find_budget(chosen, capacities(graph, chosen))
    candidates = gather_candidates(graph, prefer_isas(chosen.isa))
    return list_kernels(choose_kernels(graph, candidates, optimize, budget))


def _advise(path: Path) -> tuple[Finding, ...]:
    """Advice on a Keras model; other files do not say enough about the training."""
    if path.suffix.lower() != ".keras":
        return ()
    from tinyq.training.advice import advise
    from tinyq.training.lowering.network import load_keras

    return advise(load_keras(path))
