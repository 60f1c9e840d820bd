"""Handwritten digits that come with scikit-learn: the data of the demo and of tests."""

from __future__ import annotations

import numpy as np

from tinyq.support.datasets import Dataset, make_dataset

_SEED = 0


def load_digits() -> tuple[Dataset, Dataset]:
    """The 1,797 digits of scikit-learn, 8 x 8 pixels in 0 .. 1: train and test, 3 to 1.

    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI repository.
    """
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    digits = load()
    images = (digits.images[..., None] / 16.0).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.25, random_state=_SEED, stratify=digits.target
    )
    return make_dataset(x_train, y_train), make_dataset(x_test, y_test)
