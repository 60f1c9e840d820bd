"""A build folder: the graph, its generated C, the firmware of one board, and what they are.

Takes a graph and a board, gives a `Project`, whose folder is

DIR/graph.tqg        the integer graph
DIR/project.json     board, sizes, digests, memory plan, the kernel of each layer and its rivals
DIR/model/           the generated C
DIR/firmware/        start-up, port, protocol
DIR/Makefile         builds firmware.elf again without Python (or the files of another build system)
DIR/firmware.elf     what runs
"""

from tinyq.project.creation import (
    build_for_host,
    capacities,
    check_request,
    create_project,
    describe_project,
    find_budget,
    flash_costs,
    list_kernels,
    repeat_kernels,
)
from tinyq.project.foresight import Foresight, foresee
from tinyq.project.manifest import GRAPH, MANIFEST, open_project, write_manifest
from tinyq.project.records import (
    LayerKernel,
    Limits,
    Project,
    Selection,
    Setting,
    Tuner,
    describe_kernel,
)

__all__ = [
    "GRAPH",
    "MANIFEST",
    "Foresight",
    "LayerKernel",
    "Limits",
    "Project",
    "Selection",
    "Setting",
    "Tuner",
    "build_for_host",
    "capacities",
    "check_request",
    "create_project",
    "describe_kernel",
    "describe_project",
    "find_budget",
    "flash_costs",
    "foresee",
    "list_kernels",
    "open_project",
    "repeat_kernels",
    "write_manifest",
]
