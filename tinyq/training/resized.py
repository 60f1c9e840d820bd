"""What layers share whose output is an image of another size."""

from __future__ import annotations

from typing import Any

import keras


class Resized(keras.layers.Layer):
    """An image of another size.

    Args:
        height: Height of the output.
        width: Width of the output.
    """

    def __init__(self, height: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.size = (int(height), int(width))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The size, with batch and channels."""
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {**super().get_config(), "height": self.size[0], "width": self.size[1]}
