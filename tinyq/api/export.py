from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tinyq import exports
from tinyq.api.arguments import Names, PathLike, as_board, as_dataset, as_path
from tinyq.api.finished import requiring_finished
from tinyq.api.load import load
from tinyq.hardware.boards import Board
from tinyq.measurement.inputs import encode_all
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown


@dataclass(frozen=True, slots=True, repr=False)
class Exported(Shown):
    """A library that was written.

    Attributes:
        kind: For which build system.
        folder: Where it is.
        files: Its files, relative to the folder, sorted.
        cores: Whose kernels it has; the compiler's core decides, the last is for all others.
    """

    kind: str
    folder: Path
    files: tuple[PurePosixPath, ...]
    cores: tuple[exports.Core, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp(
            "export",
            {
                "kind": self.kind,
                "folder": str(self.folder),
                "files": [str(path) for path in self.files],
                "kernels": [core.isa for core in self.cores],
            },
        )

    def parts(self) -> list[Part]:
        """The files, and what its kernels are."""
        listed = [str(self.folder / path) for path in self.files]
        return [*listed, exports.describe_kernels(self.cores)]


def export(
    model: Any,
    kind: str,
    output: PathLike,
    *,
    board: str | Board | None = None,
    core: Names = None,
    optimize: str = "balanced",
    data: Any = None,
    classes: Names = None,
    rounding: str = "half_up",
    trust: bool = False,
    inputs: Names = None,
    outputs: Names = None,
    unfinished: bool = False,
) -> Exported:
    """Write a model as a library for other build systems.

    Args:
        model: Whatever `tinyq.load` takes.
        kind: ``arduino``, ``c``, ``cmake``, ``cmsis-pack``, ``platformio`` or ``zephyr``.
        output: Folder to write: missing, empty, or an earlier library, which is replaced whole.
        board: Name from `tinyq.boards()`, for whose core and memory kernels are chosen.
        core: Cores whose kernels it has, such as ``cortex-m4``, in place of a board; several are
            told apart by the compiler. All that have kernels if neither is given.
        optimize: What kernels are chosen for: ``balanced``, ``speed``, ``size`` or ``ram``.
        data: Samples as of `tinyq.measure`; the first is the example with a known answer.
        classes: Names of the classes of the output.
        rounding: As of `tinyq.load`.
        trust: As of `tinyq.load`.
        inputs: As of `tinyq.load`.
        outputs: As of `tinyq.load`.
        unfinished: Whether a model is taken although the method of a layer has not come to its end.

    Raises:
        TinyqError: There is no such kind or core, or the folder holds something else.
        ModelError: The model cannot be used.
        DataError: The samples do not fit the model.
    """
    folder = as_path(output)
    chosen = None if board is None else as_board(board)
    request = exports.Request(chosen, _split(core), optimize)
    exports.check_export(kind, folder, request)
    with requiring_finished(unfinished):
        graph = load(model, rounding, trust, inputs, outputs)
    sample = None if data is None else encode_all(as_dataset(data, 1), graph).codes
    files = exports.export(graph, kind, folder, request, exports.Extras(sample, _split(classes)))
    return Exported(kind, folder, files, exports.find_cores(request))


def _split(names: Names) -> tuple[str, ...]:
    """Names, without the spaces around them."""
    listed = names.split(",") if isinstance(names, str) else names or ()
    return tuple(name.strip() for name in listed)
