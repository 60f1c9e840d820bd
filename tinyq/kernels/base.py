"""Kernel, Bound and Refusal: what a kernel is, and what it answers about a layer.

A kernel is a function in a module of ``tinyq/kernels/<isa>/`` with its text in the twin file,
``templates/kernels/<isa>/<same name>.c.j2``, or in that of a module which several kernels share:

    @kernel("conv2d", "s8", INT8, variant="triples")
    def bind(layer: LayerSpec) -> Bound | Refusal: ...

It computes everything that depends on the layer once: tables, sizes, scratch memory, cost. The
template is text with these values. What selection has chosen is a `Bound`; the memory plan, the
calls and the text are made from it and bind nothing again.

A *shared* kernel has one text for all layers of its formats: sizes come at run time, in structs.
The generic kernels and those that call CMSIS-NN are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from tinyq.kernels.epilogues import EpilogueFunction
from tinyq.kernels.layer import LayerSpec
from tinyq.kernels.packing.record import Table
from tinyq.numerics.formats import FORMATS, Codes, Format

SUFFIX = ".c.j2"
INT8 = "int8"
# Binary weights have kernels of their own, which count bits.
_CLASSES: Mapping[str, Callable[[Format], bool]] = MappingProxyType(
    {INT8: lambda entry: -128 <= entry.lo < 0 < entry.hi <= 127 and entry.step == 1}
)

Binder = Callable[[LayerSpec], "Bound | Refusal"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A C function of which a kernel's text consists beside its own: a micro-kernel, or C.

    Attributes:
        source: Template below ``templates/kernels``.
        macro: The macro in it that writes the function; it takes ``name`` and the values.
        name: C name of a function that kernels share; what is appended to the kernel's own name
            for one that belongs to it alone.
        values: What the macro is given.
        shared: Whether kernels share it, so that a program has it once.
    """

    source: str
    macro: str
    name: str
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    shared: bool = False

    def name_in(self, function: str) -> str:
        """C name in the text of a kernel."""
        return self.name if self.shared else f"{function}{self.name}"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that exists.

    Attributes:
        operation: ``Op.kernel`` of the operations that it computes.
        formats: Names of the formats of the inputs ``Op.keyed``, or of classes of formats: ``int8``
            for all signed formats whose codes are within int8.
        isa: Instruction set, ``generic`` for C99. It changes the speed and never the result.
        variant: Tells kernels of one instruction set apart, empty for the only one.
        template: Its text, below ``templates``.
        shared: Whether one text serves all layers of its formats.
        unpacked: Operands of fewer bits that `tinyq.kernels.unpacking` unpacks before it runs.
        binder: What it answers about a layer.
    """

    operation: str
    formats: tuple[str, ...]
    isa: str
    variant: str = ""
    template: str = ""
    shared: bool = False
    unpacked: tuple[int, ...] = ()
    binder: Binder = field(default=lambda _: Refusal("there is no such kernel"), compare=False)

    @property
    def name(self) -> str:
        """``<operation>_<formats>_<isa>[-<variant>]``."""
        variant = f"-{self.variant}" if self.variant else ""
        return "_".join((self.operation, *self.formats, f"{self.isa}{variant}"))

    def takes(self, formats: Sequence[str]) -> bool:
        """Whether the kernel computes its operation for inputs of these formats."""
        return len(formats) == len(self.formats) and all(
            name in list_members(part) for part, name in zip(self.formats, formats, strict=True)
        )

    def bind(self, layer: LayerSpec) -> Bound | Refusal:
        """How the kernel computes a layer, or why it does not."""
        return replace(self.binder(layer), kernel=self)


NO_KERNEL = Kernel("", (), "")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a kernel does not fit a layer.

    Attributes:
        reason: One clause, without the kernel's and the layer's name.
        kernel: Which one; `Kernel.bind` fills it in.
    """

    reason: str
    kernel: Kernel = NO_KERNEL


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A constant as a shared kernel wants it.

    Attributes:
        label: First part of its name behind that of the node.
        format: Name of its format.
        codes: Its codes.
    """

    label: str
    format: str
    codes: Codes


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A kernel bound to a layer: all that selection, memory plan, calls and text need.

    Attributes:
        layer: The layer.
        instructions: Of one inference; None where nothing is known. An estimate, until
            `tinyq.measurement.counting` puts a count in its place.
        tables: Packed constants, in the order of the kernel's parameters.
        scratch_bytes: Bytes of arena while it runs.
        in_place: Operands whose bytes the output may take.
        leads: By how many bytes an operand must begin behind the output for that to lie over what
            was read of it, see `tinyq.kernels.leads`.
        parts: Functions that the text calls, by the names that the template knows them by. They
            are written before it, in this order.
        values: Further values of the template.
        operands: Names of the parameters of the operands of `LayerSpec.data`; ``x``, or ``x_1``
            and so on, where it is empty.
        calls_epilogue: Whether the epilogue's own function finishes the kernel's sums. The kernel
            gets its constants behind the tables. A shared kernel always does so.
        constants: Of a shared kernel: what takes the place of the graph's constants, by ``operand
            <index>`` or the name of one of the epilogue's.
        scratch_parameter: Whether the C function takes scratch memory where it needs none.
        inner: The kernel that runs behind the unpacking, for one with ``Kernel.unpacked``.
        template: Its text where it is not the kernel's.
        kernel: What is bound; `Kernel.bind` fills it in.
        table_bytes: Constants and settings of the layer as they lie in flash.
        code: Bytes of machine code by part; layers that name the same part share it. Selection
            fills both in.
        counted: Whether instructions and code were measured; both are estimates otherwise.
        cycles: Estimated from counts; None without such counts.
    """

    layer: LayerSpec
    instructions: int | None
    tables: tuple[Table, ...] = ()
    scratch_bytes: int = 0
    in_place: tuple[int, ...] = ()
    leads: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    parts: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    operands: tuple[str, ...] = ()
    calls_epilogue: bool = False
    constants: Mapping[str, Constant] = field(default_factory=lambda: MappingProxyType({}))
    scratch_parameter: bool = False
    inner: Bound | None = None
    template: str = ""
    kernel: Kernel = NO_KERNEL
    table_bytes: int = 0
    code: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    counted: bool = False
    cycles: int | None = None

    @property
    def shared(self) -> bool:
        """Whether its text serves all layers of its formats."""
        return self.kernel.shared

    @property
    def function(self) -> str:
        """``tq_<operation>_<formats>[_<epilogue>]_<isa>[_<variant>]``; layers number it."""
        kernel, layer = self.kernel, self.layer
        finished = layer.finisher.tag if layer.finisher else ()
        variant = (kernel.variant,) if kernel.variant else ()
        unpacked = ("unpacked",) if kernel.unpacked else ()
        parts = (kernel.operation, *layer.formats, *finished, kernel.isa, *variant, *unpacked)
        return "_".join(("tq", *parts))

    @property
    def finisher(self) -> EpilogueFunction | None:
        """The function that its text calls for the epilogue; None where it has none or does it."""
        return self.layer.finisher if self.shared or self.calls_epilogue else None

    @property
    def flash_bytes(self) -> int:
        """Tables and all code, shared or not."""
        return self.table_bytes + sum(self.code.values())

    @property
    def parameters(self) -> tuple[str, ...]:
        """Parameters of the C function."""
        layer = self.layer
        types = [layer.inputs[index].format.c_type for index in layer.data]
        numbered = [f"x_{index + 1}" for index in range(len(types))] if len(types) > 1 else ["x"]
        names = self.operands or tuple(numbered)
        operands = (f"const {kind} *{name}" for kind, name in zip(types, names, strict=True))
        tables = (f"const uint32_t *{table.parameter or table.name}" for table in self.tables)
        epilogue = (f"const tq_{layer.epilogue}_epilogue *epilogue",) if self.calls_epilogue else ()
        scratch = ("void *scratch",) if self.scratch_bytes else ()
        return (*operands, *tables, *epilogue, f"{layer.output.format.c_type} *y", *scratch)


def list_members(part: str) -> tuple[str, ...]:
    """Formats that a part of a kernel's name stands for: itself, or the members of a class."""
    if part in _CLASSES:
        return tuple(name for name, entry in FORMATS.items() if _CLASSES[part](entry))
    return (part,)
