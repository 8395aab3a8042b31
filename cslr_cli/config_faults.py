"""Messages about invalid configurations: all faults at once, with the nearest known keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from cslr_cli.errors import ConfigError

KnownKeys = Mapping[str, Sequence[str]]


def translate_validation_error(error: ValidationError, where: str, known: KnownKeys) -> ConfigError:
    """Translate pydantic's error to a `ConfigError` with all faults, one per line.

    Args:
        error: pydantic's error.
        where: name of the configuration, for the message.
        known: keys of each section.
    """
    faults = list(dict.fromkeys(_describe_fault(item["loc"], item, known) for item in error.errors()))
    if len(faults) == 1:
        return ConfigError(f"{where}: {faults[0][0]}", faults[0][1])
    lines = [message if hint is None else f"{message}: {hint}" for message, hint in faults]
    return ConfigError(f"{where}: {len(faults)} invalid settings", "\n".join(lines))


def _describe_fault(location: tuple[int | str, ...], item: Any, known: KnownKeys) -> tuple[str, str | None]:
    if item["type"] in ("extra_forbidden", "invalid_key"):
        key = ".".join(str(part) for part in location)
        return f"unknown key {key}", f"did you mean {_nearest_key(key, known)}?"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    if item["type"] == "value_error":
        return f"{key}: {item['ctx']['error']}", None
    if item["type"] == "missing":  # only the values of a list are required
        return f"{key.rpartition('[')[0]} is {item['input']!r}", "use a list of 4 values"
    if item["type"] == "model_type" and not location:
        return "not a configuration", "write sections such as 'model:' with keys below them"
    if item["type"] == "model_type":
        return f"{key} is {item['input']!r}", f"write keys below it, such as {known[key][0]}"
    return f"{key} is {item['input']!r}", item["msg"][0].lower() + item["msg"][1:]


def _nearest_key(unknown: str, known: KnownKeys) -> str:
    """Return the most likely known key: of the same name in another section, or of similar spelling."""
    section, _, name = unknown.rpartition(".")
    same_name = [f"{other}.{name}" for other, keys in known.items() if name in keys]
    if same_name:
        return same_name[0]
    candidates = [f"{section}.{key}" for key in known[section]] if section in known else list(known)
    return difflib.get_close_matches(unknown, candidates, n=1, cutoff=0.0)[0]
