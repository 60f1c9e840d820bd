"""A profile as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tinyq.api.kernel_tables import describe_time
from tinyq.measurement.profile import Costs, KernelProfile, LayerProfile, Profile
from tinyq.measurement.profile.loops import Loop
from tinyq.support.tables import Part, Table

_KERNELS = 12  # of the table of functions
# Of the terminal; the report has all.
_STEPS = 32
_SHARE = 0.02


def list_profile_parts(found: Profile, measured: Mapping[str, int] | None = None) -> list[Part]:
    """Tables and lines; counted, estimated and measured figures have their own columns."""
    return [
        _tabulate_layers(found, measured),
        _tabulate_classes(found),
        _tabulate_kernels(found),
        *_list_loops(found),
        *describe_estimate(found),
    ]


def describe_estimate(found: Profile) -> list[str]:
    """What the estimated columns are worth, one sentence each."""
    core, board = found.core, found.prediction
    lines = list(found.notes)
    if board is None and found.costs.cycles is not None and found.clock_hz:
        lines.append(
            f"{found.board}{describe_time(found.costs.cycles, found.clock_hz)}, without what the "
            "board's flash adds"
        )
    if core.cycles is not None:
        lines.append(f"cycles are an estimate for {core.title}: {core.source}")
    lines += [
        f"such estimates against published results on {it.board} ({it.stack}; {it.note}): measured "
        f"{it.error[0]:+g} .. {it.error[1]:+g} %"
        for it in core.checked
    ]
    if board is not None:
        lines.append(
            f"{board.board} at {board.clock_hz / 1e6:g} MHz, an estimate: "
            f"{board.cycles / 1e6:.3f} million cycles, {board.milliseconds:.2f} ms; measured was "
            f"{board.error[0]:+g} .. {board.error[1]:+g} % from it where it was {board.source}"
        )
    return lines


def _tabulate_layers(found: Profile, measured: Mapping[str, int] | None) -> Table:
    columns = ["layer", "operation", "MACs", "instructions", "per MAC", "flash loads", "RAM loads"]
    columns += ["stores", "taken", "cycles, estimated"]
    rows = [_layer_row(layer) for layer in found.layers]
    macs = sum(layer.macs for layer in found.layers)
    rows.append(["all", "", f"{macs:,}", *_count_cells(found.costs, macs)])
    if found.prediction is not None:
        columns.append("board, estimated")
        predicted = [layer.predicted_cycles or 0.0 for layer in found.layers]
        for row, cycles in zip(rows, [*predicted, found.prediction.cycles], strict=True):
            row.append(f"{cycles:,.0f}")
    if measured is not None:
        columns.append("cycles, measured")
        for row in rows:
            total = sum(measured.values()) if row is rows[-1] else measured.get(row[0], 0)
            row.append(f"{total:,}")
    where = f"{found.core.title}, counted on {found.emulated}"
    return Table(f"{found.model} for {found.board}: {where}", columns, rows, right=columns[2:])


def _layer_row(layer: LayerProfile) -> list[str]:
    return [layer.name, layer.operation, f"{layer.macs:,}", *_count_cells(layer.costs, layer.macs)]


def _count_cells(costs: Costs, macs: int) -> list[str]:
    return [
        f"{costs.instructions:,}",
        f"{costs.instructions / macs:.2f}" if macs else "-",
        f"{costs.flash_loads:,}",
        f"{costs.ram_loads:,}",
        f"{costs.stores:,}",
        f"{costs.taken_branches:,}",
        _show_cycles(costs.cycles),
    ]


def _tabulate_classes(found: Profile) -> Table:
    names = list(found.costs.classes)
    parts = [(layer.name, layer.costs) for layer in found.layers] + [("all", found.costs)]
    rows = [
        (name, *(f"{costs.classes.get(group, 0):,}" for group in names)) for name, costs in parts
    ]
    return Table("instructions by class, counted", ("layer", *names), rows, right=names)


def _tabulate_kernels(found: Profile) -> Table:
    columns = ("function", "instructions", "share", "flash loads", "RAM loads", "cycles, estimated")
    rows = [_kernel_row(kernel, found.costs.instructions) for kernel in found.kernels[:_KERNELS]]
    return Table("C functions, without what they call", columns, rows, right=columns[1:])


def _kernel_row(kernel: KernelProfile, total: int) -> tuple[str, ...]:
    costs = kernel.costs
    return (
        kernel.function,
        f"{costs.instructions:,}",
        f"{costs.instructions / total:.1%}",
        f"{costs.flash_loads:,}",
        f"{costs.ram_loads:,}",
        _show_cycles(costs.cycles),
    )


def _list_loops(found: Profile) -> Iterator[Part]:
    """Each loop once, of the layers that count."""
    shown: set[int] = set()
    for layer in found.layers:
        large = layer.costs.instructions >= _SHARE * found.costs.instructions
        for loop in layer.loops if large else ():
            if loop.steps[0].address not in shown:
                shown.add(loop.steps[0].address)
                yield from _list_loop(layer, loop)


def _list_loop(layer: LayerProfile, loop: Loop) -> Iterator[Part]:
    share = loop.instructions / layer.costs.instructions
    title = f"{layer.name}: loop in {loop.function}, repeated {loop.repeats:,} times, "
    title += f"{loop.instructions:,} instructions by itself ({share:.0%} of the layer)"
    columns = ("address", "executions", "flash loads", "cycles, estimated", "instruction")
    rows = [
        (
            f"{step.address:08x}",
            f"{step.executions:,}",
            f"{step.flash_loads:,}" if step.flash_loads else "",
            _show_cycles(step.cycles),
            step.text,
            step.source,
        )
        for step in loop.steps[:_STEPS]
    ]
    yield Table(title, (*columns, "source"), rows, right=columns[1:4])
    if len(loop.steps) > _STEPS:
        yield f"... {len(loop.steps) - _STEPS} more in the report (--report DIR)"


def _show_cycles(cycles: int | None) -> str:
    return "-" if cycles is None else f"{cycles:,}"
