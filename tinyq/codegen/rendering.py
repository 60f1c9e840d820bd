"""Templates with the values that they are filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyq.codegen import ctext
from tinyq.codegen.kernels import Stage
from tinyq.kernels import thumb, thumb1
from tinyq.support import templates
from tinyq.support.resources import TEMPLATES

if TYPE_CHECKING:
    import jinja2

    from tinyq.codegen.variants import Function


def make_environment() -> jinja2.Environment:
    """Templates with the text functions of ``ctext``."""
    environment = templates.make_environment()
    environment.globals.update(fill=ctext.fill, parameters=ctext.list_parameters)
    environment.globals.update(
        load=thumb.load, add=thumb.add, advance=thumb.advance, retreat=thumb.retreat
    )
    environment.globals.update(offset=thumb.offset, add_constant=thumb.add_constant)
    environment.globals.update(load_v6m=thumb1.load, advance_v6m=thumb1.advance)
    environment.filters.update(
        assembly=ctext.quote_assembly,
        comment=ctext.comment,
        plain=ctext.plain,
        table=ctext.write_table,
        words=ctext.write_words,
        values=ctext.write_values,
        fields=ctext.write_fields,
        hex_bytes=ctext.write_digest,
        first_row=ctext.decode_first_row,
    )
    return environment


def render_function(environment: jinja2.Environment, function: Function) -> str:
    """The C text of a kernel for one combination of formats and output stage."""
    path = function.kernel.path.relative_to(TEMPLATES).as_posix()
    return environment.get_template(path).render(list_values(function))


def list_values(function: Function) -> dict[str, Any]:
    """What a kernel template knows."""
    values: dict[str, Any] = {
        "function": function.name,
        "op": function.kernel.operation,
        "inputs": function.inputs,
        "output": function.output,
    }
    if function.stage:
        values |= {
            "accumulator": function.stage.accumulator,
            "finish": function.stage.function,
            "stage": function.stage.stage,
            "stage_type": function.stage.type,
        }
    return values


def render_stage(environment: jinja2.Environment, function: Function, stage: Stage) -> str:
    """The C text of an output stage."""
    path = stage.path.relative_to(TEMPLATES).as_posix()
    return environment.get_template(path).render(
        function=stage.function, stage_type=stage.type, output=function.output
    )
