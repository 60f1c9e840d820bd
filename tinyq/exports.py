"""Drop-in packages: a generated model for other people's build systems.

A folder of templates/exports is a kind of package, found by its name. Its files are the package's:
NAME in a path becomes the model's name, the suffix .j2 marks a template, and empty files stand for
generated ones:

    HEADER     the one header that an author of firmware includes
    SOURCES    everything else that the model needs, flat
    FIRMWARE   the measuring firmware with the model and the Arduino port, flat
    PROJECT    what `tinyq measure` wants to know about that firmware
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np

import tinyq
from tinyq.codegen import SourceTree, emit
from tinyq.errors import TinyqError
from tinyq.firmware.build import BuildOptions, Image
from tinyq.firmware.settings import render_settings
from tinyq.graph import Graph, Tensor, TensorType, reference
from tinyq.graph.interface import label_ports, name_ports, packed_bytes
from tinyq.graph.passes import simplify
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.kernels.environment import make_environment
from tinyq.memory.planner import plan
from tinyq.numerics.formats import Codes
from tinyq.project import GRAPH, MANIFEST, Setting, describe_project, write_manifest
from tinyq.selection import GENERIC, choose_kernels, gather_candidates, prefer_isas
from tinyq.support.folders import check_replaceable, stage
from tinyq.support.resources import FIRMWARE, TEMPLATES
from tinyq.targets.wire import payload_bytes

EXPORTS = TEMPLATES / "exports"
_SUFFIX = ".j2"
_INSTANCE = PurePath("tq_model_instance.c")
_STAMP = PurePosixPath(".tinyq-export")
_BOARD = "arduino"
_SKETCH = "Measure.ino"
_FAST_ISA = "armv7em"
_NOTABLE = 1.2  # of the factor between kernels
_BATCH_BYTES = 256  # fits any board that holds the model
Files = Mapping[str, bytes]


def export_kinds() -> tuple[str, ...]:
    """Return the kinds of packages, sorted."""
    return tuple(sorted(path.name for path in EXPORTS.iterdir() if path.is_dir()))


def export(
    graph: Graph, kind: str, folder: Path, slowness: float | None = None
) -> tuple[PurePosixPath, ...]:
    """Write a model as a package.

    Args:
        graph: A verified integer graph.
        kind: One of `export_kinds`.
        folder: Missing, empty, or an earlier package. It is replaced as a whole, at the end.
        slowness: What `estimate_slowness` gives, where that was called before.

    Returns:
        The files of the package, relative to the folder, sorted.

    Raises:
        TinyqError: There is no such kind, the folder holds something else, or the graph has no
            kernels.
    """
    check_export(kind, folder)
    files = render_package(simplify(graph), kind, slowness)
    _write(files, folder.absolute())
    return tuple(sorted(files))


def check_export(kind: str, folder: Path) -> None:
    """Check all of an export that is known before its graph; arguments as of `export`.

    Raises:
        TinyqError: There is no such kind, or the folder holds something else.
    """
    if kind not in export_kinds():
        raise TinyqError(
            f"there is no package of kind {kind!r}",
            where="--as",
            remedy=f"choose one of {', '.join(export_kinds())}",
        )
    check_replaceable(folder, str(_STAMP), "an exported package")


def estimate_slowness(graph: Graph) -> float | None:
    """How many times as many instructions the portable kernels take as those of a Cortex-M4.

    Estimates, of what `tinyq build` would choose; None where too little is known.
    """
    simplified = simplify(graph)
    portable, own = (
        _count_instructions(simplified, isas) for isas in (GENERIC, prefer_isas(_FAST_ISA))
    )
    return portable / own if portable and own else None


def _count_instructions(graph: Graph, isas: tuple[str, ...]) -> int:
    """Estimated instructions of the layers of which estimates are known for all kernels."""
    chosen = choose_kernels(graph, gather_candidates(graph, isas), "speed")
    return sum(bound.instructions or 0 for bound in chosen.bounds.values())


def describe_kernels(slowness: float | None) -> str:
    """One sentence about what computes the layers of a package."""
    if slowness is None or slowness < _NOTABLE:
        return "The kernels are the portable C ones."
    return (
        "The kernels are the portable C ones; on a Cortex-M4 they take about "
        f"{slowness:.1f} times the instructions (an estimate) of those of `tinyq build` for a "
        "board, which are in its folder's model/."
    )


def render_package(
    graph: Graph, kind: str, slowness: float | None = None
) -> Mapping[PurePosixPath, bytes]:
    """Return the content of every file of a package.

    Args:
        graph: A simplified graph.
        kind: One of `export_kinds`.
        slowness: What `estimate_slowness` gives, where that was called before.
    """
    memory = plan(graph)
    tree = emit(graph, memory)
    environment = make_environment()
    values = _describe(graph, tree, memory.ram_bytes)
    values["kernels"] = describe_kernels(slowness or estimate_slowness(graph))
    files: dict[PurePosixPath, bytes] = {}
    root = EXPORTS / kind
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        target = PurePosixPath(path.relative_to(root).as_posix().replace("NAME", graph.name))
        if path.name in _MARKERS:
            made = _MARKERS[path.name](graph, tree)
            files |= {target.parent / name: data for name, data in made.items()}
        elif path.suffix == _SUFFIX:
            name = path.relative_to(TEMPLATES).as_posix()
            text = environment.get_template(name).render(values)
            files[target.with_suffix("")] = text.encode()
        else:
            files[target] = path.read_bytes()
    files[_STAMP] = f"{kind} {tree.digest}\n".encode()
    return files


def _list_header(graph: Graph, tree: SourceTree) -> Files:
    name = f"{graph.name}.h"
    return {name: tree.files[PurePath(name)].encode()}


def _list_sources(graph: Graph, tree: SourceTree) -> Files:
    return {
        path.as_posix(): text.encode()
        for path, text in tree.files.items()
        if path not in (_INSTANCE, PurePath(f"{graph.name}.h"))
    }


def _list_firmware(graph: Graph, tree: SourceTree) -> Files:
    texts, settings, _ = _make_firmware(graph, tree)
    return {path.name: text.encode() for path, text in texts.items()} | {
        "tq_build.h": settings.encode()
    }


def _list_project(graph: Graph, tree: SourceTree) -> Files:
    """Return what makes a folder one that `tinyq measure` opens; the image is the sketch."""
    *_, digest = _make_firmware(graph, tree)
    image = Image(
        elf=Path(_SKETCH),
        board=find_board(_BOARD),
        text_bytes=0,
        data_bytes=0,
        bss_bytes=0,
        flash_bytes=0,
        ram_bytes=0,
        toolchain="Arduino",
        firmware_digest=digest,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        choice = choose_kernels(graph, gather_candidates(graph, GENERIC))
        setting = Setting(image.board, GENERIC)
        made = describe_project(graph, plan(graph), image, choice, setting)
        write_manifest(made, folder / MANIFEST)
        save_graph(graph, folder / GRAPH)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _make_firmware(graph: Graph, tree: SourceTree) -> tuple[Mapping[PurePosixPath, str], str, str]:
    """Return core, Arduino port and model in one folder, their settings and digest.

    Arduino sets no flags, so the model itself names the header of the layer marks.
    """
    texts = {PurePosixPath(path.as_posix()): text for path, text in tree.files.items()}
    program = PurePosixPath(f"{graph.name}.c")
    texts[program] = '#include "tq_profile.h"\n\n' + texts[program]
    for folder in (FIRMWARE / "core", FIRMWARE / "ports" / _BOARD):
        for path in sorted(folder.glob("*.[ch]*")):
            texts[PurePosixPath(path.name)] = path.read_text("utf-8")
    request, reply = payload_bytes(
        packed_bytes(graph, graph.inputs),
        packed_bytes(graph, graph.outputs),
        len(graph.nodes),
        _BATCH_BYTES,
        name_ports(graph),
    )
    options = BuildOptions(payload_bytes=request, reply_bytes=reply)
    return texts, *render_settings(texts, find_board(_BOARD), options)


_MARKERS = {
    "HEADER": _list_header,
    "SOURCES": _list_sources,
    "FIRMWARE": _list_firmware,
    "PROJECT": _list_project,
}


def _describe(graph: Graph, tree: SourceTree, ram_bytes: int) -> dict[str, Any]:
    """Return the values that templates may use."""
    macs = sum(graph.macs(node) for node in graph.nodes)
    constant_bytes = sum(graph.constant_bytes(node) for node in graph.nodes)
    inputs, outputs = _make_example(graph)
    return {
        "name": graph.name,
        "macro": graph.name.upper(),
        "version": tinyq.__version__,
        "digest": tree.digest,
        "description": f"Quantized neural network {graph.name}, {_list_types(inputs)} -> "
        f"{_list_types(outputs)}, in plain C99.",
        "facts": f"{macs:,} multiply-accumulates, {constant_bytes:,} bytes of constants, "
        f"{ram_bytes:,} bytes of static RAM.",
        "sources": sorted(name for name in _list_sources(graph, tree) if name.endswith(".c")),
        "keeps_state": bool(graph.states),
        "inputs": inputs,
        "outputs": outputs,
        "arguments": ", ".join(it["variable"] for it in (*inputs, *outputs)),
        "parameters": ", ".join(label_ports(graph).values()),
    }


def _make_example(graph: Graph) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return inputs that reach every code, and what the reference answers."""
    draw = np.random.default_rng(0)
    codes = {name: _draw(draw, graph.tensors[name].type)[None] for name in graph.inputs}
    answers = reference.run_named(graph, codes)
    return _describe_buffers(graph, "input", codes), _describe_buffers(graph, "output", answers)


def _draw(draw: np.random.Generator, entry: TensorType) -> Codes:
    form = entry.format
    steps = (form.hi - form.lo) // form.step
    return (form.lo + form.step * draw.integers(0, steps + 1, entry.shape)).astype(np.int32)


def _describe_buffers(graph: Graph, side: str, codes: Mapping[str, Codes]) -> list[dict[str, Any]]:
    """Variables of an example; their names cannot be those of functions of C's library."""
    labels, found = label_ports(graph), []
    for name, values in codes.items():
        entry, end = graph.tensors[name].type, "" if len(codes) == 1 else f"_{labels[name]}"
        found.append(
            {
                "variable": f"{side}{end}",
                "expected": f"expected{end}",
                "type": entry,
                "c_type": entry.format.c_type,
                "words": entry.words,
                "tensor": Tensor(name, entry, values[0]),
            }
        )
    return found


def _list_types(buffers: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(it["type"]) for it in buffers)


def _write(files: Mapping[PurePosixPath, bytes], folder: Path) -> None:
    with stage(folder) as staged:
        for path, data in files.items():
            target = staged / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
