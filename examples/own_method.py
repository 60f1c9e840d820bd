"""A quantization method of your own: five levels per filter, from training to the emulated STM32.

    python examples/own_method.py

A recipe in another place says `weights: examples/own_method.py:quinary`, and commands that read its
models get `tinyq --methods examples/own_method.py build model.keras --board stm32`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from keras import ops

import tinyq
from tinyq.commands.cli import hush_tensorflow
from tinyq.commands.output import print_report, show_progress
from tinyq.digits import load_digits
from tinyq.errors import TinyqError
from tinyq.experiment import Experiment, run_experiment
from tinyq.hardware.boards import find_board


@tinyq.register_weights("quinary", format="s4")
def quinary(kernel: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Five levels -2 .. 2; a step is 0.8 of the mean magnitude of a filter."""
    step = 0.8 * ops.mean(ops.abs(kernel), axis=axes, keepdims=True) + 1e-8
    return ops.clip(ops.round(kernel / step), -2, 2), step


def main(
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("build/own_method"),
    target: str = "qemu",
    epochs: Annotated[int, typer.Option(help="Of the float model and of training on.")] = 10,
) -> None:
    """Train digits with five-level weights and let the device answer the test images."""
    from tinyq.training.fitting import Schedule, fit, seed
    from tinyq.training.networks import digits_network

    seed(0)
    train, test = load_digits()
    model = digits_network()
    with show_progress("float model") as progress:
        fit(model, train, Schedule(epochs), progress)
    recipe = {"weights": "quinary", "activations": "int8", "input": {"range": [0.0, 1.0]}}
    experiment = Experiment("Five levels", model, recipe, train, test, Schedule(epochs))
    report, _ = run_experiment(
        experiment, find_board("stm32"), target, output, partial(show_progress)
    )
    print_report(report)


if __name__ == "__main__":
    hush_tensorflow()
    try:
        typer.run(main)
    except TinyqError as error:
        sys.exit(error.render())
