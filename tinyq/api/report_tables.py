"""A measurement as tables."""

from __future__ import annotations

from collections.abc import Mapping

from tinyq.measurement.report import Report
from tinyq.measurement.result import LayerMeasurement, Measurement, OutputMeasurement
from tinyq.measurement.scoring import Errors
from tinyq.support.tables import Part, Table

ANSWERERS = {
    "float": "float model",
    "keras": "quantized Keras model",
    "reference": "host reference",
    "device": "device",
}


def list_report_parts(report: Report) -> list[Part]:
    """What the run showed as a whole, then layer by layer, then notes."""
    result = report.measurement
    numbers = ("MACs", "flash B", "instructions", "per MAC", "cycles")
    return [
        Table(
            f"{report.title} ({result.target}, {result.samples:,} samples)",
            ("what", "value"),
            [(name, value) for name, value in _list_facts(report) if value],
            right=("value",),
        ),
        Table(
            "layers",
            ("layer", "kernel", "formats and shapes", *numbers),
            [_make_row(layer) for layer in result.layers],
            right=numbers,
        ),
        *(f"note: {note}" for note in result.notes),
    ]


def compare_kernels(result: Measurement, own: Measurement) -> Table:
    """The same model as it was built, and with tinyq's own kernels."""
    pairs = zip(result.layers, own.layers, strict=True)
    rows = [
        (it.name, f"{it.macs:,}", _count(it.instructions) or "-", _count(other.instructions) or "-")
        for it, other in pairs
    ]
    rows += [
        ("flash bytes", "", f"{result.flash_bytes:,}", f"{own.flash_bytes:,}"),
        ("RAM bytes", "", f"{result.ram_bytes:,}", f"{own.ram_bytes:,}"),
        ("mismatching codes", "", f"{result.mismatches:,}", f"{own.mismatches:,}"),
    ]
    columns = ("layer", "MACs", "instructions as built", "with tinyq's kernels")
    return Table("kernels side by side", columns, rows, right=columns[1:])


def _list_facts(report: Report) -> tuple[tuple[str, str | None], ...]:
    result = report.measurement
    return (
        *(
            (f"accuracy, {title}", f"{report.accuracy[name]:.2%}")
            for name, title in ANSWERERS.items()
            if name in report.accuracy
        ),
        *_list_errors(result.errors),
        *(row for output in result.outputs for row in _list_output(output)),
        ("codes that differ, device and reference", f"{result.mismatches:,}"),
        (
            "codes that differ, Keras and reference",
            f"{sum(row.differing for row in report.agreement):,}" if report.agreement else None,
        ),
        ("flash bytes", f"{result.flash_bytes:,}"),
        ("RAM bytes", f"{result.ram_bytes:,}"),
        ("  activations", f"{result.arena_bytes:,}"),
        ("  state", f"{result.state_bytes:,}" if result.state_bytes else None),
        ("  deepest stack seen", _count(result.stack_bytes)),
        ("instructions per inference", _count(result.instructions)),
        ("cycles per inference", _count(result.cycles)),
        (
            "milliseconds per inference",
            None if result.milliseconds is None else f"{result.milliseconds:.3f}",
        ),
        ("resets of the device", _count(result.resets or None)),
    )


def _list_output(output: OutputMeasurement) -> tuple[tuple[str, str | None], ...]:
    """What one of several outputs showed."""
    accuracy = output.accuracy or {}
    return (
        *(
            (f"{output.name}: accuracy, {title}", f"{accuracy[name]:.2%}")
            for name, title in ANSWERERS.items()
            if name in accuracy
        ),
        *((f"{output.name}: {title}", value) for title, value in _list_errors(output.errors)),
        (f"{output.name}: codes that differ", f"{output.mismatches:,}"),
    )


def _list_errors(found: Mapping[str, Errors] | None) -> tuple[tuple[str, str | None], ...]:
    errors = (found or {}).get("device")
    if errors is None:
        return ()
    return (
        ("mean absolute error, device", f"{errors.mae:.6g}"),
        ("root mean square error, device", f"{errors.rmse:.6g}"),
        ("signal to noise, device", None if errors.snr_db is None else f"{errors.snr_db:.2f} dB"),
    )


def _make_row(layer: LayerMeasurement) -> tuple[str, ...]:
    counted = layer.instructions is not None and layer.macs > 0
    return (
        layer.name,
        layer.kernel or layer.operation,
        layer.formats,
        f"{layer.macs:,}",
        _count(layer.flash_bytes) or "-",
        _count(layer.instructions) or "-",
        f"{(layer.instructions or 0.0) / layer.macs:.2f}" if counted else "-",
        _count(layer.cycles) or "-",
    )


def _count(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"
