from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tinyq.api.arguments import Names, as_dataset, is_path
from tinyq.api.load import load
from tinyq.graph.cutting import Cut, make_cut
from tinyq.measurement.diff import (
    Comparison,
    Execution,
    compare,
    execute_reference,
    open_execution,
)
from tinyq.measurement.difference import Difference
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown, Table

_WIDTH = 40  # of the longest bar


@dataclass(frozen=True, slots=True, repr=False)
class Diff(Shown):
    """What a comparison of two executions of a model showed.

    Attributes:
        comparison: Layers compared and what differs.
    """

    comparison: Comparison

    @property
    def ok(self) -> bool:
        """Whether all layers are equal."""
        return self.comparison.difference is None

    @property
    def layer(self) -> str | None:
        """The first layer that differs; None where none does."""
        return None if self.comparison.difference is None else self.comparison.difference.layer

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp("comparison", asdict(self.comparison))

    def parts(self) -> list[Part]:
        """What is equal; then the first difference with a histogram."""
        found = self.comparison
        parts: list[Part] = [f"A: {found.first}", f"B: {found.second}"]
        if found.difference is None:
            what = f"{len(found.compared)} layers" if len(found.compared) > 1 else "the outputs"
            return [*parts, f"{what} are equal, {found.samples:,} samples"]
        equal = len(found.compared) - 1
        parts.append(f"{equal} layers are equal, then {found.difference.layer} differs")
        if found.output_equal:
            parts.append("the outputs are equal all the same")
        return [*parts, *_list_difference(found.difference)]


def diff(
    first: Any,
    second: Any,
    data: Any,
    samples: int = 32,
    rounding: str | None = None,
    trust: bool = False,
    inputs: Names = None,
    outputs: Names = None,
) -> Diff:
    """Find the first layer at which two executions of a model differ.

    Args:
        first: ``PATH`` or ``PATH@PLACE``: a model at reference, c, litert or onnxruntime, a build
            folder at qemu, simavr, host or serial:PORT. A Keras model, a graph or what
            `tinyq.build` gave.
        second: The execution to compare with.
        data: Inputs: an .npz file with the array x, an array, or a pair (x, y).
        samples: Use the first so many samples only.
        rounding: Of .tflite and .onnx models, as of `tinyq.load`; the file's own rule if None.
        trust: As of `tinyq.load`.
        inputs: Of model files, as of `tinyq.load`; a build folder is what it was built of.
        outputs: Of model files, as of `tinyq.load`.

    Raises:
        TinyqError: There is no such model or place, or they do not go together.
        DataError: The data do not fit.
    """
    given = as_dataset(data, samples)
    cut = make_cut(inputs, outputs)
    one, other = (_open(execution, rounding, trust, cut) for execution in (first, second))
    return Diff(compare(one, other, given))


def _open(execution: Any, rounding: str | None, trust: bool, cut: Cut) -> Execution:
    place = getattr(execution, "folder", execution)
    if is_path(place):
        return open_execution(str(place), rounding, trust, cut)
    return execute_reference(load(place, inputs=cut.inputs, outputs=cut.outputs))


def _list_difference(it: Difference) -> list[Part]:
    place = ", ".join(str(index) for index in it.position)
    largest = max(bar.count for bar in it.histogram)
    rows = [
        (
            f"{bar.low:+}" if bar.low == bar.high else f"{bar.low:+} .. {bar.high:+}",
            f"{bar.count:,}",
            "#" * max(1, round(_WIDTH * bar.count / largest)) if bar.count else "",
        )
        for bar in it.histogram
    ]
    return [
        it.description,
        f"{it.differing:,} of {it.codes:,} codes differ",
        f"first in sample {it.sample} at ({place}): {it.first} in A, {it.second} in B",
        Table("differences B - A", ("by", "codes", ""), rows, right=("by", "codes")),
    ]
