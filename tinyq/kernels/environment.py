"""The environment of all templates: text functions and filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyq.kernels import ctext, thumb, thumb1
from tinyq.support import templates

if TYPE_CHECKING:
    import jinja2


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
        quoted=ctext.quote,
        table=ctext.write_table,
        words=ctext.write_words,
        values=ctext.write_values,
        fields=ctext.write_fields,
        hex_bytes=ctext.write_digest,
        first_row=ctext.decode_first_row,
    )
    return environment
