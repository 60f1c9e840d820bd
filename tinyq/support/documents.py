"""JSON files that tinyq writes: which kinds there are, and which version of each is read.

A file says at its top what it is and which version of that, so that a program which reads it tells
an old file from a new one:

    {"document": "measurement", "schema": 1, ...}

A version rises where a key goes or changes its meaning; a new key alone leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tinyq.errors import DataError
from tinyq.support.files import write_file

SCHEMAS: Mapping[str, int] = MappingProxyType(
    {
        "baseline": 1,  # benchmarks/baseline.json
        "benchmark": 1,  # benchmarks/results/*.json
        "board": 1,  # tinyq boards NAME --json
        "boards": 1,  # tinyq boards --json
        "build": 1,  # tinyq build --json
        "check": 1,  # tinyq check --json
        "compared": 1,  # tinyq compare --json
        "comparison": 1,  # tinyq diff --json
        "diagnosis": 1,  # tinyq doctor --json
        "estimates": 1,  # templates/kernels/generic.json
        "export": 1,  # tinyq export --json
        "flash": 1,  # tinyq flash --json
        "graph": 3,  # the model of a .tqg file
        "inspection": 1,  # tinyq inspect --json
        "journal": 1,  # answers of an unfinished run, in their file's name
        "kernel counts": 2,  # what `--tune` keeps in the cache
        "measurement": 1,  # report.json of tinyq measure
        "method": 1,  # tinyq methods NAME --json
        "methods": 1,  # tinyq methods --json
        "profile": 1,  # report.json of tinyq profile
        "project": 4,  # project.json of tinyq build
        "quantization": 1,  # tinyq quantize --json
        "search": 1,  # search.json of tinyq search
        "streaming": 1,  # tinyq.stream
        "summary": 1,  # tinyq.summary
        "training": 1,  # tinyq train --json
        "training state": 1,  # state.json of the folder that tinyq train --state names
    }
)
# What files are that say no version, where such files were written.
_UNSAID: Mapping[str, int] = MappingProxyType({"measurement": 1})
_TITLES: Mapping[str, str] = MappingProxyType({"measurement": "report of a measurement"})
_KIND, _VERSION = "document", "schema"


def stamp(document: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Content of a file with its kind and version, which come first.

    Args:
        document: A key of `SCHEMAS`.
        content: What the file says.
    """
    return {_KIND: document, _VERSION: SCHEMAS[document], **content}


def render_document(document: str, content: Mapping[str, Any], indent: int = 2) -> str:
    """The text of a JSON file with its kind and version, see `write_document`."""
    return json.dumps(stamp(document, content), indent=indent, allow_nan=False) + "\n"


def write_document(path: Path, document: str, content: Mapping[str, Any], indent: int = 2) -> None:
    """Write a JSON file with its kind and version; an existing one is replaced whole or not at all.

    Args:
        path: The file.
        document: A key of `SCHEMAS`.
        content: What the file says; no number of it is infinite or NaN.
        indent: Spaces a level.

    Raises:
        FileError: It cannot be written.
    """
    write_file(path, render_document(document, content, indent))


def read_document(path: Path, document: str, remedy: str) -> dict[str, Any]:
    """What a JSON file says, without kind and version.

    Args:
        path: The file.
        document: What it must be, a key of `SCHEMAS`.
        remedy: How to get such a file.

    Raises:
        DataError: It cannot be read, is no JSON, is something else or of another version.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (ValueError, RecursionError):
        raise _describe_other(document, path, remedy) from None
    return check_schema(content, document, path, remedy)


def check_schema(content: Any, document: str, path: Path, remedy: str) -> dict[str, Any]:
    """Check the kind and version of a file's content; returns the rest of it.

    Args:
        content: A JSON value.
        document: What it must be, a key of `SCHEMAS`.
        path: The file, for messages.
        remedy: How to get such a file.

    Raises:
        DataError: It is something else or of another version.
    """
    if not isinstance(content, dict) or content.get(_KIND, document) != document:
        raise _describe_other(document, path, remedy)
    found, wanted = content.get(_VERSION, _UNSAID.get(document)), SCHEMAS[document]
    if type(found) is not int or found != wanted:
        said = f"schema {found}" if type(found) is int else "no schema"
        raise DataError(
            f"was written by another version of tinyq ({said}, this one reads {wanted})",
            where=str(path),
            remedy=remedy,
        )
    return {key: value for key, value in content.items() if key not in (_KIND, _VERSION)}


def _describe_other(document: str, path: Path, remedy: str) -> DataError:
    title = _TITLES.get(document, f"{document} file")
    return DataError(f"is no {title}", where=str(path), remedy=remedy)
