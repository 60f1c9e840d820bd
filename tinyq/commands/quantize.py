from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, print_json

BITS = (8, 4, 2)


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
    json: JsonOption = False,
) -> None:
    """Quantize a float Keras model after training, with a calibration set."""
    from tinyq.errors import TinyqError

    if output.suffix != ".keras":
        raise TinyqError(
            "is no .keras file", where=str(output), remedy="choose a name ending in .keras with -o"
        )
    for option, value in (("--bits", bits), ("--end-bits", end_bits)):
        if value not in (None, *BITS):
            raise TinyqError(
                f"weights of {value} bits", where=option, remedy=f"use {', '.join(map(str, BITS))}"
            )
    for path in (model, data):
        if not path.exists():
            raise TinyqError("there is no such file", where=str(path))

    # TensorFlow is loaded below; the mistakes above are found at once.
    from tinyq.graph.storage import digest
    from tinyq.importers.float_models import load_float_model
    from tinyq.support.datasets import load_dataset
    from tinyq.training.advice import advise
    from tinyq.training.lowering.network import import_keras
    from tinyq.training.post_training import PostTraining, post_training

    options = PostTraining(
        bits=bits,
        end_bits=end_bits,
        ranges=ranges,  # type: ignore[arg-type]  # checked by post_training
        percentile=percentile,
        bias_correction=bias_correction,
        equalization=equalization,
    )
    inputs = load_dataset(data).take(samples).x
    quantized = post_training(load_float_model(model), inputs, options)
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


def save_model(model: object, output: Path) -> None:
    """Write a Keras model beside its place, then move it there.

    Raises:
        TinyqError: The folder cannot be written to.
    """
    import tempfile

    from tinyq.errors import TinyqError

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.stem}-", dir=output.parent) as folder:
            path = Path(folder) / output.name
            model.save(path)  # type: ignore[attr-defined]
            path.replace(output)
    except OSError as error:
        raise TinyqError(
            f"cannot be written: {error.strerror}",
            where=str(output),
            remedy="choose another place with -o",
        ) from None
