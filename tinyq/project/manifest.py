"""project.json: what a build folder says of itself, checked before anything else is believed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tinyq
from tinyq.errors import TinyqError
from tinyq.firmware.build import Image
from tinyq.graph import Graph
from tinyq.graph.storage import digest, load_graph
from tinyq.hardware.boards import find_board
from tinyq.memory.planner import MemoryPlan
from tinyq.memory.rows import Chain, check_chain
from tinyq.project.records import LayerKernel, Project, describe_kernel
from tinyq.selection import check_objective, force_kernels, plan_kernels
from tinyq.support.documents import check_schema, write_document
from tinyq.support.folders import finish_replacing
from tinyq.support.limits import DAMAGE, JSON_BYTES, describe, read_file, reading

MANIFEST = "project.json"
GRAPH = "graph.tqg"

# Compiler flags that a selection of kernels may ask for; a file may ask for no other.
FLAGS = ("-Os", "-DTQ_CONSTANTS_IN_RAM")

_REMEDY = "name a folder that `tinyq build MODEL -o DIR` has written"
_AGAIN = "build the model again"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _ImageEntry:
    """Fields of an image in the file."""

    elf: str
    text_bytes: int
    data_bytes: int
    bss_bytes: int
    flash_bytes: int
    ram_bytes: int
    toolchain: str
    firmware_digest: str


@dataclass(frozen=True, slots=True)
class _ChainEntry:
    """Fields of a chain in the file: its layers, and how many rows of each at a time."""

    layers: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Manifest:
    """Fields of the file that are read again."""

    graph_digest: str
    board: str
    image: _ImageEntry
    kernels: tuple[str, ...]
    cflags: tuple[str, ...]
    optimize: str
    layers: tuple[LayerKernel, ...]
    chains: tuple[_ChainEntry, ...] = ()


def open_project(folder: Path) -> Project:
    """Read a build folder.

    Raises:
        TinyqError: It is missing, incomplete, or made by another version.
    """
    with reading(folder / MANIFEST, "build folder", TinyqError, _AGAIN):
        finish_replacing(folder)
        manifest = _read_manifest(folder)
        image = _restore_image(folder, manifest)
    graph = load_graph(folder / GRAPH)
    graph_digest = digest(graph)
    if graph_digest != manifest.graph_digest:
        raise TinyqError(
            "the graph file is not the one that the firmware was built from",
            where=str(folder / GRAPH),
            remedy=_AGAIN,
        )
    return Project(
        folder,
        graph,
        _restore_plan(folder, graph, manifest),
        image,
        graph_digest,
        manifest.optimize,
        manifest.kernels,
        manifest.layers,
        manifest.cflags,
    )


def _restore_image(folder: Path, manifest: _Manifest) -> Image:
    entry = manifest.image
    elf = folder / entry.elf
    if not _NAME.fullmatch(entry.elf) or elf.resolve().parent != folder.resolve():
        raise _fault(folder, f"the firmware {entry.elf!r} is not in the folder")
    if not elf.is_file():
        raise TinyqError("the firmware is missing", where=str(elf), remedy=_AGAIN)
    numbers = {
        field.name: getattr(entry, field.name)
        for field in dataclasses.fields(entry)
        if field.name.endswith("_bytes")
    }
    if min(numbers.values()) < 0:
        raise _fault(folder, "a size is negative")
    if not _DIGEST.fullmatch(entry.firmware_digest):
        raise _fault(folder, "the firmware's digest is none")
    return Image(
        elf=elf,
        board=find_board(manifest.board),
        toolchain=entry.toolchain,
        firmware_digest=entry.firmware_digest,
        **numbers,
    )


def _restore_plan(folder: Path, graph: Graph, manifest: _Manifest) -> MemoryPlan:
    """The memory plan of the chosen kernels."""
    nodes = {node.name for node in graph.nodes}
    chosen = [entry for entry in manifest.layers if entry.chosen]
    names = {entry.layer: describe_kernel(entry.kernel) for entry in chosen}
    if len(names) != len(chosen) or not {entry.layer for entry in manifest.layers} <= nodes:
        raise _fault(folder, "the layers are not those of the graph")
    known = [*manifest.kernels, *(entry.kernel for entry in manifest.layers)]
    wrong = next((name for name in known if not _NAME.fullmatch(name)), None)
    if wrong is not None or not manifest.kernels:
        raise _fault(folder, f"there are no kernels {wrong!r}")
    if any(flag not in FLAGS for flag in manifest.cflags):
        raise _fault(folder, f"compiler flags are not among {', '.join(FLAGS)}")
    check_objective(manifest.optimize)
    try:
        chains = [check_chain(graph, entry.layers, entry.rows) for entry in manifest.chains]
        bounds = dict(force_kernels(graph, manifest.kernels, _leave_out(names, chains)))
        for member in (it for chain in chains for it in chain.members):
            bounds |= force_kernels(member.graph, manifest.kernels, names)
        return plan_kernels(graph, bounds, chains)
    except TinyqError as error:
        raise _fault(folder, f"the kernels do not fit the graph ({error})") from None
    except DAMAGE as error:
        raise _fault(folder, f"the kernels do not fit the graph ({describe(error)})") from None


def _leave_out(names: Mapping[str, str], chains: Sequence[Chain]) -> dict[str, str]:
    """Kernels of the layers that stand alone; none stands in two chains.

    Raises:
        TinyqError: One does.
    """
    inner = [node.name for chain in chains for node in chain.nodes]
    if len({*inner}) < len(inner):
        raise TinyqError("a layer stands in two chains", where=inner[0])
    return {name: kernel for name, kernel in names.items() if name not in inner}


def _fault(folder: Path, message: str) -> TinyqError:
    return TinyqError(message, where=str(folder / MANIFEST), remedy=_AGAIN)


def _read_manifest(folder: Path) -> _Manifest:
    from pydantic import TypeAdapter, ValidationError

    path = folder / MANIFEST
    if not path.is_file():
        raise TinyqError("is not a build folder", where=str(folder), remedy=_REMEDY)
    text = read_file(path, JSON_BYTES).decode("utf-8")
    content = json.loads(text)
    known = check_schema(content, "project", path, _AGAIN)
    try:
        return TypeAdapter(_Manifest).validate_json(json.dumps(known), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _fault(folder, f"{place}: {first['msg']}") from None


def write_manifest(project: Project, path: Path) -> None:
    """Write project.json, by which `open_project` knows a folder."""
    image = project.image
    fields = {
        field.name: getattr(image, field.name)
        for field in dataclasses.fields(image)
        if field.name not in ("elf", "board")
    }
    manifest = {
        "tinyq_version": tinyq.__version__,
        "model": project.graph.name,
        "graph_digest": project.graph_digest,
        "board": image.board.name,
        "image": {"elf": image.elf.name, **fields},
        "arena_bytes": project.plan.arena_bytes,
        "arena_proven": project.plan.proven,
        "state_bytes": project.plan.state_bytes,
        "kernels": list(project.isas),
        "cflags": list(project.cflags),
        "optimize": project.optimize,
        "layers": [dataclasses.asdict(entry) for entry in project.kernels],
        "chains": [
            {
                "layers": [node.name for node in chain.nodes],
                "rows": [member.rows for member in chain.members],
            }
            for chain in project.plan.chains
        ],
    }
    write_document(path, "project", manifest)
