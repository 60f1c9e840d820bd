"""The C text of bound kernels: their parts, each shared one once in a program, then their own."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import jinja2

from tinyq.codegen.rendering import make_environment
from tinyq.errors import TinyqError
from tinyq.kernels.base import Bound, Part

if TYPE_CHECKING:
    from types import ModuleType

Once = Callable[[str], bool]
"""Whether a name is used for the first time in a program."""
_FOLDER = "kernels"


def write_kernel(bound: Bound, function: str, once: Once) -> str:
    """The C text of a bound kernel under a name.

    Raises:
        TinyqError: A template is wrong; the error names its file and line.
    """
    parts = (
        write_part(part, part.name_in(function))
        for part in bound.parts.values()
        if not part.shared or once(part.name)
    )
    return "".join((*parts, _write_own(bound, function))).strip("\n") + "\n"


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
    layer = bound.layer
    values = {
        "function": function,
        "signature": f"static void {function}({', '.join(bound.parameters)})",
        "parameters": bound.parameters,
        "layer": layer,
        **layer.geometry,
        "x_type": layer.inputs[0].format.c_type,
        "y_type": layer.output.format.c_type,
        **{key: part.name_in(function) for key, part in bound.parts.items()},
        **bound.values,
    }
    with _naming_the_line(bound.kernel.template):
        return _environment().get_template(bound.kernel.template).render(values)


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
