from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tinyq.api.arguments import is_keras_model
from tinyq.errors import ModelError
from tinyq.support.documents import stamp
from tinyq.support.tables import Part, Shown

if TYPE_CHECKING:
    from tinyq.training.overview import LayerOverview


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Summary(Shown):
    """The layers of a quantized Keras model.

    Attributes:
        name: The model's.
        layers: Its layers, from input to output.
    """

    name: str
    layers: tuple[LayerOverview, ...]

    @property
    def weight_bytes(self) -> int:
        """Packed weights of all layers, the epilogues' constants aside."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp(
            "summary",
            {
                "model": self.name,
                "weight_bytes": self.weight_bytes,
                "macs": self.macs,
                "layers": [asdict(layer) for layer in self.layers],
            },
        )

    def parts(self) -> list[Part]:
        """A row for each layer, and the sums."""
        from tinyq.training.overview import list_parts

        return list_parts(self.name, self.layers)


def summary(model: Any) -> Summary:
    """Bits, bytes, work and ranges of a quantized Keras model, layer by layer.

    Args:
        model: A model from `tinyq.quantize`; it need not be trained.

    Raises:
        ModelError: It is no quantized model.
    """
    from tinyq.training.overview import overview

    layers = overview(model) if is_keras_model(model) else ()
    if not layers:
        raise ModelError(
            f"{getattr(model, 'name', type(model).__name__)} has no quantized layer",
            remedy="give a model from tinyq.quantize",
        )
    return Summary(model.name, layers)
