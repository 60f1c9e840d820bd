from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tinyq.commands.output import JsonOption, TrustOption, print_json

BITS = (8, 4, 2)
RANGES = ("min_max", "percentile", "mse")


def quantize(
    model: Annotated[
        Path, typer.Argument(help="A float model: .keras, .h5, or the folder of a SavedModel.")
    ],
    data: Annotated[Path, typer.Option(help="An .npz file with inputs in the array x.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .keras file to write.")],
    bits: Annotated[int, typer.Option(help="Bits of the weights: 8, 4 or 2.")] = 8,
    end_bits: Annotated[
        int | None, typer.Option(help="Bits of the first and last layer's weights, if others.")
    ] = None,
    ranges: Annotated[
        str, typer.Option(help="Ranges of activations: min_max, percentile or mse.")
    ] = "mse",
    percentile: Annotated[
        float, typer.Option(help="Per cent of the values in the range, with percentile.")
    ] = 99.99,
    bias_correction: Annotated[
        bool, typer.Option(help="Take the mean error out of each channel.")
    ] = True,
    equalization: Annotated[
        bool, typer.Option(help="Scale channels between neighbouring layers.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Use the first so many samples only.")] = 512,
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Quantize a float Keras model after training, with a calibration set."""
    from tinyq.support.datasets import load_dataset

    check_arguments(model, output, (bits, end_bits or bits), ranges, percentile)
    inputs = load_dataset(data).take(samples).x
    from tinyq.graph.storage import digest
    from tinyq.importers.float_models import load_float_model
    from tinyq.training.advice import advise
    from tinyq.training.lowering.network import import_keras
    from tinyq.training.post_training import PostTraining, post_training

    options = PostTraining(
        bits=bits,
        end_bits=end_bits,
        ranges=ranges,  # type: ignore[arg-type]  # checked above
        percentile=percentile,
        bias_correction=bias_correction,
        equalization=equalization,
    )
    quantized = post_training(load_float_model(model, trust), inputs, options)
    graph = import_keras(quantized, output.stem)
    save_model(quantized, output)
    findings = advise(quantized)
    facts = {
        "model": graph.name,
        "file": str(output),
        "samples": len(inputs),
        "weight_bytes": sum(graph.constant_bytes(node) for node in graph.nodes),
        "graph_digest": digest(graph),
        "advice": [asdict(finding) for finding in findings],
    }
    if json:
        print_json(facts)
    else:
        typer.echo(
            f"{output}: {facts['weight_bytes']:,} bytes of weights, calibrated on {len(inputs):,} "
            "samples"
        )
        for finding in findings:
            typer.echo(f"advice: {finding.render()}")


def check_arguments(
    model: Path, output: Path, bits: tuple[int, ...], ranges: str, percentile: float
) -> None:
    """Check what can be known before TensorFlow loads, as `tinyq.training.post_training` does.

    Raises:
        TinyqError: A value is not one of its option, the model is missing or cannot be replaced.
    """
    from tinyq.errors import ModelError, TinyqError

    faults: dict[str, tuple[set[Any], str]] = {
        "--bits": (set(bits) - set(BITS), f"choose {', '.join(map(str, BITS))}"),
        "--ranges": ({ranges} - set(RANGES), f"choose {', '.join(RANGES)}"),
        "--percentile": (
            set() if 50.0 < percentile <= 100.0 else {percentile},
            "give a number above 50, at most 100",
        ),
    }
    for option, (wrong, remedy) in faults.items():
        for value in wrong:
            raise TinyqError(f"{value} is not supported", where=option, remedy=remedy)
    if output.suffix != ".keras" or output.is_dir():
        raise TinyqError(
            "is no .keras file", where=str(output), remedy="choose a name ending in .keras with -o"
        )
    if not model.exists():
        raise ModelError("there is no such file", where=str(model))


def save_model(model: object, output: Path) -> None:
    """Write a Keras model beside its place, then move it there.

    Raises:
        TinyqError: The folder cannot be written to.
    """
    from tinyq.support.files import replace_file

    with replace_file(output) as partial:
        model.save(partial)  # type: ignore[attr-defined]
