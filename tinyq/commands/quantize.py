from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyq.commands.output import JsonOption, TrustOption, show, show_progress


def quantize(
    model: Annotated[
        Path,
        typer.Argument(help="A float model: .keras, .h5, .tflite, or the folder of a SavedModel."),
    ],
    data: Annotated[Path, typer.Option(help="An .npz file with inputs in the array x.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .keras file to write.")],
    bits: Annotated[int, typer.Option(help="Bits of the weights: 2 to 8.")] = 8,
    end_bits: Annotated[
        int | None, typer.Option(help="Bits of the first and last layer's weights, if others.")
    ] = None,
    ranges: Annotated[
        str, typer.Option(help="Ranges of activations: min_max, percentile, mse or prediction.")
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
    reconstruct: Annotated[
        str | None,
        typer.Option(help="Round weights by the output of each layer or block, which this says."),
    ] = None,
    drop: Annotated[
        float,
        typer.Option(help="Share of activations that reconstruction leaves real, 0 to below 1."),
    ] = 0.0,
    solver: Annotated[
        str,
        typer.Option(help="How reconstruction chooses codes: learned, gptq or bit_split."),
    ] = "learned",
    samples: Annotated[int, typer.Option(min=1, help="Use the first so many samples only.")] = 512,
    trust: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Quantize a float Keras model after training, with a calibration set."""
    from tinyq.api.quantize import Calibration, calibrate

    options = Calibration(
        bits=bits,
        end_bits=end_bits,
        ranges=ranges,
        percentile=percentile,
        bias_correction=bias_correction,
        equalization=equalization,
        reconstruct=reconstruct,
        drop=drop,
        solver=solver,
        samples=samples,
    )
    with show_progress("reconstructing", quiet=json or reconstruct is None) as update:
        found = calibrate(model, data, output, options, trust, lambda *told: update(*told[:2]))
    show(found, json)
