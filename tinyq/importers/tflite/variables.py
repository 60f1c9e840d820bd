"""Variables of a file, which become states of the graph.

A variable has a name; operators that hold a handle of it read and assign it in the order in which
they run. So what is read is the last value that was assigned in the same inference, else the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tinyq.errors import ModelError
from tinyq.graph import GraphBuilder
from tinyq.graph.interface import keep_value
from tinyq.importers.tflite.constants import fold_constants
from tinyq.importers.tflite.reader import FileModel, FileOperator, FileTensor

HANDLE, READ, ASSIGN, ONCE = "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"
Key = tuple[str, str]
"""Container and name of a variable."""


@dataclass(slots=True)
class Variables:
    """The variables of a graph under way.

    Attributes:
        first: What they hold before the first inference.
        assigned: Those that an inference changes; the others are constants.
        handles: Which of them a file tensor is a handle of.
        values: Graph tensors that they hold at this place of the walk.
        states: Names of their states.
    """

    first: Mapping[Key, FileTensor]
    assigned: frozenset[Key]
    handles: dict[int, Key] = field(default_factory=dict)
    values: dict[Key, str] = field(default_factory=dict)
    states: dict[Key, str] = field(default_factory=dict)

    def keep(self, builder: GraphBuilder) -> None:
        """Let each state take what its variable holds at the end."""
        for key, state in self.states.items():
            keep_value(builder, state, self.values[key])


def name_variable(operator: FileOperator) -> Key:
    """Which variable a VAR_HANDLE names."""
    return (_text(operator.options.get("Container")), _text(operator.options.get("SharedName")))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def find_variables(model: FileModel) -> Variables:
    """What the file says of its variables before anything runs.

    Raises:
        ModelError: What is called once does more than to assign constants.
    """
    first: dict[Key, FileTensor] = {}
    for start in model.starts:
        first |= _run_start(start)
    handles = _find_handles(model.operators)
    assigned = {
        handles[operator.inputs[0]]
        for operator in model.operators
        if operator.name == ASSIGN and operator.inputs and operator.inputs[0] in handles
    }
    return Variables(first, frozenset(assigned))


def _find_handles(operators: Sequence[FileOperator]) -> dict[int, Key]:
    return {
        operator.outputs[0]: name_variable(operator)
        for operator in operators
        if operator.name == HANDLE and operator.outputs
    }


def _run_start(start: FileModel) -> dict[Key, FileTensor]:
    """Constants that a subgraph assigns."""
    start, operators = fold_constants(start, start.operators)
    handles = _find_handles(operators)
    found: dict[Key, FileTensor] = {}
    for operator in operators:
        if operator.name == HANDLE:
            continue
        value = start.tensors[operator.inputs[-1]] if operator.inputs else None
        known = operator.name == ASSIGN and len(operator.inputs) == 2 and value is not None
        if not known or value is None or value.data is None or operator.inputs[0] not in handles:
            raise ModelError(
                f"is called once and is no assignment of a constant: {operator.name}",
                where=f"{start.path}, {operator}",
                remedy="convert a model whose variables begin with constants",
            )
        found[handles[operator.inputs[0]]] = value
    return found
