"""The fixed network, data and budget on which methods are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyq.errors import DataError
from tinyq.support.datasets import Dataset, make_dataset

Progress = Callable[[int, int], None]
LAYERS = ((16, 2), (32, 2), (64, 2))
"""Filters and stride of the convolutions, all 3 x 3; each has BatchNormalization and ReLU."""

CLASSES = 10
BOARD = "stm32"
INPUT = {"range": [0.0, 1.0]}
OTHER_SAMPLES = 8
"""Images that the device answers with kernels chosen by other objectives than the default."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What every method gets.

    Attributes:
        float_epochs: Of the float model that all start from.
        epochs: Of training on, for the float model as well.
        float_rate: Learning rate at the start, decays as a cosine.
        rate: The same for training on.
        batch_size: Images per step.
        train_samples: Images of the training set.
        test_samples: Images of the test set, answered by Keras and by the C on the host.
        device_samples: Images that the emulated device answers.
    """

    float_epochs: int = 6
    epochs: int = 2
    float_rate: float = 3e-3
    rate: float = 2e-3
    batch_size: int = 128
    train_samples: int = 60_000
    test_samples: int = 10_000
    device_samples: int = 200


def load_images(path: Path) -> tuple[Dataset, Dataset]:
    """Training and test images, values 0 .. 1, shape (samples, 28, 28, 1), shuffled.

    Raises:
        DataError: The file is missing or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"cannot be used ({error})",
            where=str(path),
            remedy="give an .npz file with x_train, y_train, x_test, y_test",
        ) from None
    return _shuffle(*arrays[:2]), _shuffle(*arrays[2:])


def _shuffle(images: np.ndarray, labels: np.ndarray) -> Dataset:
    order = np.random.default_rng(0).permutation(len(images))
    return make_dataset(images[order, ..., None].astype(np.float32) / 255.0, labels[order])


def describe(budget: Budget, train: Dataset, test: Dataset) -> dict[str, Any]:
    """Everything that results depend on but method and seed."""
    hashed = hashlib.sha256()
    for data in (train, test):
        hashed.update(np.ascontiguousarray(data.x).tobytes())
        hashed.update(np.ascontiguousarray(data.y).tobytes())
    return {
        "layers": [list(layer) for layer in LAYERS],
        "input": INPUT,
        "board": BOARD,
        "data": hashed.hexdigest()[:16],
        **asdict(budget),
    }


def digest(facts: dict[str, Any]) -> str:
    """Short name of a description."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def build_network(package: Any) -> Any:
    """The float network.

    Args:
        package: ``keras``, or ``tf_keras`` for the baseline that needs it.
    """
    layers = package.layers
    x = inputs = package.Input((28, 28, 1), name="image")
    for number, (filters, stride) in enumerate(LAYERS, start=1):
        name = f"conv_{number}"
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.Flatten(name="flatten")(x)
    return package.Model(inputs, layers.Dense(CLASSES, name="logits")(x), name="fashion_small")
