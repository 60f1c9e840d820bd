"""Real inputs to codes."""

from __future__ import annotations

from typing import Any

from tinyq.training.elementwise import ElementwiseLayer
from tinyq.training.lowering.emission import Lowering, Value
from tinyq.training.registry import lowers, serializable
from tinyq.training.tracing import Step


@serializable
class QuantizedInput(ElementwiseLayer):
    """Real inputs to codes.

        code = clip(floor(x / scale + 1/2) + zero_point, lo, hi)

    Twin: tinyq.graph.reference.quantize_input
    """

    def _find_sources(self, tensors: list[Any]) -> tuple[Any, ...]:
        return ()

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Quantized inputs."""
        if training:
            return self.output_quantizer(inputs, training=True)
        encoding = self.encoding()
        return encoding.real(encoding.codes(inputs))


@lowers("QuantizedInput")
def lower_input(lowering: Lowering, step: Step, inputs: tuple[Value, ...]) -> Value:
    """An input of the graph; of several, each has the name of the model's own."""
    del inputs
    name = step.name if lowering.single_input else step.inputs[0]
    return lowering.start(name, step.layer, step.shape)
