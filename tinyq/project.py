"""A build folder: the graph, its generated C, the firmware of one board, and what they are.

DIR/graph.tqg        the integer graph
DIR/project.json     board, sizes, digests, memory plan
DIR/model/           the generated C
DIR/firmware/        start-up, port, protocol
DIR/Makefile         builds firmware.elf again without Python (or the files of another build system)
DIR/firmware.elf     what runs
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinyq
from tinyq.boards import Board, find_board
from tinyq.build import BuildOptions, Costs, Image, build
from tinyq.build_systems import DIRECT
from tinyq.cmsis_nn import ISA, find_cmsis_nn
from tinyq.codegen import GENERIC, emit, fit_flash, plan_kernels, prefer_isas
from tinyq.errors import TinyqError
from tinyq.folders import check_replaceable, stage
from tinyq.graph import Graph
from tinyq.passes import simplify
from tinyq.plan import MemoryPlan, plan
from tinyq.storage import digest, load_graph, save_graph
from tinyq.wire import payload_bytes

MANIFEST = "project.json"
GRAPH = "graph.tqg"
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """A build folder that exists on disk.

    Attributes:
        folder: Where it is.
        graph: The integer graph after all passes.
        plan: Where its tensors live.
        image: The linked firmware.
        graph_digest: SHA-256 of the graph, hexadecimal.
    """

    folder: Path
    graph: Graph
    plan: MemoryPlan
    image: Image
    graph_digest: str


def create_project(
    graph: Graph,
    board: Board,
    folder: Path,
    build_system: str = DIRECT,
    cmsis_nn: str | Path | None = None,
    kernels: tuple[str, ...] | None = None,
) -> Project:
    """Generate, compile and link a graph for a board.

    The folder is replaced as a whole when everything has succeeded, and untouched otherwise.

    Args:
        graph: A verified integer graph.
        board: What to build for.
        folder: Missing, empty, or an earlier project.
        build_system: What runs the compiler, see `tinyq.build_systems`.
        cmsis_nn: Folder or address of CMSIS-NN, whose functions then compute the layers that they
            cover, see `tinyq.cmsis_nn.find_cmsis_nn`.
        kernels: Instruction sets whose kernels may be used, best first; by default those that the
            board's core runs.

    Raises:
        TinyqError: The folder holds something else, or the graph cannot be built.
    """
    check_replaceable(folder, MANIFEST, "a build folder")
    simplified = simplify(graph)
    own = kernels or prefer_isas(board.isa)
    isas = (ISA, *own) if cmsis_nn else own
    memory = plan_kernels(simplified, isas, fit_flash(simplified, isas, board.flash_bytes))
    library = find_cmsis_nn(cmsis_nn, simplified, isas) if cmsis_nn else None
    options = dataclasses.replace(
        capacities(simplified, board), build_system=build_system, library=library
    )
    with stage(folder) as staged:
        image = _build(simplified, memory, board, staged, options, isas)
        save_graph(simplified, staged / GRAPH)
        write_manifest(simplified, memory, image, staged / MANIFEST, isas)
    return open_project(folder)


def open_project(folder: Path) -> Project:
    """Read a build folder.

    Raises:
        TinyqError: It is missing, incomplete, or made by another version.
    """
    manifest = _read_manifest(folder)
    graph = load_graph(folder / GRAPH)
    graph_digest = digest(graph)
    if graph_digest != manifest["graph_digest"]:
        raise TinyqError(
            "the graph file is not the one that the firmware was built from",
            where=str(folder / GRAPH),
            remedy="build the model again",
        )
    elf = folder / manifest["image"].pop("elf")
    if not elf.is_file():
        raise TinyqError("the firmware is missing", where=str(elf), remedy="build the model again")
    image = Image(elf=elf, board=find_board(manifest["board"]), **manifest["image"])
    isas = manifest.get("kernels", GENERIC)
    memory = plan_kernels(graph, isas, fit_flash(graph, isas, image.board.flash_bytes))
    return Project(folder, graph, memory, image, graph_digest)


def build_for_host(project: Project) -> Image:
    """The same model as a program on this machine, in the folder host/ of the project."""
    tree = emit(project.graph, plan(project.graph))
    host = find_board("host")
    options = capacities(project.graph, host)
    return build(tree.files, host, project.folder / "host", options)


def flash_costs(graph: Graph) -> Costs:
    """Packed bytes of each node's constants."""
    return tuple((node.name, graph.constant_bytes(node)) for node in graph.nodes)


def _build(
    graph: Graph,
    memory: MemoryPlan,
    board: Board,
    folder: Path,
    options: BuildOptions,
    isas: tuple[str, ...],
) -> Image:
    costs = dataclasses.replace(
        options, flash_costs=flash_costs(graph), ram_costs=_ram_costs(graph, memory)
    )
    overrides = fit_flash(graph, isas, board.flash_bytes)
    return build(emit(graph, memory, isas, overrides).files, board, folder, costs)


def _ram_costs(graph: Graph, memory: MemoryPlan) -> Costs:
    """Bytes of each activation that lives in the arena, by the node that computes it."""
    return tuple(
        (node.name, graph.tensors[node.output].type.packed_bytes)
        for node in graph.nodes
        if node.output in memory.offsets
    )


def capacities(graph: Graph, board: Board) -> BuildOptions:
    """Payload sizes of requests and replies."""
    request, reply = payload_bytes(
        graph.input.type.packed_bytes,
        graph.output.type.packed_bytes,
        len(graph.nodes),
        board.batch_bytes,
    )
    return BuildOptions(payload_bytes=request, reply_bytes=reply)


def write_manifest(
    graph: Graph, memory: MemoryPlan, image: Image, path: Path, isas: tuple[str, ...] = GENERIC
) -> None:
    """Write project.json, by which `open_project` knows a folder."""
    fields = {
        field.name: getattr(image, field.name)
        for field in dataclasses.fields(image)
        if field.name not in ("elf", "board")
    }
    manifest = {
        "tinyq_project": VERSION,
        "tinyq_version": tinyq.__version__,
        "model": graph.name,
        "graph_digest": digest(graph),
        "board": image.board.name,
        "image": {"elf": image.elf.name, **fields},
        "arena_bytes": memory.arena_bytes,
        "arena_proven": memory.proven,
        "kernels": list(isas),
    }
    path.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    remedy = "name a folder that `tinyq build MODEL -o DIR` has written"
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise TinyqError("is not a build folder", where=str(folder), remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise TinyqError(f"cannot be read ({error})", where=str(path), remedy=remedy) from None
    if not isinstance(manifest, Mapping) or manifest.get("tinyq_project") != VERSION:
        raise TinyqError(
            "was written by another version of tinyq",
            where=str(path),
            remedy="build the model again",
        )
    return dict(manifest)
