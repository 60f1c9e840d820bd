"""The model as quantization after training leaves it."""

from __future__ import annotations

from typing import Any

from tinyq.exploration.network import Network
from tinyq.exploration.proxies.registry import proxy
from tinyq.exploration.space import Assignment, Space


@proxy("ptq")
def quantize_after_training(
    network: Network, space: Space, assignment: Assignment, epochs: int, seed: int
) -> Any:
    """Ranges from the calibration data, no gradient; seconds a trial."""
    return network.calibrate(space, assignment)
