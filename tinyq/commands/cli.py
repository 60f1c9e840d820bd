"""The command line: thin commands, one file each in `tinyq.commands`."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

import tinyq
from tinyq.api.origin import naming_command
from tinyq.commands.boards import boards
from tinyq.commands.build import build
from tinyq.commands.check import check
from tinyq.commands.compare import compare
from tinyq.commands.demo import demo
from tinyq.commands.diff import diff
from tinyq.commands.doctor import doctor
from tinyq.commands.export import export
from tinyq.commands.flash import flash
from tinyq.commands.inspect import inspect
from tinyq.commands.measure import measure
from tinyq.commands.methods import methods
from tinyq.commands.output import print_json
from tinyq.commands.profile import profile
from tinyq.commands.quantize import quantize
from tinyq.commands.search import search
from tinyq.commands.train import train
from tinyq.errors import InternalError, TinyqError, TinyqWarning, explain_system_error
from tinyq.support.keras_backend import import_without_wrappers
from tinyq.support.quiet import hush_imports

_INTERRUPTED = 130

COMMANDS = (
    demo,
    check,
    quantize,
    search,
    train,
    build,
    flash,
    measure,
    profile,
    compare,
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
    import_without_wrappers()
    with naming_command(words):
        code = _run(words)
    return _flush(code)


@contextmanager
def _telling_warnings() -> Iterator[None]:
    """Show tinyq's own warnings as a line, without the place in its code."""
    usual = warnings.showwarning

    def show(message: Any, category: Any, *place: Any, **options: Any) -> None:
        if issubclass(category, TinyqWarning):
            typer.echo(f"warning: {message}", err=True)
        else:
            usual(message, category, *place, **options)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _run(words: list[str]) -> int:
    as_json = "--json" in words
    try:
        with _telling_warnings():
            app(args=words, prog_name="tinyq")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if as_json and code:
            _print_usage_error(end.__context__, code)
        return code
    except KeyboardInterrupt:
        return _say_interrupted(as_json)
    except Exception as error:
        if "--debug" in words:
            raise
        if _was_interrupted(error):
            return _say_interrupted(as_json)
        return _print_error(_explain(error, words), as_json)
    return 0


def hush_tensorflow() -> None:
    """Keep TensorFlow, which is not loaded yet, from writing about missing GPUs and retracing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    hush_imports()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _explain(error: Exception, words: Sequence[str]) -> Exception:
    """What the system says of the user's files and memory as a user's error."""
    if isinstance(error, TinyqError):
        return error
    if isinstance(error, MemoryError):
        files = [word for word in words if Path(word).is_file()]
        return explain_system_error(error, ", ".join(files) or None)
    cause: BaseException | None = error
    while cause is not None:  # libraries wrap what the system says in errors of their own
        if isinstance(cause, OSError):
            return explain_system_error(cause)
        cause = cause.__cause__ or cause.__context__
    return error


def _was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is what ended an import that then says so in its own words."""
    before = error.__cause__ or error.__context__
    if before is None:
        return False
    return isinstance(before, KeyboardInterrupt) or _was_interrupted(before)


def _print_error(error: Exception, as_json: bool) -> int:
    """Write one message to stderr, with `--json` an object to stdout, and return the exit code."""
    from rich.console import Console
    from rich.text import Text

    if isinstance(error, TinyqError):
        said, code = error, 2
        text = Text(error.render())
    else:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        said, code = (
            InternalError(
                f"tinyq failed unexpectedly: {reason}",
                remedy="run `tinyq --debug …` and report the traceback with the output of `tinyq "
                "doctor`: this is a fault of tinyq",
            ),
            3,
        )
        text = Text(said.render())
    text.highlight_regex(r"^error:", "bold red")
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)
    if as_json:
        _print_object(said.to_json())
    return code


def _print_usage_error(cause: BaseException | None, code: int) -> None:
    """The object for what Typer has found in the words, or for an interruption."""
    if code == _INTERRUPTED:
        _say_interrupted(as_json=True)
    elif (describe := getattr(cause, "format_message", None)) is not None:
        _print_object(
            {
                "code": "usage",
                "message": describe(),
                "where": None,
                "remedy": "see `tinyq COMMAND --help`",
            }
        )


def _say_interrupted(as_json: bool) -> int:
    if as_json:
        _print_object(
            {"code": "interrupted", "message": "interrupted", "where": None, "remedy": None}
        )
    return _INTERRUPTED


def _print_object(error: dict[str, str | None]) -> None:
    with suppress(OSError):  # what is wrong may be standard output itself
        print_json({"error": error})


def _flush(code: int) -> int:
    """Let the last lines reach their file, and say where they cannot."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except (OSError, ValueError) as error:
        _drop_output()
        if not code and isinstance(error, OSError):
            return _print_error(explain_system_error(error, "standard output"), as_json=False)
    return code


def _drop_output() -> None:
    """Keep the interpreter from failing a second time when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
