"""The command line: thin commands, one file each in `tinyq.commands`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import tinyq
from tinyq.commands.boards import boards
from tinyq.commands.build import build
from tinyq.commands.demo import demo
from tinyq.commands.diff import diff
from tinyq.commands.doctor import doctor
from tinyq.commands.export import export
from tinyq.commands.flash import flash
from tinyq.commands.inspect import inspect
from tinyq.commands.measure import measure
from tinyq.commands.methods import methods
from tinyq.commands.profile import profile
from tinyq.commands.quantize import quantize
from tinyq.errors import TinyqError
from tinyq.support.quiet import hush_imports

COMMANDS = (
    demo,
    quantize,
    build,
    flash,
    measure,
    profile,
    diff,
    inspect,
    boards,
    methods,
    export,
    doctor,
)

app = typer.Typer(
    name="tinyq",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.command()(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tinyq {tinyq.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    methods: Annotated[
        list[Path] | None,
        typer.Option(help="Run a Python file that registers methods of your own."),
    ] = None,
) -> None:
    """Train networks with few bits, turn them into plain C, measure them on the device."""
    for path in methods or ():
        tinyq.load_methods(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The words after `tinyq`; those of the process when None.

    Returns:
        0 success, 1 what the command checks is not as it should be, 2 bad input or a wrong
        option, 3 a fault of tinyq itself, 130 interrupted.

    Raises:
        Exception: Whatever the command raised, with `--debug` only.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    hush_tensorflow()
    try:
        app(args=words, prog_name="tinyq")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if "--debug" in words:
            raise
        return _print_error(error)
    return 0


def hush_tensorflow() -> None:
    """Keep TensorFlow, which is not loaded yet, from writing about missing GPUs and retracing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    hush_imports()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _print_error(error: Exception) -> int:
    """Write one message to stderr and return the exit code."""
    from rich.console import Console
    from rich.text import Text

    if isinstance(error, TinyqError):
        text, code = Text(error.render()), 2
    else:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        text = Text(
            f"error: tinyq failed unexpectedly: {reason}\n"
            "  remedy: this is a fault of tinyq; run `tinyq --debug …` and report the traceback "
            "with the output of `tinyq doctor`"
        )
        code = 3
    text.highlight_regex(r"^error:", "bold red")
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)
    return code
