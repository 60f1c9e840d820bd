"""The C text of bound kernels: their parts, each shared one once in a program, then their own."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jinja2

from tinyq.errors import TinyqError
from tinyq.kernels.base import Bound, Part
from tinyq.kernels.environment import make_environment
from tinyq.kernels.epilogues import EpilogueFunction
from tinyq.numerics.formats import find_format

if TYPE_CHECKING:
    from types import ModuleType

Once = Callable[[str], bool]
"""Whether a name is used for the first time in a program."""
UNPACKED = "s8"  # what codes of fewer bits are unpacked to
_FOLDER = "kernels"


def write_kernel(bound: Bound, function: str, once: Once) -> str:
    """The C text of a bound kernel under a name.

    Raises:
        TinyqError: A template is wrong; the error names its file and line.
    """
    inner = f"{write_kernel(bound.inner, name_inner(function), once)}\n" if bound.inner else ""
    parts = (
        write_part(part, part.name_in(function))
        for part in bound.parts.values()
        if not part.shared or once(part.name)
    )
    own = "".join((*parts, _write_own(bound, function)))
    # Shared kernels have always kept the line that their template begins with.
    return inner + (own if bound.shared else own.strip("\n") + "\n")


def write_epilogue(epilogue: EpilogueFunction) -> str:
    """The C text of an epilogue's function.

    Raises:
        TinyqError: Its template is wrong; the error names its file and line.
    """
    values = {
        "function": epilogue.name,
        "epilogue_type": epilogue.struct,
        "output": find_format(epilogue.format),
    }
    with _naming_the_line(epilogue.template):
        return _environment().get_template(epilogue.template).render(values)


def name_inner(function: str) -> str:
    """C name of the kernel behind an unpacking."""
    return f"{function}_{UNPACKED}"


def write_part(part: Part, name: str) -> str:
    """The C text of a part under a name.

    Raises:
        TinyqError: Its template is wrong; the error names its file and line.
    """
    with _naming_the_line(part.source):
        macros = _read(f"{_FOLDER}/{part.source}")
        text: str = getattr(macros, part.macro)(name=name, **part.values)
    return text


def make_once() -> Once:
    """A function that is true when a name is given for the first time."""
    seen: set[str] = set()

    def once(name: str) -> bool:
        fresh = name not in seen
        seen.add(name)
        return fresh

    return once


def _write_own(bound: Bound, function: str) -> str:
    template = bound.template or bound.kernel.template
    values = _name_shared(bound, function) if bound.shared else _name_values(bound, function)
    with _naming_the_line(template):
        return _environment().get_template(template).render(values)


def _name_shared(bound: Bound, function: str) -> dict[str, Any]:
    """What the text of a shared kernel knows: formats and the epilogue's function, no size."""
    layer, finisher = bound.layer, bound.layer.finisher
    values: dict[str, Any] = {
        "function": function,
        "op": bound.kernel.operation,
        # A kernel serves every table of its formats.
        "inputs": tuple(find_format(entry.format.name) for entry in layer.inputs),
        "output": layer.output.format,
    }
    if finisher:
        values |= {
            "accumulator": finisher.accumulator,
            "finish": finisher.name,
            "epilogue": finisher.epilogue,
            "epilogue_type": finisher.struct,
        }
    return {**values, **bound.values}


def _name_values(bound: Bound, function: str) -> dict[str, Any]:
    layer = bound.layer
    return {
        "function": function,
        "signature": f"static void {function}({', '.join(bound.parameters)})",
        "parameters": bound.parameters,
        "layer": layer,
        **layer.geometry,
        **({"inner": name_inner(function)} if bound.inner else {}),
        "x_type": layer.inputs[0].format.c_type,
        "y_type": layer.output.format.c_type,
        **{key: part.name_in(function) for key, part in bound.parts.items()},
        **bound.values,
    }


@contextmanager
def _naming_the_line(template: str) -> Iterator[None]:
    """Errors of a template with its file and line."""
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        where = f"{error.name or template}:{error.lineno}"
        raise _fault(where, error) from error
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame for frame in frames if frame.filename.endswith(".j2")]
        where = f"{lines[-1].filename}:{lines[-1].lineno}" if lines else template
        raise _fault(where, error) from error


def _fault(where: str, error: Exception) -> TinyqError:
    return TinyqError(
        f"a kernel's template is wrong: {error}",
        where=where,
        remedy="give the value that it asks for in the kernel's bind, or mend the template",
    )


@functools.cache
def _read(path: str) -> ModuleType:
    """Macros of a template."""
    module: ModuleType = _environment().get_template(path).module  # type: ignore[assignment]
    return module


@functools.cache
def _environment() -> jinja2.Environment:
    return make_environment()
