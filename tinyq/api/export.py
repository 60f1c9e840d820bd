from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tinyq import exports
from tinyq.api.arguments import Names, PathLike, as_path
from tinyq.api.finished import requiring_finished
from tinyq.api.load import load
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown


@dataclass(frozen=True, slots=True, repr=False)
class Exported(Shown):
    """A library that was written.

    Attributes:
        kind: For which build system.
        folder: Where it is.
        files: Its files, relative to the folder, sorted.
        slowness: How many times the instructions of a build for a Cortex-M4 its portable kernels
            take, an estimate; None where too little is known.
    """

    kind: str
    folder: Path
    files: tuple[PurePosixPath, ...]
    slowness: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp(
            "export",
            {
                "kind": self.kind,
                "folder": str(self.folder),
                "files": [str(path) for path in self.files],
                "kernels": "generic",
                "slower_than_build": self.slowness,
            },
        )

    def parts(self) -> list[Part]:
        """The files, and what its kernels are."""
        listed = [str(self.folder / path) for path in self.files]
        return [*listed, exports.describe_kernels(self.slowness)]


def export(
    model: Any,
    kind: str,
    output: PathLike,
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
        trust: As of `tinyq.load`.
        inputs: As of `tinyq.load`.
        outputs: As of `tinyq.load`.
        unfinished: Whether a model is taken although the method of a layer has not come to its end.

    Raises:
        TinyqError: There is no such kind, or the folder holds something else.
        ModelError: The model cannot be used.
    """
    folder = as_path(output)
    exports.check_export(kind, folder)
    with requiring_finished(unfinished):
        graph = load(model, trust=trust, inputs=inputs, outputs=outputs)
    slowness = exports.estimate_slowness(graph)
    return Exported(kind, folder, exports.export(graph, kind, folder, slowness), slowness)
