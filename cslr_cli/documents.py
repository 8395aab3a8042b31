"""JSON documents: how they become text, and the error object.

A document is a `TypedDict` next to the function that makes it. Its `schema_version` is a `Literal`, so that a type
checker compares the version that is written with the version of the model. `cslr_cli.cli.schemas` lists all
documents and generates their JSON schemas.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Literal

from typing_extensions import TypedDict

from cslr_cli.errors import CslrError, ErrorKind

# What Python makes of the bytes of a file name that are not Unicode.
_SURROGATES = re.compile("[\ud800-\udfff]")


def plain_values(value: Any) -> Any:
    """Convert a document to values that JSON has: records to objects, paths to text, infinite numbers to null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value):
        return {field.name: plain_values(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value.model_dump(mode="json")  # a part of the configuration


def format_json(document: Any, *, indent: int | None = None, ascii_only: bool = False, compact: bool = False) -> str:
    """Format a document as JSON, without the line end; on one line unless it is indented.

    Args:
        document: document, or a part of one.
        indent: number of spaces per level.
        ascii_only: whether other characters are written as escapes. They always are if the name of a file in the
            document is not Unicode.
        compact: whether the text has no spaces, for large files.
    """
    values = plain_values(document)
    separators = (",", ":") if compact else None
    text = json.dumps(values, ensure_ascii=ascii_only, indent=indent, separators=separators, allow_nan=False)
    if ascii_only or not _SURROGATES.search(text):
        return text
    return json.dumps(values, indent=indent, separators=separators, allow_nan=False)


class ErrorDetails(TypedDict):
    """What failed, and what to do about it.

    Attributes:
        kind: kind of the error; the set is fixed within a `schema_version`.
        message: what is wrong and where, as on standard error.
        hint: what to do about it; null if there is no advice.
    """

    kind: ErrorKind
    message: str
    hint: str | None


class ErrorDocument(TypedDict):
    """An input that failed, or a command that failed as a whole. Each command with `--json` prints it.

    Attributes:
        schema_version: version of this document.
        input: path of the input; null if the error does not belong to one input.
        error: the error.
    """

    schema_version: Literal[1]
    input: str | None
    error: ErrorDetails


def error_document(error: CslrError, source: str | None = None) -> ErrorDocument:
    """Make the error object of an error; `source` is the path of the input that failed."""
    details: ErrorDetails = {"kind": error.kind, "message": error.message, "hint": error.hint}
    return {"schema_version": 1, "input": source, "error": details}
