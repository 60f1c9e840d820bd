"""What is known of each Keras layer: the files of the folder ``layers`` say it by decorators.

A layer of another shape is first rewritten into plain ones (``rewrites``). A plain layer becomes a
quantized one (``quantizes``), and a layer of a quantized model becomes operations (``lowers``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import keras

from tinyq.support.modules import import_modules

if TYPE_CHECKING:
    from tinyq.training.lowering.emission import Lowering, Value
    from tinyq.training.patterns import FusedLayer
    from tinyq.training.recipe import Rule
    from tinyq.training.rewriting import Application, Rewriting
    from tinyq.training.tracing import Step

    Rewriter = Callable[[Rewriting, Application], Any]
    Builder = Callable[[FusedLayer, dict[str, Any], Rule], Any]
    Converter = Callable[[Lowering, Step, tuple[Value, ...]], Value]

_OWN_PACKAGES = ("keras", "tinyq")
_PACKAGE = "tinyq.training.layers"
_OPERATION = "ops."


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a plain float layer becomes a quantized one.

    Attributes:
        build: Makes the quantized layer from the fused layer, common options, and its rule.
        weighted: Whether it has a kernel, so that recipes give it a method of weights.
        fuses: Whether a BatchNormalization and a ReLU behind it become a part of it.
        equalizes: Whether scales may move between its channels and those of its neighbours.
        reads: Activation method that its inputs must have; None where a recipe may choose.
        emits: Activation method of its output: None for what the readers want, ``INPUT`` for that
            of its input, or a name.
        keeps_sign: Whether no output is negative where no input is.
        nonnegative: Whether no output is negative whatever the inputs are.
        joins: Whether it takes over the one method that all its readers want.
    """

    build: Builder
    weighted: bool = False
    fuses: bool = False
    equalizes: bool = False
    reads: str | None = None
    emits: str | None = None
    keeps_sign: bool = False
    nonnegative: Callable[[Any], bool] = lambda layer: False
    joins: bool = False


INPUT = "input"


@dataclass(frozen=True, slots=True)
class Lowers:
    """How a layer of a quantized model becomes operations.

    Attributes:
        convert: Adds the operations to the graph.
        preserves: Whether a layer hands on values as they are, so that codes keep their meaning.
        whole_bytes: Whether it can only move codes of 8 bits.
    """

    convert: Converter
    preserves: Callable[[Any], bool]
    whole_bytes: bool = False


_REWRITERS: dict[str, Rewriter] = {}
_QUANTIZATIONS: dict[str, Quantization] = {}
_LOWERINGS: dict[str, Lowers] = {}
_REFUSALS: dict[str, str] = {}
_CLASSES: dict[str, type] = {}


def kind_of(layer: Any) -> str:
    """The name under which a layer is registered: its class, with ``ops.`` before an operation.

    A class of another package keeps its module, so that it is never taken for a Keras layer that
    has the same name.
    """
    cls = type(layer)
    if cls.__module__.partition(".")[0] not in _OWN_PACKAGES:
        return f"{cls.__module__}.{cls.__qualname__}"
    return cls.__name__ if isinstance(layer, keras.layers.Layer) else _OPERATION + cls.__name__


def rewrites(*kinds: str) -> Callable[[Rewriter], Rewriter]:
    """Register a function that expresses a layer by plainer ones."""
    return _register(_REWRITERS, kinds, lambda function: function)


def quantizes(*kinds: str, **options: Any) -> Callable[[Builder], Builder]:
    """Register a builder of quantized layers; options are attributes of ``Quantization``."""
    return _register(_QUANTIZATIONS, kinds, lambda build: Quantization(build, **options))


def lowers(
    *kinds: str,
    preserves: bool | Callable[[Any], bool] = False,
    whole_bytes: bool = False,
) -> Callable[[Converter], Converter]:
    """Register a converter; ``preserves`` and ``whole_bytes`` as in ``Lowers``."""
    test = preserves if callable(preserves) else lambda layer: bool(preserves)
    return _register(_LOWERINGS, kinds, lambda convert: Lowers(convert, test, whole_bytes))


def refuses(*kinds: str, remedy: str) -> None:
    """Register what helps where a kind of layer is refused."""
    _REFUSALS.update(dict.fromkeys(kinds, remedy))


def serializable(cls: type) -> type:
    """Register a class with Keras, so that files that name it load."""
    _CLASSES[cls.__name__] = cls
    return keras.saving.register_keras_serializable(package="tinyq")(cls)


def _register(
    table: dict[str, Any], kinds: tuple[str, ...], wrap: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        for kind in kinds:
            if kind in table:
                raise ValueError(f"two functions are registered for {kind}")
            table[kind] = wrap(function)
        return function

    return register


@functools.cache
def load_layers() -> None:
    """Import every file of the folder ``layers``."""
    import_modules(_PACKAGE)


def _loaded(table: dict[str, Any]) -> Mapping[str, Any]:
    load_layers()
    return MappingProxyType(table)


def find_rewriters() -> Mapping[str, Rewriter]:
    """Functions that express layers by plainer ones, by kind."""
    return _loaded(_REWRITERS)


def find_quantizations() -> Mapping[str, Quantization]:
    """How float layers become quantized ones, by kind."""
    return _loaded(_QUANTIZATIONS)


def find_lowerings() -> Mapping[str, Lowers]:
    """How layers of quantized models become operations, by kind."""
    return _loaded(_LOWERINGS)


def find_refusals() -> Mapping[str, str]:
    """What helps where a layer is refused, by kind."""
    return _loaded(_REFUSALS)


def find_classes() -> Mapping[str, type]:
    """The classes that files name, by class name."""
    return _loaded(_CLASSES)


def is_preserving(layer: Any) -> bool:
    """Whether a layer hands on values as they are."""
    found = find_lowerings().get(kind_of(layer))
    return found is not None and found.preserves(layer)
