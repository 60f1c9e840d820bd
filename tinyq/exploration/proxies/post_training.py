"""The model as quantization after training leaves it."""

from __future__ import annotations

from typing import Any

from tinyq.exploration.network import Network
from tinyq.exploration.proxies.registry import proxy
from tinyq.exploration.space import Assignment, Space
from tinyq.training.reconstruction import Reconstruction


@proxy("ptq")
def quantize_after_training(
    network: Network, space: Space, assignment: Assignment, epochs: int, seed: int
) -> Any:
    """Ranges from the calibration data, no gradient; seconds a trial."""
    return network.calibrate(space, assignment)


@proxy("reconstruct")
def reconstruct_after_training(
    network: Network, space: Space, assignment: Assignment, epochs: int, seed: int
) -> Any:
    """The same with weights rounded so that the outputs of blocks stay; a minute a trial.

    Reference: Li et al. 2021, BRECQ, arXiv:2102.05426.
    """
    return network.calibrate(space, assignment, Reconstruction("block", seed=seed))
