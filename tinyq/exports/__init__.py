"""Drop-in packages of a model for other people's build systems.

Takes a graph and the cores that the package is for; gives a folder, whose files are those of a
folder of templates/exports.
"""

from tinyq.exports.cores import (
    CORES,
    PORTABLE,
    Core,
    Library,
    Request,
    find_cores,
    make_library,
)
from tinyq.exports.packages import (
    EXPORTS,
    Extras,
    check_export,
    describe_kernels,
    export,
    export_kinds,
    render_package,
)

__all__ = [
    "CORES",
    "EXPORTS",
    "PORTABLE",
    "Core",
    "Extras",
    "Library",
    "Request",
    "check_export",
    "describe_kernels",
    "export",
    "export_kinds",
    "find_cores",
    "make_library",
    "render_package",
]
