"""How graphs are made: one tensor and one node after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tinyq.errors import ModelError
from tinyq.graph.graph import Graph, Node, Op
from tinyq.graph.tensors import State, Tensor, TensorType
from tinyq.numerics.formats import Codes, Format


@dataclass(slots=True)
class GraphBuilder:
    """Collects tensors and nodes in execution order; ``build`` returns the frozen graph."""

    name: str
    _tensors: dict[str, Tensor]
    _nodes: list[Node]
    _inputs: list[str]
    _first: dict[str, Codes] = field(default_factory=dict)
    _next: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, name: str, input_type: TensorType, input_name: str = "input") -> GraphBuilder:
        """Begin a graph with its first input."""
        return cls(name, {input_name: Tensor(input_name, input_type)}, [], [input_name])

    @property
    def input(self) -> str:
        """Name of the first input tensor."""
        return self._inputs[0]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input tensors so far."""
        return tuple(self._inputs)

    def add_input(self, name: str, input_type: TensorType) -> str:
        """Add another input behind those so far; returns its name."""
        self._add(Tensor(name, input_type))
        self._inputs.append(name)
        return name

    def add_state(self, name: str, state_type: TensorType, first: npt.ArrayLike = 0) -> str:
        """Add a tensor that is kept from one step to the next; returns its name.

        Args:
            name: Of the tensor, which nodes read with its value of the step before.
            state_type: Its type.
            first: Its codes after a reset: one for all, or an array of its shape.
        """
        self._add(Tensor(name, state_type))
        self._first[name] = np.asarray(first, np.int32)
        return name

    def keep(self, state: str, value: str) -> None:
        """Say which tensor, an input or a computed one, a state takes when a step ends.

        `tinyq.graph.interface.keep_value` takes any tensor.
        """
        if state not in self._first:
            raise ModelError(f"{state!r} is no state", where=self.name)
        self._next[state] = value

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes added so far."""
        return tuple(self._nodes)

    def draft(self) -> Graph:
        """What was added so far, without an output and not verified."""
        return Graph(self.name, self.inputs, (), self._tensors, self.nodes, self._list_states())

    def type(self, name: str) -> TensorType:
        """Type of a tensor added so far."""
        return self._tensors[name].type

    def has(self, name: str) -> bool:
        """Whether a tensor of that name was added."""
        return name in self._tensors

    def is_computed(self, name: str) -> bool:
        """Whether a node computes that tensor."""
        return any(node.output == name for node in self._nodes)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor added so far is a constant."""
        return self._tensors[name].is_constant

    def constant(
        self,
        name: str,
        codes: npt.ArrayLike,
        number_format: Format,
        scale: float | None = None,
        zero_point: int = 0,
    ) -> str:
        """Add a constant; returns its name."""
        array = np.asarray(codes, np.int32)
        self._add(Tensor(name, TensorType(array.shape, number_format, scale, zero_point), array))
        return name

    def apply(self, name: str, operation: Op, *inputs: str) -> str:
        """Add a node; returns the name of its output, which is the node's."""
        output_type = operation.infer(*(self._tensors[key].type for key in inputs))
        self._add(Tensor(name, output_type))
        self._nodes.append(Node(name, operation, inputs, name))
        return name

    def build(self, *outputs: str) -> Graph:
        """The finished, verified graph.

        Args:
            outputs: Names of its outputs: all different, each computed by a node; where a model
                has others, `tinyq.graph.interface.own_outputs` makes them so.

        Raises:
            ModelError: The graph is not well formed.
        """
        without = [name for name in self._first if name not in self._next]
        if without:
            raise ModelError(f"state {without[0]!r} has no next value", where=self.name)
        graph = Graph(
            self.name,
            self.inputs,
            outputs,
            dict(self._tensors),
            tuple(self._nodes),
            self._list_states(),
        )
        graph.verify()
        return graph

    def _list_states(self) -> tuple[State, ...]:
        return tuple(State(name, self._next[name], self._first[name]) for name in self._next)

    def _add(self, tensor: Tensor) -> None:
        if tensor.name in self._tensors:
            raise ModelError(f"tensor {tensor.name!r} is defined twice", where=self.name)
        self._tensors[tensor.name] = tensor
