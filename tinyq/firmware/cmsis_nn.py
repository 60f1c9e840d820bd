"""Arm's CMSIS-NN as a kernel back end: the user's headers and archive, and how they must round.

CMSIS-NN rounds the scaling of an accumulator twice, as TFLite does, and once when it is compiled
with CMSIS_NN_USE_SINGLE_ROUNDING. Which rule holds is a property of the graph: layers that end in
`Requantize` need the one, layers that end in `RequantizeTwice` the other. The generated code stops
the compiler when its own flags are the wrong ones; with which flags an archive was built it does
not say, so a wrong archive shows as mismatching codes in `tinyq measure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tinyq.codegen import marked_nodes
from tinyq.errors import TinyqError
from tinyq.firmware.build_systems import Library
from tinyq.graph import Graph
from tinyq.selection import select_kernel

ISA = "cmsisnn"
NAME = "cmsis-nn"
_HEADER = "arm_nnfunctions.h"
_SINGLE = "requantize"
_FLAG = "-DCMSIS_NN_USE_SINGLE_ROUNDING"


def find_cmsis_nn(source: str | Path, graph: Graph, isas: Sequence[str]) -> Library:
    """Read the library that a user names, for one graph.

    Args:
        source: A folder that holds Include/ (or include/) with arm_nnfunctions.h, and one archive
            anywhere; or an address such as ``https://…/CMSIS-NN.git#v7.0.0`` (Git, or a folder as
            ``file://…``), which PlatformIO downloads and compiles.
        graph: Decides the rounding.
        isas: Instruction sets whose kernels may be used, best first.

    Raises:
        TinyqError: A part is missing, or the graph rounds in both ways.
    """
    cflags = choose_rounding(graph, isas)
    if "://" in str(source):
        return Library(NAME, {}, None, cflags, str(source))
    folder = Path(source)
    headers = sorted(folder.rglob(_HEADER))
    archives = sorted(folder.rglob("*.a"))
    if not headers:
        raise TinyqError(
            f"there is no {_HEADER}",
            where=str(folder),
            remedy="name the folder of CMSIS-NN, which has the folder Include",
        )
    if len(archives) != 1:
        raise TinyqError(
            f"there are {len(archives)} archives (*.a) where one is needed",
            where=str(folder),
            remedy="build CMSIS-NN for the board's core and put its archive there, alone",
        )
    root = headers[0].parent
    return Library(
        name=NAME,
        headers={
            PurePosixPath(path.relative_to(root).as_posix()): path.read_text("utf-8")
            for path in sorted(root.rglob("*.h"))
        },
        archive=archives[0],
        cflags=cflags,
    )


def choose_rounding(graph: Graph, isas: Sequence[str]) -> tuple[str, ...]:
    """Return the compiler flags by which CMSIS-NN rounds as a graph does.

    Raises:
        TinyqError: Some of its layers round once and some twice.
    """
    rules: dict[str, str] = {}
    for node in marked_nodes(graph):
        bound = select_kernel(graph, node, isas)
        if bound.kernel.isa == ISA and bound.finisher:
            rules.setdefault(bound.finisher.epilogue, node.name)
    if len(rules) > 1:
        raise TinyqError(
            "CMSIS-NN rounds once or twice, as it was compiled, and the graph has layers of both",
            where=" and ".join(rules.values()),
            remedy="use tinyq's own kernels, or import the model with one rounding rule",
        )
    return (_FLAG,) if _SINGLE in rules else ()
