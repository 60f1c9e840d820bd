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
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import tinyq
from tinyq.codegen import SourceTree
from tinyq.errors import TinyqError
from tinyq.exports.cores import PORTABLE, Core, Library, Request, find_cores, make_library
from tinyq.exports.example import make_example
from tinyq.firmware.build import BuildOptions, Image
from tinyq.firmware.settings import render_settings
from tinyq.graph import Graph
from tinyq.graph.interface import label_ports, name_ports, packed_bytes
from tinyq.graph.passes import simplify
from tinyq.graph.storage import save_graph
from tinyq.hardware.boards import find_board
from tinyq.kernels.environment import make_environment
from tinyq.numerics.formats import Codes
from tinyq.project import GRAPH, MANIFEST, Setting, describe_project, write_manifest
from tinyq.selection import prefer_isas
from tinyq.support.folders import check_replaceable, stage
from tinyq.support.resources import FIRMWARE, TEMPLATES
from tinyq.targets.wire import payload_bytes

EXPORTS = TEMPLATES / "exports"
_SUFFIX = ".j2"
_INSTANCE = PurePath("tq_model_instance.c")
_STAMP = PurePosixPath(".tinyq-export")
_BOARD = "arduino"
_SKETCH = "Measure.ino"
_BATCH_BYTES = 256  # fits any board that holds the model
Files = Mapping[str, bytes]


def export_kinds() -> tuple[str, ...]:
    """Return the kinds of packages, sorted."""
    return tuple(sorted(path.name for path in EXPORTS.iterdir() if path.is_dir()))


@dataclass(frozen=True, slots=True)
class Extras:
    """What a package has beside the network.

    Attributes:
        sample: Codes of each input by its name, int32, shape (1, *input shape), for the example
            with a known answer; None for inputs that reach every code.
        classes: Names of the classes that the last axis of the output stands for.
    """

    sample: Mapping[str, Codes] | None = None
    classes: tuple[str, ...] = ()


def export(
    graph: Graph,
    kind: str,
    folder: Path,
    request: Request | None = None,
    extras: Extras | None = None,
) -> tuple[PurePosixPath, ...]:
    """Write a model as a package.

    Args:
        graph: A verified integer graph.
        kind: One of `export_kinds`.
        folder: Missing, empty, or an earlier package. It is replaced as a whole, at the end.
        request: For which cores; None for all that have kernels.
        extras: What the package has beside.

    Returns:
        The files of the package, relative to the folder, sorted.

    Raises:
        TinyqError: There is no such kind or core, the folder holds something else, or the graph
            has no kernels.
    """
    wanted = request or Request()
    check_export(kind, folder, wanted)
    simplified = simplify(graph)
    check_extras(simplified, extras or Extras())
    files = render_package(simplified, kind, wanted, extras)
    _write(files, folder.absolute())
    return tuple(sorted(files))


def check_export(kind: str, folder: Path, request: Request) -> None:
    """Check all of an export that is known before its graph; arguments as of `export`.

    Raises:
        TinyqError: There is no such kind or core, or the folder holds something else.
    """
    find_cores(request)
    if kind not in export_kinds():
        raise TinyqError(
            f"there is no package of kind {kind!r}",
            where="--as",
            remedy=f"choose one of {', '.join(export_kinds())}",
        )
    check_replaceable(folder, str(_STAMP), "an exported package")


def check_extras(graph: Graph, extras: Extras) -> None:
    """Check what a package has beside its network.

    Raises:
        TinyqError: The classes are not those of the output.
    """
    shape = graph.tensors[graph.outputs[0]].type.shape
    if extras.classes and len(extras.classes) != (shape or (1,))[-1]:
        raise TinyqError(
            f"{len(extras.classes)} classes are named, the output has {(shape or (1,))[-1]}",
            where="--classes",
            remedy="name each element of the output's last axis once",
        )


def describe_kernels(cores: Sequence[Core]) -> str:
    """One sentence about what computes the layers of a package."""
    if len(cores) == 1 and cores[0].isa == PORTABLE:
        return "The kernels are the portable C ones, for every core."
    named = [", ".join(core.names) for core in cores if core.isa != PORTABLE]
    if len(cores) == 1:
        return f"The kernels are those for {named[0]}; another core is an error of the compiler."
    return (
        f"The kernels are those of the compiler's core: {'; '.join(named)}; portable C for every "
        "other."
    )


def render_package(
    graph: Graph, kind: str, request: Request | None = None, extras: Extras | None = None
) -> Mapping[PurePosixPath, bytes]:
    """Return the content of every file of a package.

    Args:
        graph: A simplified graph.
        kind: One of `export_kinds`.
        request: For which cores; None for all that have kernels.
        extras: What the package has beside.
    """
    beside = extras or Extras()
    library = make_library(graph, request or Request(), beside.classes)
    tree = library.tree
    environment = make_environment()
    values = _describe(graph, library, beside)
    files: dict[PurePosixPath, bytes] = {}
    root = EXPORTS / kind
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        target = PurePosixPath(path.relative_to(root).as_posix().replace("NAME", graph.name))
        if path.name in _MARKERS:
            made = _MARKERS[path.name](graph, library)
            files |= {target.parent / name: data for name, data in made.items()}
        elif path.suffix == _SUFFIX:
            name = path.relative_to(TEMPLATES).as_posix()
            text = environment.get_template(name).render(values)
            files[target.with_suffix("")] = text.encode()
        else:
            files[target] = path.read_bytes()
    files[_STAMP] = f"{kind} {tree.digest}\n".encode()
    return files


def _list_header(graph: Graph, library: Library) -> Files:
    name = f"{graph.name}.h"
    return {name: library.tree.files[PurePath(name)].encode()}


def _list_sources(graph: Graph, library: Library) -> Files:
    return {
        path.as_posix(): text.encode()
        for path, text in library.tree.files.items()
        if path not in (_INSTANCE, PurePath(f"{graph.name}.h"))
    }


def _list_firmware(graph: Graph, library: Library) -> Files:
    texts, settings, _ = _make_firmware(graph, _measure_library(graph, library).tree)
    return {path.name: text.encode() for path, text in texts.items()} | {
        "tq_build.h": settings.encode()
    }


def _list_project(graph: Graph, library: Library) -> Files:
    """Return what makes a folder one that `tinyq measure` opens; the image is the sketch."""
    measured = _measure_library(graph, library)
    *_, digest = _make_firmware(graph, measured.tree)
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
        (choice,), (memory,), (core,) = measured.choices, measured.plans, measured.cores
        setting = Setting(image.board, prefer_isas(core.isa))
        made = describe_project(graph, memory, image, choice, setting)
        write_manifest(made, folder / MANIFEST)
        save_graph(graph, folder / GRAPH)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _measure_library(graph: Graph, library: Library) -> Library:
    """The sources that the measuring firmware has: a report names the kernels of one core."""
    if len(library.cores) == 1:
        return library
    return make_library(graph, Request(cores=(PORTABLE,)))


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


def _describe(graph: Graph, library: Library, extras: Extras) -> dict[str, Any]:
    """Return the values that templates may use."""
    macs = sum(graph.macs(node) for node in graph.nodes)
    constant_bytes = sum(graph.constant_bytes(node) for node in graph.nodes)
    inputs, outputs = make_example(graph, extras.sample)
    return {
        "name": graph.name,
        "macro": graph.name.upper(),
        "version": tinyq.__version__,
        "digest": library.tree.digest,
        "description": f"Quantized neural network {graph.name}, {_list_types(inputs)} -> "
        f"{_list_types(outputs)}, in plain C99.",
        "facts": f"{macs:,} multiply-accumulates, {constant_bytes:,} bytes of constants, "
        f"{library.ram_bytes:,} bytes of static RAM.",
        "kernels": describe_kernels(library.cores),
        "sources": sorted(name for name in _list_sources(graph, library) if name.endswith(".c")),
        "keeps_state": bool(graph.states),
        "inputs": inputs,
        "outputs": outputs,
        "arguments": ", ".join(it["variable"] for it in (*inputs, *outputs)),
        "parameters": ", ".join(label_ports(graph).values()),
    }


def _list_types(buffers: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(it["type"]) for it in buffers)


def _write(files: Mapping[PurePosixPath, bytes], folder: Path) -> None:
    with stage(folder) as staged:
        for path, data in files.items():
            target = staged / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
