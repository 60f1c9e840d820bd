"""Kernels and output stages: which exist, and which one a node takes. File names register them.

A kernel that reads the codes of its constants and not their packed bytes serves every format of
weights with such codes. It says so with the name of a class of formats in place of a format.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from tinyq.errors import TinyqError
from tinyq.graph import Graph, Node, ops
from tinyq.graph.epilogues import Accumulating
from tinyq.numerics.formats import FORMATS, Format, find_format
from tinyq.support.resources import TEMPLATES

SUFFIX = ".c.j2"
KERNELS, STAGES = TEMPLATES / "kernels", TEMPLATES / "outputs"
WIDENINGS = TEMPLATES / "parts/widen"
WIDE = "s8"  # what activations of fewer bits are unpacked to
# Stages that no other one shares its formats with, but for those that say their name.
_UNNAMED = ("raw", "requantize", "threshold")
# Binary weights have kernels of their own, which count bits.
_CLASSES: Mapping[str, Callable[[Format], bool]] = MappingProxyType(
    {"i8": lambda entry: -128 <= entry.lo < 0 < entry.hi <= 127 and entry.step == 1}
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel template ``<operation>_<format>[_<format>]_<isa>[-<variant>].c.j2``.

    Attributes:
        operation: ``Op.kernel`` of the operations that it computes.
        formats: Names of the formats of the inputs ``Op.keyed``, or of classes of formats: ``i8``
            for all signed formats whose codes are within int8.
        isa: Instruction set, ``generic`` for C99. It changes the speed and never the result.
        path: The template.
        variant: Tells kernels of one instruction set apart, empty for the only one.
        widened: Operands of fewer bits that are unpacked to ``WIDE`` before it runs, see
            `tinyq.codegen.widening`.
    """

    operation: str
    formats: tuple[str, ...]
    isa: str
    path: Path
    variant: str = ""
    widened: tuple[int, ...] = ()

    def takes(self, formats: Sequence[str]) -> bool:
        """Whether the kernel computes its operation for inputs of these formats."""
        return len(formats) == len(self.formats) and all(
            name in list_members(part) for part, name in zip(self.formats, formats, strict=True)
        )


@functools.cache
def list_members(part: str) -> tuple[str, ...]:
    """Formats that a part of a kernel's name stands for: itself, or the members of a class."""
    if part in _CLASSES:
        return tuple(name for name, entry in FORMATS.items() if _CLASSES[part](entry))
    return (part,)


@dataclass(frozen=True, slots=True)
class Stage:
    """An output stage's template ``<stage>_<format>.c.j2``.

    Attributes:
        stage: Class name of the stage in lower case.
        format: Name of the output format.
        path: The template.
    """

    stage: str
    format: str
    path: Path

    @property
    def function(self) -> str:
        """Name of the C function."""
        return f"tq_{self.stage}_{self.format}"

    @property
    def tag(self) -> tuple[str, ...]:
        """Parts of a kernel's C name that tell the stage.

        The format alone for the common stages, for another one its name as well.
        """
        return (self.format,) if self.stage in _UNNAMED else (self.stage, self.format)

    @property
    def accumulator(self) -> str:
        """C type of the accumulators that the stage takes."""
        return find_accumulator(self.stage)

    @property
    def type(self) -> str:
        """Name of the C struct with the stage's constants."""
        return f"tq_{self.stage}_stage"


def find_accumulator(stage: str) -> str:
    """C type of the accumulators that an output stage takes, by its name in lower case."""
    found = {name.lower(): entry.accumulator for name, entry in ops.STAGES.items()}
    return found[stage]


@functools.cache
def load_kernels(folder: Path = KERNELS) -> tuple[Kernel, ...]:
    """All kernels of a folder, by name.

    Raises:
        TinyqError: A file name is no kernel name.
    """
    return tuple(_parse_kernel(path, parts) for path, parts in _list_templates(folder, 3))


@functools.cache
def load_stages(folder: Path = STAGES) -> tuple[Stage, ...]:
    """All output stages of a folder, by name.

    Raises:
        TinyqError: A file name is no stage name.
    """
    return tuple(
        Stage(parts[0], _known_format(parts[1], path).name, path)
        for path, parts in _list_templates(folder, 2)
    )


def list_candidates(graph: Graph, node: Node, isas: Sequence[str]) -> tuple[Kernel, ...]:
    """The kernels of a node's operation and formats, in the order of ``isas``.

    Raises:
        TinyqError: There is none.
    """
    fitting = list_fitting(graph, node)
    found = tuple(kernel for isa in isas for kernel in fitting if kernel.isa == isa)
    if found:
        return found
    formats = name_formats(graph, node)
    missing = "_".join((node.op.kernel, *formats, isas[-1])) + SUFFIX
    raise TinyqError(
        f"there is no kernel for {node.op.kernel} with {' and '.join(formats)}",
        where=node.name,
        remedy=f"choose formats that have a kernel, or write templates/kernels/{missing}",
    )


def select_kernel(graph: Graph, node: Node, isas: Sequence[str]) -> Kernel:
    """The first of `list_candidates`."""
    return list_candidates(graph, node, isas)[0]


def list_fitting(graph: Graph, node: Node) -> tuple[Kernel, ...]:
    """Kernels of a node's operation and formats, by file name; those for one format come first."""
    formats = name_formats(graph, node)
    found = [k for k in load_kernels() if k.operation == node.op.kernel and k.takes(formats)]
    return tuple(sorted(found, key=lambda kernel: kernel.formats != formats))


def list_widened(graph: Graph, node: Node) -> tuple[Kernel, ...]:
    """Kernels for `WIDE` activations that take a node's once these are unpacked, by file name."""
    narrow = tuple(
        index
        for index in node.op.keyed
        if graph.tensors[node.inputs[index]].type.format.name in list_widenings()
        and index in node.op.batched
    )
    if not narrow:
        return ()
    types = graph.types(node)
    formats = [WIDE if index in narrow else types[index].format.name for index in node.op.keyed]
    return tuple(
        replace(kernel, widened=narrow)
        for kernel in load_kernels()
        if kernel.operation == node.op.kernel and kernel.takes(formats)
    )


@functools.cache
def list_widenings() -> tuple[str, ...]:
    """Formats that can be unpacked to `WIDE`; the names of the templates register them."""
    names = (path.name.removesuffix(SUFFIX) for path in sorted(WIDENINGS.glob(f"*{SUFFIX}")))
    return tuple(_known_format(name, WIDENINGS).name for name in names)


def select_stage(graph: Graph, node: Node) -> Stage | None:
    """The output stage of a node, or None for an operation without one.

    Raises:
        TinyqError: The operation has a stage for which there is no template.
    """
    if not isinstance(node.op, Accumulating):
        return None
    wanted = type(node.op.output).__name__.lower()
    output = graph.tensors[node.output].type.format.name
    for stage in load_stages():
        if (stage.stage, stage.format) == (wanted, output):
            return stage
    missing = f"templates/outputs/{wanted}_{output}{SUFFIX}"
    raise TinyqError(
        f"there is no output stage {wanted} for format {output}",
        where=node.name,
        remedy=f"choose another output format, or write {missing}",
    )


def name_formats(graph: Graph, node: Node) -> tuple[str, ...]:
    """Names of the formats that choose a node's kernel."""
    types = graph.types(node)
    return tuple(types[index].format.name for index in node.op.keyed)


def _list_templates(folder: Path, least_parts: int) -> Iterator[tuple[Path, list[str]]]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        parts = path.name.removesuffix(SUFFIX).split("_")
        if len(parts) < least_parts or not all(parts):
            raise TinyqError(
                f"{path.name} is no template name",
                where=str(path),
                remedy="name a kernel <operation>_<format>_<isa>, a stage <stage>_<format>",
            )
        yield path, parts


def _parse_kernel(path: Path, parts: list[str]) -> Kernel:
    formats = tuple(
        part if part in _CLASSES else _known_format(part, path).name for part in parts[1:-1]
    )
    isa, _, variant = parts[-1].partition("-")
    return Kernel(parts[0], formats, isa, path, variant)


def _known_format(name: str, path: Path) -> Format:
    try:
        return find_format(name)
    except TinyqError as error:
        raise TinyqError(error.message, where=str(path), remedy=error.remedy) from None
