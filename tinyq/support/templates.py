"""Templates with values: a name that is not given is an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyq.support.resources import TEMPLATES

if TYPE_CHECKING:
    import jinja2


def make_environment(folder: Path = TEMPLATES, *, autoescape: bool = False) -> jinja2.Environment:
    """Templates of a folder, whose lines of control leave no trace in the text.

    Args:
        folder: Where names of templates begin.
        autoescape: Whether values are made HTML.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not autoescape,
        autoescape=autoescape,
    )


def render(folder: Path, template: str, **values: Any) -> str:
    """Text of a template."""
    return make_environment(folder).get_template(template).render(**values)


def fill_page(template: str, **values: Any) -> str:
    """HTML of a template in templates/report/: a page without external parts."""
    environment = make_environment(TEMPLATES / "report", autoescape=True)
    return environment.get_template(template).render(**values)
