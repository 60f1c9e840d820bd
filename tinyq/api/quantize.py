from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyq.api.arguments import PathLike, as_dataset, as_path, is_keras_model, is_path
from tinyq.errors import ModelError, TinyqError
from tinyq.graph import Graph
from tinyq.graph.storage import digest
from tinyq.support.documents import stamp
from tinyq.support.files import replace_file
from tinyq.support.tables import Part, Shown

if TYPE_CHECKING:
    import keras

    from tinyq.training.advice import Finding
    from tinyq.training.recipe import Recipe

BITS = (8, 7, 6, 5, 4, 3, 2)
RANGES = ("min_max", "percentile", "mse", "prediction")
EXTENTS = ("layer", "block")
SOLVERS = ("learned", "gptq", "bit_split")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How a float model is quantized after training; the options of `quantize` of those names."""

    bits: int = 8
    end_bits: int | None = None
    ranges: str = "mse"
    percentile: float = 99.99
    bias_correction: bool = True
    equalization: bool = False
    reconstruct: str | None = None
    drop: float = 0.0
    solver: str = "learned"
    samples: int = 512


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Quantized(Shown):
    """A model that was quantized after training.

    Attributes:
        model: The Keras model.
        graph: The integers that it computes, called after the file.
        advice: What costs accuracy.
        samples: Inputs that it was calibrated on.
        file: Where it was written; None where it was not.
    """

    model: keras.Model
    graph: Graph
    advice: tuple[Finding, ...]
    samples: int
    file: Path | None

    @property
    def weight_bytes(self) -> int:
        """Packed constants."""
        return sum(self.graph.constant_bytes(node) for node in self.graph.nodes)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return stamp(
            "quantization",
            {
                "model": self.graph.name,
                "file": None if self.file is None else str(self.file),
                "samples": self.samples,
                "weight_bytes": self.weight_bytes,
                "graph_digest": digest(self.graph),
                "advice": [asdict(finding) for finding in self.advice],
            },
        )

    def parts(self) -> list[Part]:
        """Size, and advice."""
        return [
            f"{self.file or self.graph.name}: {self.weight_bytes:,} bytes of weights, calibrated "
            f"on {self.samples:,} samples",
            *(f"advice: {finding.render()}" for finding in self.advice),
        ]


def quantize(
    model: Any,
    recipe: Recipe | Mapping[str, Any] | PathLike | None = None,
    *,
    data: Any = None,
    output: PathLike | None = None,
    bits: int = 8,
    end_bits: int | None = None,
    ranges: str = "mse",
    percentile: float = 99.99,
    bias_correction: bool = True,
    equalization: bool = False,
    reconstruct: str | None = None,
    drop: float = 0.0,
    solver: str = "learned",
    samples: int = 512,
    trust: bool = False,
) -> keras.Model:
    """A quantized Keras model: by a recipe, to train on, or by data, without training.

    With a recipe the model of quantized layers has the float model's weights and trains with plain
    ``compile`` and ``fit``. In training it simulates; ``evaluate`` and ``predict`` compute the
    integers of the deployed code. A layer's ``activations`` method is the format of its input.
    With data the ranges of activations are those that the float model shows, and nothing is
    trained; the options from ``bits`` to ``samples`` are for this.

    Args:
        model: Float model: of Keras 3, functional, Sequential, or of a class and called; or the
            path of a .keras, .h5 or float .tflite file or of a SavedModel. It is left as it is.
        recipe: Methods per layer, as a dict, a YAML file's path, or a ``Recipe``.
        data: Inputs to calibrate on: an .npz file with x, an array, or a pair (x, y); of several
            inputs an .npz file with x_NAME, or a mapping by their names.
        output: The .keras file to write, besides.
        bits: Bits of the weights: 2 to 8.
        end_bits: Bits of the first and last layer's weights; as ``bits`` when None.
        ranges: Ranges of activations: ``min_max``, ``percentile``, ``mse``, or ``prediction``,
            which changes the network's answers least.
        percentile: Per cent of the values in the range, with ``percentile``.
        bias_correction: Whether the mean error is taken out of each channel.
        equalization: Whether channels are scaled between neighbouring layers.
        reconstruct: ``layer`` or ``block``: weights are rounded up or down such that the output of
            each layer or block stays near the float model's, in place of the nearest code.
        drop: Share of activations that each step of the reconstruction leaves in floating point.
        solver: How ``reconstruct`` chooses codes: ``learned`` trains whether each weight goes up
            or down; ``gptq`` and ``bit_split``, for ``layer``, follow from the inputs' moments.
        samples: Use the first so many samples only.
        trust: As of `tinyq.load`.

    Raises:
        ModelError: A layer is not supported, or a weight is not finite.
        RecipeError: The recipe is wrong.
        TinyqError: Neither a recipe nor data are given, or both, or an option is wrong.
    """
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
    if (recipe is None) == (data is None):
        raise TinyqError(
            "a model is quantized by a recipe, to train on, or by data, without training",
            where="quantize",
            remedy="give either a recipe or data",
        )
    file = None if output is None else as_path(output)
    if recipe is None:
        return calibrate(model, data, file, options, trust).model
    if options != Calibration():
        raise TinyqError(
            "with a recipe the formats are those that it says",
            where="quantize",
            remedy="leave out the options from bits to samples, or give data in place of a recipe",
        )
    return _quantize_by(recipe, model, file, trust)


def _quantize_by(recipe: Any, model: Any, file: Path | None, trust: bool) -> keras.Model:
    if file is not None:
        check_output(file)
    from tinyq.training.quantize import quantize as run

    quantized = run(load_float(model, trust), recipe)
    if file is not None:
        save_model(quantized, file)
    return quantized


def calibrate(
    model: Any,
    data: Any,
    file: Path | None,
    options: Calibration,
    trust: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Quantized:
    """Quantize a float model after training; arguments and errors as of `quantize`.

    ``progress`` is told regions done, regions in all and what became of the last one.
    """
    check_options(options)
    if file is not None:
        check_output(file)
    if is_path(model) and not as_path(model).exists():
        raise ModelError("there is no such file", where=str(model))
    dataset = as_dataset(data, options.samples, mapped=True)
    from tinyq.training.advice import advise
    from tinyq.training.lowering.network import import_keras
    from tinyq.training.post_training import PostTraining, post_training
    from tinyq.training.reconstruction import Reconstruction

    quantized = post_training(
        load_float(model, trust),
        dataset.inputs.get("", dataset.inputs),
        PostTraining(
            bits=options.bits,
            end_bits=options.end_bits,
            ranges=options.ranges,  # type: ignore[arg-type]  # checked above
            percentile=options.percentile,
            bias_correction=options.bias_correction,
            equalization=options.equalization,
            reconstruction=None
            if options.reconstruct is None
            else Reconstruction(
                options.reconstruct,  # type: ignore[arg-type]  # checked above
                drop=options.drop,
                rounding=options.solver,
            ),
        ),
        progress,
    )
    graph = import_keras(quantized, None if file is None else file.stem)
    if file is not None:
        save_model(quantized, file)
    return Quantized(quantized, graph, advise(quantized), len(dataset), file)


def check_options(options: Calibration) -> None:
    """Check what can be known before TensorFlow loads, as `tinyq.training.post_training` does.

    Raises:
        TinyqError: A value is not one of its option.
    """
    bits = {options.bits, options.end_bits or options.bits}
    percentile = options.percentile
    faults: dict[str, tuple[set[Any], str]] = {
        "--bits": (bits - set(BITS), f"choose {', '.join(map(str, BITS))}"),
        "--ranges": ({options.ranges} - set(RANGES), f"choose {', '.join(RANGES)}"),
        "--percentile": (
            set() if 50.0 < percentile <= 100.0 else {percentile},
            "give a number above 50, at most 100",
        ),
        "--reconstruct": (
            {options.reconstruct} - {None, *EXTENTS},
            f"choose {' or '.join(EXTENTS)}",
        ),
        "--drop": (
            set() if 0.0 <= options.drop < 1.0 else {options.drop},
            "give a number from 0 on, below 1",
        ),
        "--solver": (
            {options.solver} - set(SOLVERS),
            f"choose {', '.join(SOLVERS)}",
        ),
        "--samples": (
            set() if options.samples >= 1 else {options.samples},
            "give a number of at least 1",
        ),
    }
    if options.solver != SOLVERS[0] and options.reconstruct != EXTENTS[0]:
        faults["--solver"] = ({options.solver}, "give --reconstruct layer with it")
    for option, (wrong, remedy) in faults.items():
        for value in wrong:
            raise TinyqError(f"{value} is not supported", where=option, remedy=remedy)


def check_output(file: Path) -> None:
    """Check that a Keras model can be written to a file of that name.

    Raises:
        TinyqError: It is of another kind.
    """
    if file.suffix != ".keras" or file.is_dir():
        raise TinyqError(
            "is no .keras file", where=str(file), remedy="choose a name ending in .keras with -o"
        )


def save_model(model: keras.Model, file: Path) -> None:
    """Write a Keras model beside its place, then move it there.

    Raises:
        FileError: The folder cannot be written to.
    """
    with replace_file(file) as partial:
        model.save(partial)


def load_float(model: Any, trust: bool) -> keras.Model:
    """A float model in memory, or from a file.

    Raises:
        ModelError: It is none.
    """
    if is_path(model):
        from tinyq.importers.float_models import load_float_model

        return load_float_model(as_path(model), trust)
    if not is_keras_model(model):
        raise ModelError(
            f"{type(model).__name__} is no float model",
            remedy="give a Keras 3 model, or the path of a file",
        )
    return model
