"""Methods of a user's own: a small function or class in a file of theirs."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from tinyq.errors import TinyqError
from tinyq.numerics.formats import FORMATS, Format, find_format
from tinyq.quantizers.activations import ActivationQuantizer
from tinyq.quantizers.catalogue import OWN_ENTRIES
from tinyq.quantizers.combinations import ActivationParts
from tinyq.quantizers.finding import METHODS, OWN, Preset, find_method
from tinyq.quantizers.method import Entry, Role
from tinyq.quantizers.parts import gradients
from tinyq.quantizers.parts.levels import Given
from tinyq.quantizers.parts.steps import Axes
from tinyq.quantizers.procedure import Procedure
from tinyq.quantizers.weights import WeightParts

Function = Callable[[Any, Axes], tuple[Any, Any]]
Decorator = Callable[[Any], Any]
_SEPARATOR = ".py:"
_PROBE = (3, 3, 2, 4), (0, 1, 2)


def register_weights(
    name: str | None = None,
    *,
    format: str,  # noqa: A002
    gradient: gradients.Derivative = gradients.identity,
    procedure: Procedure | None = None,
) -> Decorator:
    """Decorator that makes a function a method of weights, by a name that recipes can say.

        codes, scale = function(kernel, axes)
        w_q          = clip(round(codes), lo, hi) * scale

    Args:
        name: Name in recipes; that of the function when None.
        format: Number format of the codes: b1, t2, s2, s3, s4 or s8.
        gradient: Derivative of ``w_q`` by the kernel that training uses.
        procedure: What training does besides.

    Returns:
        A decorator for functions of the kernel, float32, and of the axes over which a scale is
        shared; they return codes in the kernel's shape and a positive scale that broadcasts to it.

    Raises:
        TinyqError: The name is taken, the format has a table of its own, or the function does not
            give codes and a scale.
    """
    number_format = _plain_format(format)

    def decorate(function: Function) -> Function:
        own = name or function.__name__
        _try_out(function, own)
        parts = WeightParts(
            format,
            Given(number_format.lo, number_format.hi, number_format.step),
            function,
            _given_scale,
            gradient,
            projection=False,
            procedure=procedure or Procedure(),
        )
        _add(own, function, "weights", parts)
        return function

    return decorate


def register_activations(
    name: str | None = None,
    *,
    format: str,  # noqa: A002
    replaces_relu: bool = False,
    **options: Any,
) -> Decorator:
    """Decorator that makes an ``ActivationQuantizer`` a method of activations.

    Args:
        name: Name in recipes; that of the class when None.
        format: Number format of the codes: b1, u2, u4 or s8.
        replaces_relu: Whether the method works only without a ReLU before it.
        options: Arguments of the class.

    Returns:
        A decorator for subclasses of ``ActivationQuantizer``.

    Raises:
        TinyqError: The name is taken, the format is unknown, or it is no such class.
    """
    find_format(format)

    def decorate(quantizer: type[ActivationQuantizer]) -> type[ActivationQuantizer]:
        own = name or quantizer.__name__
        if not (inspect.isclass(quantizer) and issubclass(quantizer, ActivationQuantizer)):
            raise TinyqError(
                "is no class of activation quantizers",
                where=own,
                remedy="derive it from tinyq.quantizers.ActivationQuantizer or a subclass",
            )
        build = partial(quantizer, **options)
        found = build(name="quantizer")
        if found.format.name != format:
            raise TinyqError(
                f"its codes have format {found.format.name}, not {format}",
                where=own,
                remedy=f"register it with format={found.format.name!r}",
            )
        _add(own, quantizer, "activations", ActivationParts(format, build, replaces_relu, False))
        return quantizer

    return decorate


def load_methods(path: str | Path) -> None:
    """Run a Python file whose functions and classes register themselves.

    Raises:
        TinyqError: The file is missing or raises an error.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise TinyqError(
            "there is no such file of methods",
            where=str(path),
            remedy="give the path of the Python file that registers the method",
        )
    key = f"tinyq_methods_{path.stem}"
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(key)
    sys.modules[key] = module  # dataclasses and pickles look there
    try:
        spec.loader.exec_module(module)
    except TinyqError:
        raise
    except Exception as error:  # whatever the user's file raises
        raise TinyqError(
            f"the file raises {type(error).__name__}: {error}", where=str(path)
        ) from error
    finally:
        if before is not None:
            sys.modules[key] = before


def find_or_load(
    name: str, role: Role, folder: Path, options: Mapping[str, Any] | None = None
) -> Preset:
    """A method by its name, or by ``FILE.py:NAME`` with the file that registers it.

    Args:
        name: What a recipe says.
        role: ``weights`` or ``activations``.
        folder: Where a relative path begins.
        options: Options of the method, for the literature's alone.

    Raises:
        TinyqError: There is no such method or file.
    """
    stem, separator, own = name.rpartition(_SEPARATOR)
    if not separator:
        return find_method(name, role, options)
    if options:
        raise TinyqError(
            "a method of your own has no options",
            where=name,
            remedy="register another one, or write the value in the file",
        )
    path = folder / f"{stem}.py"
    load_methods(path)
    if (own, role) not in OWN:
        found = ", ".join(known for known, kind in OWN if kind == role)
        raise TinyqError(
            f"the file registers no method {own!r} for {role}",
            where=str(path),
            remedy=f"put @tinyq.register_{role}({own!r}, format=...) over it"
            + (f"; registered are: {found}" if found else ""),
        )
    return OWN[own, role]


def _plain_format(name: str) -> Format:
    number_format = find_format(name)
    if number_format.table or number_format.levels or number_format.bits > 8:
        plain = [known for known, entry in FORMATS.items() if not entry.table and not entry.levels]
        raise TinyqError(
            f"codes of format {name} are not all integers of a range",
            remedy=f"use one of {', '.join(plain)}",
        )
    return number_format


def _given_scale(weights: Any, codes: Any, unit: Any, axes: Axes) -> Any:
    """The scale that the function gave."""
    del codes, axes
    return ops.cast(ops.convert_to_tensor(unit[1]), weights.dtype)


def _try_out(function: Function, name: str) -> None:
    """Call a function of weights once, for the message that training would not give."""
    shape, axes = _PROBE
    kernel = np.random.default_rng(0).normal(0, 0.3, shape).astype(np.float32)
    try:
        codes, scale = function(ops.convert_to_tensor(kernel), axes)
        codes, scale = ops.convert_to_numpy(codes), ops.convert_to_numpy(scale)
        fits = np.broadcast_shapes(codes.shape, shape) == shape
        per_channel = np.broadcast_to(scale, (1, 1, 1, shape[-1]))
    except (TypeError, ValueError) as error:
        raise _no_method(name, str(error)) from None
    if not (fits and np.isfinite(codes).all() and (per_channel > 0).all()):
        raise _no_method(name, "codes or scale of a random kernel are not as they should be")


def _no_method(name: str, reason: str) -> TinyqError:
    return TinyqError(
        f"does not give codes and a scale: {reason.splitlines()[0]}",
        where=name,
        remedy="return a tuple of codes in the kernel's shape and a positive scale with one value, "
        "or with one for each output channel and all dimensions kept",
    )


def _add(name: str, source: Any, role: Role, parts: Any) -> None:
    origin = f"{Path(inspect.getsourcefile(source) or '?').resolve()}:{source.__qualname__}"
    if name in METHODS:
        raise TinyqError(f"the name {name!r} belongs to {METHODS[name].entry.title}", where=origin)
    before = OWN.get((name, role))
    if before is not None and before.entry.reference != origin:
        raise TinyqError(
            f"the name {name!r} is registered twice",
            where=origin,
            remedy=f"choose another name; the first is in {before.entry.reference}",
        )
    summary = (inspect.getdoc(source) or "a user's own method").splitlines()[0]
    entry = Entry(name, name, 0, origin, "-", summary)
    row = OWN_ENTRIES.get(name, entry)
    formats: dict[str, Any] = {role: {**getattr(row, role), name: parts.format}}
    OWN_ENTRIES[name] = replace(row, **formats)
    made: dict[str, Any] = {f"make_{role}": lambda: parts}
    OWN[name, role] = Preset(name, replace(entry, **formats), **made)
